"""Reading what somebody types, with arrow keys and a history; a pasted text is one message."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lmstudio_core.program.terminal import may_draw

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession


class LineReader:  # public
    """Asks for a line again and again.

    Line ends that are typed end the message; those in a text that is pasted belong to it. Where
    there is no terminal that can draw, lines are read as they come.
    """

    def __init__(self) -> None:
        drawn = may_draw(sys.stdin) and may_draw(sys.stdout)
        self._session: PromptSession[str] | None = _session() if drawn else None

    def __call__(self, prompt: str) -> str:
        """What is typed.

        Raises:
            EOFError: The input ended (Ctrl-D on a terminal).
            KeyboardInterrupt: Ctrl-C.
        """
        return input(prompt) if self._session is None else self._session.prompt(prompt)


def _session() -> Any:
    # Asking the terminal where its cursor is would be answered late, or into the next prompt, by a
    # slow one; a prompt at the bottom of the output needs no answer.
    os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
    from prompt_toolkit import PromptSession  # which takes a while, and is for conversations alone

    return PromptSession[str]()
