"""What the two interpreters of a run share: the generator, and where it stands."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn

from typing_extensions import TypeVar

from lmstudio_core.errors import LMStudioCancelledError, LMStudioTimeoutError
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Invoke
from lmstudio_core.timeouts import CallLimits, Limits
from lmstudio_llm.chat import Chat

from .calls import PendingCall
from .events import ActEvent, ActOp
from .results import ActResult
from .state import Run

__all__ = ["MORE", "ActStreamBase"]

T = TypeVar("T", default=Any)

MORE: Final = object()
"""A step is not finished; what happened so far may be told."""


class ActStreamBase(Short, Generic[T]):
    """What both share: the generator, where it stands, and what happened but was not taken.

    Args:
        run: What the run gathers.
        op: The run itself.
    """

    def __init__(self, run: Run, op: ActOp[ActResult[T]]) -> None:
        self._run = run
        self._op = op
        self._events: deque[ActEvent] = deque()
        self._step: Any = None
        self._source: Any = None
        self._reading: Any = None
        self._result: ActResult[T] | None = None
        self._limits: Limits | None = None
        self._failure: Exception | None = None
        self.over: bool = False
        run.events = self._events

    @property
    def transcript(self) -> Chat:
        """The chat so far, as a copy: what was passed in, and what the run added to it."""
        return self._run.chat.copy()

    def _go(self, onward: Callable[[Any], Any], value: Any) -> None:
        self._step = None
        try:
            self._step = onward(value)
        except StopIteration as stop:
            self._result, self.over = stop.value, True
        except BaseException as error:
            self.over = True
            if isinstance(error, Exception):
                self._failure = error
            raise

    def _close_op(self) -> None:
        """End the generator; one that is in the middle of a step (a callback closes the stream, or
        a signal handler does) ends after it.
        """
        if inspect.getgeneratorstate(self._op) != inspect.GEN_RUNNING:
            self._op.close()

    def _check_time(self) -> None:
        """Raise ``LMStudioTimeoutError`` if the time for the whole run is over; it begins here."""
        if self._limits is None:
            self._limits = Limits(self._run.options.timeout)
        try:
            self._limits.check("act()")
        except LMStudioTimeoutError:
            self._limits = Limits()  # once: what the run does to end itself may take its time
            raise

    def _limits_left(self) -> CallLimits:
        """The limits of the next prediction."""
        limits: CallLimits = {}
        if self._limits is not None and (left := self._limits.left) is not None:
            limits["timeout"] = max(left, 1e-6)  # 0 is no limit that a call could have
        if self._run.options.idle_timeout is not None:
            limits["idle_timeout"] = self._run.options.idle_timeout
        return limits

    def _limits_of(self, step: object) -> CallLimits:
        """The limits of a step that asks the server; functions of the user's have none."""
        return {} if isinstance(step, Invoke) else self._limits_left()

    def _limit(self, call: PendingCall) -> None:
        """A tool may not take longer than the whole run: nobody waits for it any more then."""
        if self._limits is not None and (left := self._limits.left) is not None:
            call.timeout = left if call.timeout is None else min(left, call.timeout)

    def _stop_reading(self) -> None:
        self._source = self._reading = None

    def _silence(self) -> None:
        """Nobody will take events: the run need not tell any."""
        self._run.events = None
        self._events.clear()

    def _no_result(self) -> NoReturn:
        if self._failure is not None:
            raise self._failure
        raise LMStudioCancelledError(
            "The stream was left before the run ended, so there is no result. 'transcript' holds "
            "the chat up to there; another act() can go on from it."
        )

    def __repr__(self) -> str:
        state = "finished" if self._result else "closed" if self.over else "running"
        return f"<{type(self).__name__} {state}, {len(self._run.predictions)} rounds>"
