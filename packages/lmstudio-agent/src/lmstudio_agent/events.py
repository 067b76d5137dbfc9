"""What happens in a run, as ``act_stream`` tells it; and the step that a round's prediction is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lmstudio_core.protocol.operations import Channel, Step
from lmstudio_llm.fragments import PredictionEvent
from lmstudio_llm.results import PredictionResult, PredictionRoundResult

from .results import ToolCallRecord

if TYPE_CHECKING:
    from .state import Requests

__all__ = [
    "ActEvent",
    "ActOp",
    "ActRoundEnd",
    "ActRoundStart",
    "ActToolCall",
    "ActToolResult",
    "Round",
    "Settle",
]

R = TypeVar("R")


@dataclass(frozen=True)
class ActRoundStart:  # public
    """A round begins: a prediction, and the tools that it asks for.

    Example:
        >>> for event in model.act_stream("What is 6 times 7?", [multiply]):
        ...     if isinstance(event, ActRoundStart):
        ...         print(event.round_index)
        0
        1
    """

    round_index: int


@dataclass(frozen=True)
class ActToolCall:  # public
    """A tool is about to run. Calls that are refused have a result only.

    Attributes:
        name: The tool.
        arguments: What it is called with: the model's arguments, or those of ``guard_tool_call``.
        call_id: What the server calls the request, if it gave it an id.
        round_index: The round that asked for it.

    Example:
        >>> for event in model.act_stream("What is 6 times 7?", [multiply]):
        ...     if isinstance(event, ActToolCall):
        ...         print(event.name, event.arguments)
        multiply {'a': 6, 'b': 7}
    """

    name: str
    arguments: Mapping[str, Any]
    call_id: str | None
    round_index: int


@dataclass(frozen=True)
class ActToolResult:  # public
    """A call has its result or its error.

    Example:
        >>> for event in model.act_stream("What is 6 times 7?", [multiply]):
        ...     if isinstance(event, ActToolResult):
        ...         print(event.record.content, event.record.outcome)
        42 ok
    """

    record: ToolCallRecord


@dataclass(frozen=True)
class ActRoundEnd:  # public
    """A round's prediction and its tools are done.

    Example:
        >>> for event in model.act_stream("What is 6 times 7?", [multiply]):
        ...     if isinstance(event, ActRoundEnd):
        ...         print(event.round_index, event.prediction.stats.stop_reason)
        0 toolCalls
        1 eosFound
    """

    round_index: int
    prediction: PredictionRoundResult[Any]


ActEvent = ActRoundStart | PredictionEvent | ActToolCall | ActToolResult | ActRoundEnd  # public
"""Everything that ``act_stream`` yields: its own events, and those of the predictions."""


@dataclass(frozen=True)
class Round:
    """Make a prediction, and start each tool that it asks for as soon as the call is complete.

    The result is the prediction's. The tools need not have ended; ``Settle`` waits for them.

    Attributes:
        channel: The prediction.
        requests: Takes every event, and gives the call to start if the event is one.
        guard: Asked before each call; what it returns goes to ``PendingCall.heed``.
        max_parallel: How many tools may run at the same time.
    """

    channel: Channel[Any, PredictionResult[Any]]
    requests: Requests
    guard: Callable[..., Any] | None = None
    max_parallel: int | None = 1


class Settle:
    """Wait for all tools that were started."""


ActOp = Generator[Step | Round | Settle, Any, R]
"""An operation that the interpreters run: ``streams`` and ``streams_aio``."""
