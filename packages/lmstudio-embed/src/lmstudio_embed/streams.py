"""Vectors of many texts, one by one as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from typing_extensions import Self, Unpack

from lmstudio_core.errors import LMStudioModelNotFoundError, LMStudioServerError
from lmstudio_core.observe.observations import EmbeddingObservation, begin_observation, is_observed
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Batch
from lmstudio_core.protocol.runner import AsyncRunner, SyncRunner
from lmstudio_core.timeouts import CallLimits

from . import arrays
from .arriving import ArrivingTexts
from .chunking import unit
from .fold import EmbeddingFold
from .options import EmbedOptions
from .progress import Reporter, reporter

V = TypeVar("V")


class _EmbeddingStream(Short):
    """What both streams share.

    Attributes:
        failed: The texts that the server could not embed so far: their positions in the input,
            counted from 0, and the errors. It stays empty if errors are raised.
    """

    def __init__(self, client: Any, fold: EmbeddingFold, progress: Any, total: int | None) -> None:
        self.failed: list[tuple[int, LMStudioServerError]] = []
        self._client = client
        self._fold = fold
        self._on_error = fold.options.on_error
        self._total = total
        self._position = -1
        self._ended = False
        if fold.options.as_array:
            arrays.load_numpy()  # what cannot end well need not begin
        self._progress: Reporter | None = reporter(progress, total)
        self._observation: EmbeddingObservation | None = None
        self._observed = False
        self._context = copy_context()

    def _batch(self) -> Batch[Any]:
        return Batch(self._fold, self._fold.options.max_in_flight, keep_errors=True)

    def _advance(self) -> Any:
        """The next result, or ``None`` if answers are needed first. May raise a text's error."""
        while (slot := self._fold.take()) is not None:
            self._position += 1
            if self._progress is not None:
                self._progress.advance()
            result = slot.result
            if self._observation is not None:
                self._note(self._observation, result)
            if not isinstance(result, LMStudioServerError):
                return result
            if self._on_error == "raise" or isinstance(result, LMStudioModelNotFoundError):
                raise result  # a model that is gone is the failure of no text
            self.failed.append((self._position, result))
            if self._on_error == "return":
                return result
        return None

    def _observe(self) -> None:
        """Tell observers, when the first result is asked for."""
        if not self._observed:
            self._observed = True
            if not is_observed(EmbeddingObservation):
                return
            observation = EmbeddingObservation(model=self._fold.identifier)
            self._observation = begin_observation(observation, self._context)

    @staticmethod
    def _note(observation: EmbeddingObservation, result: Any) -> None:
        if isinstance(result, LMStudioServerError):
            observation.failed += 1
        else:
            observation.texts += 1
            observation.dimensions = len(result)

    def _shaped(self, result: Any) -> Any:
        """A vector as the caller wants it."""
        options = self._fold.options
        if isinstance(result, LMStudioServerError):
            return result
        if options.as_array:
            array = arrays.row(result)
            return arrays.normalized(array) if options.normalize else array
        return unit(result) if options.normalize else result

    def _whole(self) -> _Whole:
        return _Whole(self._fold.options, self._total, self._shaped)

    def _end(self, error: BaseException | None = None) -> None:
        self._ended = True
        if self._observation is not None:
            if self._observation.texts or self._observation.failed:
                self._observation.server = self._client.api_host
            ended = isinstance(error, (StopIteration, StopAsyncIteration))
            self._observation.finish(None if ended else error)
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def __del__(self) -> None:
        if getattr(self, "_progress", None) is not None or getattr(self, "_observation", None):
            self._end()


