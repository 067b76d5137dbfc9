"""What a run of an agent gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Generic, Literal, cast

from typing_extensions import TypeVar

from lmstudio_core.data import field_schema
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.lenient import readable
from lmstudio_llm.chat import Chat
from lmstudio_llm.messages import (
    AssistantResponse,
    ToolCallRequest,
    ToolCallResultData,
    ToolResultMessage,
)
from lmstudio_llm.results import PredictionRoundResult

from .encoding import encoded

__all__ = ["ActResult", "ToolCallOutcome", "ToolCallRecord", "Usage"]

T = TypeVar("T", default=Any)

ToolCallOutcome = Literal["ok", "invalid", "failed", "timeout", "denied", "limit", "cancelled"]
"""What became of a call: it has a result; the request was wrong; the tool raised; it took too long;
``guard_tool_call`` denied it; a limit was reached; the run was interrupted."""


@dataclass(frozen=True, kw_only=True)
class ToolCallRecord:  # public
    """One call of a tool that a model asked for, and what became of it.

    Attributes:
        name: The tool's name, as the model wrote it.
        arguments: The arguments as the model wrote them.
        call_id: What the server calls the request, if it gave it an id.
        round_index: The round that asked for it, counted from 0.
        content: The text that the model got as the result.
        result: What the tool returned; ``None`` if it did not get that far.
        error: Why there is no result: the tool is unknown, the arguments do not fit, or the tool
            raised (then ``error.__cause__`` is what it raised).
        outcome: What became of it, in one word.
        changed_arguments: What ``guard_tool_call`` put in the place of the arguments, if it did.
        duration_seconds: How long the tool ran; 0.0 if it did not.
        reports: What the tool reported meanwhile: pairs of ``"status"`` or ``"warning"`` and text.

    Example:
        >>> record = model.act("What is 6 times 7?", [multiply]).tool_calls[0]
        >>> record.name, record.arguments, record.result
        ('multiply', {'a': 6, 'b': 7}, 42)
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str | None
    round_index: int
    content: str
    result: Any = None
    error: Exception | None = None
    outcome: ToolCallOutcome = "ok"
    changed_arguments: Mapping[str, Any] | None = None
    duration_seconds: float = 0.0
    reports: Sequence[tuple[str, str]] = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return field_schema(cls)

    def to_dict(self) -> dict[str, Any]:
        """The call as plain data with camelCase keys."""
        return {
            "name": self.name,
            "arguments": dict(self.arguments),
            "changedArguments": self.changed_arguments and dict(self.changed_arguments),
            "callId": self.call_id,
            "roundIndex": self.round_index,
            "content": self.content,
            "error": None if self.error is None else str(self.error),
            "outcome": self.outcome,
            "durationSeconds": self.duration_seconds,
            "reports": [list(report) for report in self.reports],
        }


