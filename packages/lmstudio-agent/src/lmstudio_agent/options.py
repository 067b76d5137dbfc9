"""How an agent is to run, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lmstudio_core.errors import LMStudioValueError

__all__ = ["ActOptions"]


@dataclass(frozen=True, kw_only=True)
class ActOptions:
    """The limits and callbacks of a run; see ``AgentNamespace.act`` for what they mean.

    Raises:
        LMStudioValueError: A limit is not a positive whole number, or a callback not callable.
    """

    max_prediction_rounds: int | None = None
    max_parallel_tool_calls: int | None = 1
    on_message: Callable[..., Any] | None = None
    on_first_token: Callable[..., Any] | None = None
    on_prediction_fragment: Callable[..., Any] | None = None
    on_round_start: Callable[..., Any] | None = None
    on_round_end: Callable[..., Any] | None = None
    on_prediction_completed: Callable[..., Any] | None = None
    on_prompt_processing_progress: Callable[..., Any] | None = None
    handle_invalid_tool_request: Callable[..., Any] | None = None
    run_id: str = ""

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if value is None or option.name == "run_id":
                continue
            if option.name.startswith("max_"):
                if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                    raise LMStudioValueError(
                        f"{option.name} is a whole number from 1, or None, not {value!r}."
                    )
            elif not callable(value):
                raise LMStudioValueError(f"{option.name} is a function or None, not {value!r}.")

    def is_last_round(self, index: int) -> bool:
        """Whether no round may follow the one of that index."""
        return self.max_prediction_rounds is not None and index + 1 >= self.max_prediction_rounds