class _Whole:
    """All results of a stream together: a list, or one array if arrays were asked for."""

    def __init__(
        self, options: EmbedOptions, total: int | None, shaped: Callable[[Any], Any]
    ) -> None:
        self._options = options
        self._rows = arrays.Rows(total) if options.as_array else None
        self._list: list[Any] = []
        self._shaped = shaped

    def add(self, result: Any) -> None:
        """Append one result."""
        if self._rows is None:
            self._list.append(self._shaped(result))
        else:
            self._rows.add(result)

    def finish(self) -> Any:
        """What was added."""
        if self._rows is None:
            return self._list
        matrix = self._rows.finish()
        return arrays.normalized(matrix) if self._options.normalize else matrix

    def leave_with(self, error: Exception) -> None:
        """Leave what was added at the error, as ``partial``; it may be of the source of the texts."""
        with contextlib.suppress(AttributeError, TypeError):  # some take no attributes
            cast("Any", error).partial = self.finish()


class EmbeddingStream(_EmbeddingStream, Generic[V]):  # public
    """The vectors of many texts in their order; made by ``EmbeddingModel.embed_stream``.

    Attributes:
        failed: The texts that the server could not embed so far: their positions in the input,
            counted from 0, and the errors. It stays empty if errors are raised.

    Example:
        >>> [len(vector) for vector in embedder.embed_stream(["a cat", "a dog"])]
        [128, 128]
    """

    def __init__(
        self,
        client: SyncRunner,
        fold: EmbeddingFold,
        progress: Any = None,
        total: int | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        super().__init__(client, fold, progress, total)
        self._results: Any = client.stream(self._batch(), **limits)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> V:
        return cast("V", self._shaped(self._next()))

    def _next(self) -> Any:
        if self._ended:
            raise StopIteration
        try:
            self._observe()
            while (result := self._advance()) is None:
                self._fold.feed(next(self._results))
        except BaseException as error:
            self._end(error)
            self._results.close()
            raise
        return result

    def collect(self) -> Any:
        """All that is still to come: a list, or one array ``(n, dim)`` if arrays were asked for."""
        whole = self._whole()
        try:
            while True:
                whole.add(self._next())
        except StopIteration:
            return whole.finish()
        except Exception as error:
            whole.leave_with(error)
            raise

    def close(self) -> None:
        """Take no more texts, and wait for nothing any more."""
        self._end()
        self._results.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncEmbeddingStream(_EmbeddingStream, Generic[V]):  # public
    """The vectors of many texts in their order; made by ``AsyncEmbeddingModel.embed_stream``.

    Attributes:
        failed: The texts that the server could not embed so far: their positions in the input,
            counted from 0, and the errors. It stays empty if errors are raised.

    Example:
        >>> async def main() -> None:
        ...     async for vector in embedder.embed_stream(["a cat", "a dog"]):
        ...         print(len(vector))
    """

    def __init__(
        self,
        client: AsyncRunner,
        fold: EmbeddingFold,
        progress: Any = None,
        total: int | None = None,
        arriving: ArrivingTexts | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        super().__init__(client, fold, progress, total)
        self._results: Any = client.stream(self._batch(), **limits)
        self._arriving = arriving

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> V:
        return cast("V", self._shaped(await self._next()))

    async def _next(self) -> Any:
        if self._ended:
            raise StopAsyncIteration
        try:
            self._observe()
            while (result := self._advance()) is None:
                if self._arriving is not None:
                    room = self._fold.room
                    await self._arriving.fill(room, wait=not self._fold.unanswered)
                self._fold.feed(await self._results.__anext__())
        except BaseException as error:
            self._end(error)
            await self._leave()
            raise
        return result

    async def collect(self) -> Any:
        """All that is still to come: a list, or one array ``(n, dim)`` if arrays were asked for."""
        whole = self._whole()
        try:
            while True:
                whole.add(await self._next())
        except StopAsyncIteration:
            return whole.finish()
        except Exception as error:
            whole.leave_with(error)
            raise

    async def aclose(self) -> None:
        """Take no more texts, and wait for nothing any more."""
        self._end()
        await self._leave()

    async def _leave(self) -> None:
        await self._results.aclose()
        if self._arriving is not None:
            await self._arriving.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
