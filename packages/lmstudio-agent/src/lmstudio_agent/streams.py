"""A run for synchronous programs: a stream of events. ``act()`` is the same, run to its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from typing_extensions import Self, TypeVar

from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Invoke
from lmstudio_core.protocol.runner import SyncRunner

from .calls import PendingCall
from .events import ActEvent, ActOp, Round, Settle
from .results import ActResult
from .state import Requests, Run
from .stream_base import MORE, ActStreamBase
from .threads import ToolThreads, workers

T = TypeVar("T", default=Any)


class ActStream(ActStreamBase[T]):  # public
    """A run while it goes on: iterate over what happens, then take the result.

    The first request is sent when the stream is first used. Leaving a ``for`` loop or a ``with``
    block early ends the run: the server is told to stop, and ``transcript`` is a chat that another
    run can go on from.

    Example:
        >>> with model.act_stream("What is 6 times 7?", [multiply]) as stream:
        ...     for event in stream:
        ...         print(event)
        >>> stream.result().final
        'The product of 6 and 7 is 42.'
    """

    def __init__(self, client: SyncRunner, run: Run, op: ActOp[ActResult[T]]) -> None:
        super().__init__(run, op)
        self._client = client
        self._asked: deque[PendingCall] = deque()
        self._allowed: deque[PendingCall] = deque()
        self._threads = ToolThreads(self._work)
        self._requests: Requests | None = None
        self._advancing = False

    def __iter__(self) -> Iterator[ActEvent]:
        return _Iteration(self)

    def __next__(self) -> ActEvent:
        while not self._events:
            if self.over:
                raise StopIteration
            self._advance()
        return self._events.popleft()

    def wait_for_result(self) -> ActResult[T]:
        """Run to the end, whatever was iterated over so far.

        Raises:
            LMStudioCancelledError: The stream was left or closed before the end.
            Exception: What ended the run; see ``act``.
        """
        self._silence()
        while not self.over:
            self._advance()
        return self._result or self._no_result()

    def result(self) -> ActResult[T]:
        """The result; the run goes on to its end first if need be. See ``wait_for_result``."""
        return self._result or self.wait_for_result()

    def close(self) -> None:
        """End the run, if it has not ended: the server is told to stop, no tool is waited for."""
        if not self.over:
            self.over: bool = True
            if (source := self._source) is not None:
                source.close()
            self.abandon()

    def abandon(self) -> None:
        """``close`` for finalizers: nothing is waited for.

        A callback or a signal handler may be in the middle of a step, which then cleans up itself.
        """
        self.over = True
        if not self._advancing:
            self._clean_up()

    def _clean_up(self) -> None:
        self._stop_reading()
        self._threads.abandon()
        self._close_op()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # --- the interpreter -----------------------------------------------------------------------

    def _advance(self) -> None:
        """Take one small step, so that what it leads to can be told before the next."""
        self._advancing = True
        try:
            self._take_step()
        finally:
            self._advancing = False
            if self.over:
                self._clean_up()

    def _take_step(self) -> None:
        try:
            self._check_time()
            value = None if self._step is None else self._perform(self._step)
        except BaseException as error:  # noqa: BLE001 - the run gets it
            if self.over and isinstance(error, Exception):
                return  # it was closed meanwhile, and this comes of it
            self._threads.abandon()
            self._stop_reading()
            self._go(self._op.throw, error)
        else:
            if value is not MORE and not self.over:
                self._go(self._op.send, value)

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Round):
            return self._read(step)
        if isinstance(step, Settle):
            return MORE if self._collected(wait=True) else None
        return self._client.run(step, **self._limits_of(step))

    def _read(self, step: Round) -> Any:
        if self._source is None:
            self._requests = step.requests
            self._source = self._client.open(step.channel, **self._limits_left())
            if self.over:  # closed meanwhile
                return MORE
            self._reading = iter(self._source)  # when it goes away, so does the channel
        if self._allowed:
            return self._start(self._allowed.popleft(), step)
        if self._asked:
            return self._ask(self._asked.popleft(), step)
        see = step.requests.see
        for event in self._reading:
            call = see(event)
            if call is not None:
                self._asked.append(call)
            if self._events or self._asked:
                self._collected(wait=False)
                return MORE
        result = self._source.result()
        self._stop_reading()
        return result

    def _ask(self, call: PendingCall, step: Round) -> Any:
        guard = step.guard
        if guard is not None:
            with call.context.entered():
                verdict: Any = self._client.run(Invoke(lambda: guard(call.request)))
            call.heed(verdict)
        if call.refused:
            step.requests.ended(call)
        else:
            step.requests.started(call)
            self._allowed.append(call)
        return MORE

    def _start(self, call: PendingCall, step: Round) -> Any:
        """One tool at a time runs here, so that it may be interrupted and knows its thread.

        A thread of its own is for one whose time may run out: it cannot be stopped, but left.
        """
        self._limit(call)
        if step.max_parallel == 1 and not call.needs_thread:
            self._work(call)
            step.requests.ended(call)
            return MORE
        self._threads.submit(call, workers(step.max_parallel))
        while step.max_parallel == 1 and self._collected(wait=True):
            pass
        return MORE

    def _work(self, call: PendingCall) -> None:
        self._client.run(Invoke(call.work))

    def _collected(self, *, wait: bool) -> bool:
        """Whether a tool ended; it is noted."""
        call = self._threads.collect(wait=wait) if self._threads else None
        if call is not None and self._requests is not None:
            self._requests.ended(call)
        return call is not None


class _Iteration(Short, Iterator[ActEvent]):
    """One ``for`` loop over a stream: leaving it early ends the run, since it goes away."""

    def __init__(self, stream: ActStream[Any]) -> None:
        self._stream = stream

    def __next__(self) -> ActEvent:
        return self._stream.__next__()

    def __del__(self) -> None:
        if not self._stream.over:
            self._stream.abandon()
