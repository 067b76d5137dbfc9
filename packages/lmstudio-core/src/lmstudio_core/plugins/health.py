"""What ``lmstudio doctor`` finds: one thing that was looked at, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:  # api
    """One thing that was looked at.

    Attributes:
        topic: What was looked at, in a word or two, such as ``"engine"``.
        state: ``"ok"``; ``"warning"``: it may not be as it should; ``"problem"``: it does not work.
        text: What was found, in one sentence without its full stop.
        advice: What to do about it; empty if there is nothing to do.

    Example:
        >>> Finding("engine", "problem", "xllamacpp is missing", "pip install xllamacpp").state
        'problem'
    """

    topic: str
    state: Literal["ok", "warning", "problem"]
    text: str
    advice: str = ""