@dataclass(frozen=True, kw_only=True)
class Usage:  # public
    """Tokens of all rounds together. The prompt of every round counts anew.

    Example:
        >>> usage = model.act("What is 6 times 7?", [multiply]).usage
        >>> usage.prompt_tokens > usage.predicted_tokens > 0
        True
    """

    prompt_tokens: int = 0
    predicted_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and predicted tokens."""
        return self.prompt_tokens + self.predicted_tokens


@dataclass(frozen=True, kw_only=True)
class ActResult(Generic[T]):  # public
    """What ``act`` gives. ``T`` is the type of ``value``.

    ``print(result)`` shows the run; a notebook shows it as a timeline, and ``to_html`` writes that
    to a file.

    Attributes:
        rounds: How many predictions were made.
        total_time_seconds: How long the run took, tools included.
        predictions: The prediction of every round.
        tool_calls: Every call of a tool, in the order in which the model asked for them.
        transcript: The chat that was passed in and all that the run added to it; a new ``act``
            can go on from it.
        pending: Calls of tools without an implementation, which the program has to answer:
            ``act(result.answered({call_id: value}), tools)`` goes on.
        given_messages: How many messages of the transcript were there before the run.

    Example:
        >>> result = model.act("What is 6 times 7?", [multiply])
        >>> result.rounds, [call.name for call in result.tool_calls]
        (2, ['multiply'])
    """

    rounds: int
    total_time_seconds: float
    predictions: Sequence[PredictionRoundResult[Any]] = field(default=(), repr=False)
    tool_calls: Sequence[ToolCallRecord] = field(default=(), repr=False)
    transcript: Chat = field(default_factory=Chat, repr=False)
    pending: Sequence[ToolCallRequest] = field(default=(), repr=False)
    given_messages: int = field(default=0, repr=False)

    @property
    def final(self) -> str:
        """The text of the last prediction."""
        return self.predictions[-1].content if self.predictions else ""

    @property
    def value(self) -> T:
        """The final answer as ``response_format`` asked for it; without one, ``final``.

        Raises:
            StructuredOutputError: The output does not satisfy the format.
            LMStudioRuntimeError: There is no final answer yet: calls are ``pending``.
        """
        if self.pending:
            names = ", ".join(repr(request.name) for request in self.pending)
            raise LMStudioRuntimeError(
                f"There is no final answer yet: the program has to answer the calls of {names}; "
                "go on with act(result.answered({call_id: value}), ...)."
            )
        return cast("T", self.predictions[-1].value if self.predictions else "")

    @property
    def stop_reason(self) -> str | None:
        """Why the last prediction ended, such as ``"eosFound"``."""
        return self.predictions[-1].stats.stop_reason if self.predictions else None

    @property
    def usage(self) -> Usage:
        """The tokens of all rounds, as far as the server told them."""
        stats = [prediction.stats for prediction in self.predictions]
        return Usage(
            prompt_tokens=sum(int(s.prompt_tokens_count or 0) for s in stats),
            predicted_tokens=sum(int(s.predicted_tokens_count or 0) for s in stats),
        )

    def answered(self, results: Mapping[str, Any]) -> Chat:
        """The transcript with the results of the ``pending`` calls, for an ``act`` that goes on.

        Args:
            results: By call id, or by the tool's name where only one call of it is pending; any
                value that a tool may return.

        Raises:
            LMStudioValueError: A result is missing, or belongs to no pending call.
        """
        given = dict(results)
        values = [_taken(given, request, self.pending) for request in self.pending]
        if given:
            raise LMStudioValueError(f"No pending call is known as {', '.join(map(repr, given))}.")
        answers = {
            id(request): ToolCallResultData(
                content=encoded(value), tool_call_id=request.id, name=request.name
            )
            for request, value in zip(self.pending, values, strict=True)
        }
        return _with_answers(self.transcript.copy(), self.pending, answers)

    # --- to keep -------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The run as plain data with camelCase keys.

        What tools returned is in it as the text that the model got.
        """
        return {
            "rounds": self.rounds,
            "totalTimeSeconds": self.total_time_seconds,
            "final": self.final,
            "stopReason": self.stop_reason,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "toolCalls": [call.to_dict() for call in self.tool_calls],
            "transcript": self.transcript.to_dict(),
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    # --- to look at ----------------------------------------------------------------------------

    def transcript_text(self) -> str:
        """The whole run as text: what was said, every call with its result, the numbers."""
        from .display import transcript_text

        return transcript_text(self)

    def __str__(self) -> str:
        return self.transcript_text()

    def _repr_html_(self) -> str:
        """What notebooks show: the run as a timeline."""
        from .timeline import timeline

        return timeline(self)

    def to_html(self, path: str | PathLike[str], *, title: str = "Run of an agent") -> None:
        """Write the run as an HTML page that needs nothing else, scripts included.

        Args:
            path: The file, which is replaced if it is there.
            title: What the page is called.

        Raises:
            OSError: The file cannot be written.
        """
        from .timeline import page

        Path(path).write_text(readable(page(self, title)), encoding="utf-8")


def _taken(given: dict[str, Any], request: ToolCallRequest, pending: Sequence[Any]) -> Any:
    if request.id is not None and request.id in given:
        return given.pop(request.id)
    alone = sum(other.name == request.name for other in pending) == 1
    if alone and request.name in given:
        return given.pop(request.name)
    raise LMStudioValueError(
        f"There is no result for the call {request.id!r} of {request.name!r}; give all pending "
        "calls their results, by call id."
    )


def _with_answers(
    chat: Chat, pending: Sequence[ToolCallRequest], answers: Mapping[int, ToolCallResultData]
) -> Chat:
    """Add the answers; all results of a round stand in one message, in the requests' order."""
    local: list[ToolCallResultData] = []
    if len(chat) and isinstance(last := chat[-1], ToolResultMessage):
        local = list(last.content)
        chat.pop()
    asked = chat[-1] if len(chat) else None
    left = list(pending)
    ordered: list[ToolCallResultData] = []
    for request in asked.tool_call_requests if isinstance(asked, AssistantResponse) else ():
        if left and request == left[0]:
            ordered.append(answers[id(left.pop(0))])
        elif local:
            ordered.append(local.pop(0))
    chat.add_tool_results([*ordered, *local, *(answers[id(request)] for request in left)])
    return chat
