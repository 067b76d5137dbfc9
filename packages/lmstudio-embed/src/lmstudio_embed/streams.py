"""Vectors of many texts, one by one as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from typing_extensions import Self

from lmstudio_core.errors import LMStudioServerError

__all__ = ["AsyncEmbeddingStream", "EmbeddingStream"]


class _EmbeddingStream:
    """What both streams share.

    Attributes:
        failed: The texts that the server could not embed so far: their positions in the input,
            counted from 0, and the errors. It stays empty if errors are raised.
    """

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self._position = -1
        self.failed: list[tuple[int, LMStudioServerError]] = []

    def _is_wanted(self, result: Any) -> bool:
        self._position += 1
        if not isinstance(result, LMStudioServerError):
            return True
        self.failed.append((self._position, result))
        return not self._skip


class EmbeddingStream(_EmbeddingStream):
    """The vectors of many texts in their order; made by ``EmbeddingModel.embed_stream``."""

    def __init__(self, results: Iterator[Any], *, skip: bool) -> None:
        super().__init__(skip=skip)
        self._results = results

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            if self._is_wanted(result := next(self._results)):
                return result


class AsyncEmbeddingStream(_EmbeddingStream):
    """The vectors of many texts in their order; made by ``AsyncEmbeddingModel.embed_stream``."""

    def __init__(self, results: AsyncIterator[Any], *, skip: bool) -> None:
        super().__init__(skip=skip)
        self._results = results

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            if self._is_wanted(result := await self._results.__anext__()):
                return result
