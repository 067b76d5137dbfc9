"""Predictions as streams, for synchronous programs and for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar, cast

from typing_extensions import Self

from lmstudio_core.errors import (
    LMStudioCancelledError,
    LMStudioError,
    LMStudioRequestRejectedError,
    LMStudioRuntimeError,
)
from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_core.program.tracebacks import CUT, Short, cut
from lmstudio_core.protocol.runner import AsyncChannelStream, AsyncRunner, ChannelStream, SyncRunner
from lmstudio_core.timeouts import CallLimits, limits_of

from .attempts import Prediction
from .config import LlmLoadModelConfig, LlmPredictionConfig
from .fragments import LlmPredictionFragment, PredictionEvent
from .partials import AsyncPartials, Partials
from .results import LlmPredictionStats, PredictionResult
from .vision import check_vision

T = TypeVar("T")
_S = TypeVar("_S", bound="ChannelStream[Any, Any] | AsyncChannelStream[Any, Any]")


class PredictionStreamBase(Short, Generic[T, _S]):
    """What both kinds of streams share; ``_S`` is the kind of channel stream below."""

    def __init__(self, prediction: Prediction[T], limits: CallLimits | None) -> None:
        limits_of(limits or {})  # complains of what is wrong now, not when the stream is used
        self._limits: CallLimits = limits or {}
        self._prediction = prediction
        self._checked = prediction.sees is None
        self._source: _S | None = None
        self._closed = self._cancelled = False
        self._failure: LMStudioError | None = None

    @property
    def _left(self) -> bool:
        """Whether nothing more comes, though there is no result."""
        return self._closed or (self._source is not None and self._source.ended)

    def _given(self, result: PredictionResult[T] | None) -> PredictionResult[T] | None:
        """The result as it is handed out: a strict one satisfies its format."""
        if result is not None and self._prediction.strict:
            result.check()
        return result

    def _finished(self) -> PredictionResult[T] | None:
        channel = self._prediction.channel
        return channel.result() if channel.done else None

    def _recover(self, error: LMStudioError) -> None:
        """Continue with the other way of asking after a rejection; raises any other ``error``."""
        if isinstance(error, LMStudioRequestRejectedError) and self._prediction.fallback:
            self._prediction.fall_back(error)
            self._source = None
        else:
            self._failure = error
            raise error

    def _no_result(self) -> NoReturn:
        if self._failure is not None:
            raise self._failure
        raise LMStudioCancelledError(
            "The stream was left before the prediction ended, so there is no result. To stop early "
            "and keep what there is, call cancel() and iterate to the end."
        )

    @property
    def model_info(self) -> LlmInstanceInfo | None:
        """The model that answered; ``None`` before the end."""
        result = self._finished()
        return None if result is None else result.model_info

    @property
    def stats(self) -> LlmPredictionStats | None:
        """Why it stopped, how many tokens, how fast; ``None`` before the end."""
        result = self._finished()
        return None if result is None else result.stats

    @property
    def load_config(self) -> LlmLoadModelConfig | None:
        """How the model was loaded; ``None`` before the end."""
        result = self._finished()
        return None if result is None else result.load_config

    @property
    def prediction_config(self) -> LlmPredictionConfig | None:
        """The config that the server used; ``None`` before the end."""
        result = self._finished()
        return None if result is None else result.prediction_config

    def __repr__(self) -> str:
        channel = self._prediction.channel
        state = "closed" if self._left else "running" if self._source else "not started"
        return f"<{type(self).__name__} {'finished' if channel.done else state}>"


class PredictionStream(
    PredictionStreamBase[T, ChannelStream[PredictionEvent, PredictionResult[T]]], Partials[T]
):  # public
    """A prediction while it is made: iterate over its fragments, then take the result.

    The request is sent when the stream is first used. Leaving a ``for`` loop or a ``with`` block
    early tells the server to stop, and forgoes the result.

    Example:
        >>> stream = model.respond_stream("Name a colour.")
        >>> for fragment in stream:
        ...     print(fragment.content, end="", flush=True)
        >>> stream.result().stats.stop_reason
        'eosFound'
    """

    def __init__(
        self,
        client: SyncRunner,
        prediction: Prediction[T],
        limits: CallLimits | None = None,
    ) -> None:
        super().__init__(prediction, limits)
        self._client = client

    def start(self) -> None:
        """Send the request, if that has not been done."""
        self._opened()

    def _opened(self) -> ChannelStream[PredictionEvent, PredictionResult[T]]:
        if self._source is None:
            if self._closed:
                self._no_result()
            if not self._checked and self._prediction.sees is not None:
                self._client.run(check_vision(self._prediction.sees), **self._limits)
                self._checked = True
            source = self._source = self._client.open(self._prediction.channel, **self._limits)
            if self._closed:  # by another thread, while the connection was made
                source.close()
            elif self._cancelled:
                self._prediction.channel.cancelled()
                source.cancel()
            return source
        return self._source

    def __iter__(self) -> Iterator[LlmPredictionFragment]:
        """The fragments of text, in order; ``events()`` gives tool calls and progress as well."""
        return cast("Iterator[LlmPredictionFragment]", self._iterate(every=False))

    def events(self) -> Iterator[PredictionEvent]:
        """Everything that happens: fragments, tool calls in the making, progress of the prompt."""
        return self._iterate(every=True)

    def _iterate(self, *, every: bool) -> Iterator[PredictionEvent]:
        try:
            while not self._prediction.channel.done:
                try:
                    # The loop's own iterator goes away when this generator is left, and with it
                    # the channel: the server is told to stop.
                    for event in self._opened():
                        if every or event.__class__ is LlmPredictionFragment:
                            yield event
                except LMStudioError as error:
                    self._recover(error)
                else:
                    return
        except CUT as error:
            raise cut(error)  # LMSTUDIO_DEBUG=1 shows where  # noqa: B904

    def cancel(self) -> None:
        """Ask the server to stop; iterate to the end to get the result so far.

        No fragments come after this, whatever the server still sends. A request that has not been
        sent yet is cancelled as soon as it is.
        """
        self._cancelled = True
        self._prediction.channel.cancelled()
        if (source := self._source) is not None:
            source.cancel()

    def close(self) -> None:
        """Give up the prediction; the server is told if it had not finished."""
        self._closed = True
        if self._source is not None:
            self._source.close()

    def wait_for_result(self) -> PredictionResult[T]:
        """Run the prediction to its end, whatever was iterated over so far.

        Raises:
            LMStudioPredictionError: The server could not finish it, or it is ``strict`` and the
                output is not in its format.
            LMStudioCancelledError: The stream was left or closed before the end.
        """
        for _ in self.events():
            pass
        return self._given(self._finished()) or self._no_result()

    def result(self) -> PredictionResult[T]:
        """The result; the prediction is run to its end first if need be. See ``wait_for_result``."""
        return self._given(self._finished()) or self.wait_for_result()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncPredictionStream(
    PredictionStreamBase[T, AsyncChannelStream[PredictionEvent, PredictionResult[T]]],
    AsyncPartials[T],
):  # public
    """A prediction while it is made, for asyncio: iterate over its fragments, then take the result.

    It may be awaited or iterated over directly: ``async for fragment in model.respond_stream(…)``
    and ``async for fragment in await model.respond_stream(…)`` do the same. The request is sent
    when the stream is first used. Leaving an ``async for`` loop or an ``async with`` block early
    tells the server to stop, and forgoes the result.

    Example:
        >>> async def main() -> None:
        ...     stream = model.respond_stream("Name a colour.")
        ...     async for fragment in stream:
        ...         print(fragment.content, end="", flush=True)
        ...     print(stream.result().stats.stop_reason)
    """

    def __init__(
        self,
        client: AsyncRunner,
        prediction: Prediction[T],
        limits: CallLimits | None = None,
    ) -> None:
        super().__init__(prediction, limits)
        self._client = client

    async def start(self) -> None:
        """Send the request, if that has not been done."""
        if not self._prediction.channel.done:
            await self._check()
            await (await self._opened()).start()

    async def _check(self) -> None:
        if not self._checked and not self._closed and self._prediction.sees is not None:
            await self._client.run(check_vision(self._prediction.sees), **self._limits)
            self._checked = True

    def __await__(self) -> Generator[Any, None, Self]:
        return self._started().__await__()

    async def _started(self) -> Self:
        await self.start()
        return self

    async def _opened(self) -> AsyncChannelStream[PredictionEvent, PredictionResult[T]]:
        if self._source is None:
            if self._closed:
                self._no_result()
            source = self._source = self._client.open(self._prediction.channel, **self._limits)
            if self._cancelled:
                self._prediction.channel.cancelled()
                await source.cancel()
            return source
        return self._source

    async def _source_to_read(
        self,
    ) -> AsyncChannelStream[PredictionEvent, PredictionResult[T]] | None:
        if self._prediction.channel.done:
            return None
        await self._check()
        return await self._opened()

    def __aiter__(self) -> AsyncIterator[LlmPredictionFragment]:
        """The fragments of text, in order; ``events()`` gives tool calls and progress as well."""
        fragments = _AsyncIteration(self._source_to_read, self._recover, every=False)
        return cast("AsyncIterator[LlmPredictionFragment]", fragments)

    def events(self) -> AsyncIterator[PredictionEvent]:
        """Everything that happens: fragments, tool calls in the making, progress of the prompt."""
        return _AsyncIteration(self._source_to_read, self._recover, every=True)

    async def cancel(self) -> None:
        """Ask the server to stop; iterate to the end to get the result so far.

        No fragments come after this, whatever the server still sends. A request that has not been
        sent yet is cancelled as soon as it is.
        """
        self._cancelled = True
        self._prediction.channel.cancelled()
        if self._source is not None:
            await self._source.cancel()

    async def aclose(self) -> None:
        """Give up the prediction; the server is told if it had not finished."""
        self._closed = True
        if self._source is not None:
            await self._source.aclose()

    async def wait_for_result(self) -> PredictionResult[T]:
        """Run the prediction to its end, whatever was iterated over so far.

        Raises:
            LMStudioPredictionError: The server could not finish it, or it is ``strict`` and the
                output is not in its format.
            LMStudioCancelledError: The stream was left or closed before the end.
        """
        async for _ in self.events():
            pass
        return self._given(self._finished()) or self._no_result()

    def result(self) -> PredictionResult[T]:
        """The result, after the end of the iteration; ``await wait_for_result()`` gets there.

        Raises:
            LMStudioRuntimeError: The prediction has not ended.
            LMStudioCancelledError: The stream was closed before its end.
        """
        result = self._given(self._finished())
        if result is None and self._left:
            self._no_result()
        if result is None:
            raise LMStudioRuntimeError(
                "The prediction has not ended: iterate over the stream first, or use "
                "'await stream.wait_for_result()'."
            )
        return result

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class _AsyncIteration(AsyncIterator[PredictionEvent]):
    """One ``async for``. It holds the channel's own iteration, which abandons when it is dropped.

    Not an async generator: the event loop closes one that was left only some time later.
    """

    def __init__(
        self,
        source: Callable[[], Awaitable[AsyncChannelStream[PredictionEvent, Any] | None]],
        recover: Callable[[LMStudioError], None],
        *,
        every: bool,
    ) -> None:
        self._source = source
        self._recover = recover
        self._every = every
        self._held: object = None
        self._advance: Callable[[], Awaitable[PredictionEvent]] | None = None
        self._at_hand: Callable[[], tuple[PredictionEvent] | None] = _nothing

    async def __anext__(self) -> PredictionEvent:
        while True:
            try:
                if (ready := self._at_hand()) is not None:
                    event = ready[0]
                else:
                    if self._advance is None:
                        await self._begin()
                    event = await cast("Any", self._advance)()
            except LMStudioError as error:
                try:
                    self._recover(error)
                except LMStudioError:
                    raise cut(error)  # LMSTUDIO_DEBUG=1 shows where  # noqa: B904
                self._held = self._advance = None
                self._at_hand = _nothing
                continue
            if self._every or event.__class__ is LlmPredictionFragment:
                return event

    async def _begin(self) -> None:
        source = await self._source()
        if source is None:
            raise StopAsyncIteration
        self._held, self._advance = source.__aiter__(), source.__anext__
        self._at_hand = source.at_hand


def _nothing() -> None:
    """Nothing is at hand before an attempt has begun."""
