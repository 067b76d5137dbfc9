"""How an agent is to run, checked before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, cast

from lmstudio_core.data import nearest
from lmstudio_core.errors import LMStudioPredictionError, LMStudioValueError
from lmstudio_core.timeouts import CallLimits
from lmstudio_llm.fragments import LlmPredictionFragment
from lmstudio_llm.messages import AnyChatMessage, ToolCallRequest
from lmstudio_llm.prediction import check_callback
from lmstudio_llm.results import PredictionRoundResult

__all__ = ["ActKeywords", "ActOptions"]


class ActKeywords(CallLimits, total=False):
    """The limits and callbacks of ``act`` and ``act_stream``; ``LLM.act`` says what they mean."""

    max_prediction_rounds: int | None
    max_parallel_tool_calls: int | None
    max_tool_calls: int | None
    max_calls_per_tool: int | Mapping[str, int] | None
    tool_timeout: float | Mapping[str, float] | None
    on_message: Callable[[AnyChatMessage], Any] | None
    on_first_token: Callable[[int], Any] | None
    on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None
    on_round_start: Callable[[int], Any] | None
    on_round_end: Callable[[int], Any] | None
    on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None
    on_prompt_processing_progress: Callable[[float, int], Any] | None
    handle_invalid_tool_request: (
        Callable[[LMStudioPredictionError, ToolCallRequest | None], Any] | None
    )
    guard_tool_call: Callable[[ToolCallRequest], Any] | None


@dataclass(frozen=True, kw_only=True)
class ActOptions:
    """The limits and callbacks of a run; see ``LLM.act`` for what they mean.

    Raises:
        LMStudioValueError: A limit is not a positive number, or a callback not callable.
    """

    max_prediction_rounds: int | None = None
    max_parallel_tool_calls: int | None = 1
    max_tool_calls: int | None = None
    max_calls_per_tool: int | Mapping[str, int] | None = None
    tool_timeout: float | Mapping[str, float] | None = None
    timeout: float | None = None
    idle_timeout: float | None = None
    on_message: Callable[..., Any] | None = None
    on_first_token: Callable[..., Any] | None = None
    on_prediction_fragment: Callable[..., Any] | None = None
    on_round_start: Callable[..., Any] | None = None
    on_round_end: Callable[..., Any] | None = None
    on_prediction_completed: Callable[..., Any] | None = None
    on_prompt_processing_progress: Callable[..., Any] | None = None
    handle_invalid_tool_request: Callable[..., Any] | None = None
    guard_tool_call: Callable[..., Any] | None = None
    run_id: str = ""

    def __post_init__(self) -> None:
        for option in fields(self):
            name, value = option.name, getattr(self, option.name)
            if value is None or name == "run_id":
                continue
            if name in ("max_calls_per_tool", "tool_timeout"):
                _check_by_tool(name, value)
            elif name in ("timeout", "idle_timeout"):
                _check_seconds(name, value)
            elif name.startswith("max_"):
                _check_count(name, value)
            else:
                check_callback(name, value, awaited=name not in _WHILE_READING)

    def check_tools(self, names: Collection[str]) -> None:
        """Raise ``LMStudioValueError`` for a limit of a tool that the run does not have."""
        for option in ("max_calls_per_tool", "tool_timeout"):
            limits: Any = getattr(self, option)
            if not isinstance(limits, Mapping):
                continue
            for tool in cast("Mapping[str, Any]", limits):
                if tool not in names:
                    near = nearest(str(tool), names)
                    hint = f"Did you mean {near!r}?" if near else f"The tools: {_listed(names)}."
                    raise LMStudioValueError(
                        f"{option} names a tool that is not there: {tool!r}. {hint}"
                    )

    def is_last_round(self, index: int) -> bool:
        """Whether no round may follow the one of that index."""
        return self.max_prediction_rounds is not None and index + 1 >= self.max_prediction_rounds

    def calls_allowed(self, tool: str) -> int | None:
        """How often that tool may be called in the run; ``None``: any number of times."""
        given = self.max_calls_per_tool
        return given.get(tool) if isinstance(given, Mapping) else given

    def seconds_allowed(self, tool: str) -> float | None:
        """How long a call of that tool may take; ``None``: as long as it likes."""
        given = self.tool_timeout
        return given.get(tool) if isinstance(given, Mapping) else given


_WHILE_READING: Final = (
    "on_first_token",
    "on_prediction_fragment",
    "on_prompt_processing_progress",
)
"""The callbacks that are called for packets as they come; all others are awaited if need be."""


def _listed(names: Collection[str]) -> str:
    return ", ".join(names) or "none"


def _check_by_tool(name: str, value: Any) -> None:
    """One limit for every tool, or a dict with limits for some."""
    check = _check_seconds if name == "tool_timeout" else _check_count
    if isinstance(value, Mapping):
        for tool, limit in cast("Mapping[Any, Any]", value).items():
            check(f"{name}[{tool!r}]", limit)
    else:
        check(name, value)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise LMStudioValueError(f"{name} is a whole number from 1, or None, not {value!r}.")


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise LMStudioValueError(f"{name} is a positive number of seconds, not {value!r}.")
