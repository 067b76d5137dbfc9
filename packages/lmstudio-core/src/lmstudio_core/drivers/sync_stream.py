"""A channel that is read in the calling thread."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from typing_extensions import Self

from ..errors import LMStudioRuntimeError
from ..protocol.operations import Channel
from ..protocol.outcome import ChannelReader
from ..timeouts import Limits, using

if TYPE_CHECKING:
    from .sync import SyncDriver

__all__ = ["SyncChannelStream"]

R = TypeVar("R")
E = TypeVar("E")

_PATIENT: Final = Limits(idle_timeout=math.inf)


class SyncChannelStream(Generic[E, R]):
    """A running channel. See ``lmstudio_core.protocol.runner.ChannelStream``."""

    def __init__(
        self, driver: SyncDriver, channel: Channel[E, R], limits: Limits | None = None
    ) -> None:
        self._driver = driver
        # What a patient channel waits for may take days; getting it opened may not.
        self._limits = _PATIENT if channel.patient and limits is None else limits
        # Popped by whoever ends the stream: an atomic step, so that a signal handler which closes
        # it while it ends (or another thread) does not end it twice.
        self._open: list[bool] = []
        self._waiting = self._keep = False
        self._started = time.perf_counter()
        channel.on_begin()
        try:
            with using(limits):
                self._connection = driver.connection(channel.endpoint.namespace)
                state = self._connection.open_channel(channel.endpoint, channel.parameter)
        except BaseException as error:
            channel.on_end(error, None)
            raise
        self._reader = ChannelReader(channel, state)
        self._open.append(True)

    def __iter__(self) -> Iterator[E]:
        reader = self._reader
        inbox, feed, more = reader.state.inbox, reader.channel.feed, reader.more
        try:
            while (event := self._step()) is not None:
                yield event[0]
                # What has come meanwhile, without a step for each: every token comes this way.
                while inbox and self._open and not (more or self._waiting):
                    try:
                        events = feed(inbox.popleft())
                    except BaseException as error:
                        self._fail(error)
                        raise
                    if events:
                        if len(events) > 1:
                            more.extend(events[1:])
                        yield events[0]
        finally:
            # This generator goes away with the loop that was left early, and so does the stream.
            self.abandon()

    def __next__(self) -> E:
        event = self._step()
        if event is None:
            raise StopIteration
        return event[0]

    def receive(self, limits: Limits | None = None) -> tuple[E] | None:
        """The next event in a tuple, or ``None`` at the end, within limits of its own.

        For channels that live on: when the limits are exceeded or the wait is interrupted, the
        channel stays open, other than with ``next``.
        """
        self._limits, self._keep = limits, True
        return self._step()

    def _step(self) -> tuple[E] | None:
        """The next event, in a tuple since an event may be anything; ``None`` at the end."""
        reader = self._reader
        if self._waiting:
            raise LMStudioRuntimeError("Another thread is waiting for this stream's next event.")
        try:
            while self._open:
                event = reader.take()
                if event is not None:
                    return event
                if reader.finished:
                    break
                if self._limits is not None:
                    self._limits.check(reader.channel.endpoint)
                self._wait()
        except BaseException as error:
            self._fail(error)
            raise
        self._end(None)
        return None

    def _fail(self, error: BaseException) -> None:
        if not self._keep or self._reader.state.closed:
            self._end(error)

    def _wait(self) -> None:
        self._waiting = True
        try:
            with using(self._limits):
                self._connection.wait(self._reader.state)
        finally:
            self._waiting = False

    def _end(self, error: BaseException | None) -> None:
        try:
            self._open.pop()
        except IndexError:  # it has ended
            return
        reader = self._reader
        if not reader.state.closed:
            self._connection.abandon(reader.state, reader.cancel_message)
        reader.channel.on_end(error, self._connection.address)
        self._driver.observe(reader.channel.endpoint, self._started, error)

    @property
    def ended(self) -> bool:
        """Whether it is over: read to its end, closed, left early, or failed."""
        return not self._open

    def cancel(self) -> None:
        """Ask the server to stop; go on iterating to get what it still sends, and the result.

        It may be called anywhere, in a signal handler, say, and waits for nothing.
        """
        message = self._reader.cancel_message
        if message is not None and self._open:
            self._connection.say(self._reader.state, message)

    def send(self, message: Any) -> None:
        """Send a packet on the channel."""
        self._connection.send(self._reader.state, message)

    def close(self) -> None:
        """Stop waiting; the server is told if it had not finished. It may be called anywhere."""
        self._end(None)

    def abandon(self) -> None:
        """``close`` for finalizers.

        Nothing happens while a thread waits for an event: then what went away is an iteration
        that was turned away because of that thread.
        """
        if not self._waiting:
            self._end(None)

    def result(self) -> R:
        """The result, once the iteration has ended.

        Raises:
            LMStudioRuntimeError: The channel has not ended, or was closed before its end.
        """
        if not self._reader.channel.done:
            raise LMStudioRuntimeError(
                f"There is no result yet: iterate over the whole stream of "
                f"{self._reader.channel.endpoint} first."
            )
        return self._reader.channel.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):  # an exception may have kept it from being made
            self.abandon()
