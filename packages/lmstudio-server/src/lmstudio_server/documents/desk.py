"""Cutting and ranking for searches, in threads of its own: it holds up no other work, and ends with its server."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lmstudio_server.errors import ShuttingDownError, WireError

from .passages import Passage, passages_of, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .document import Document

__all__ = ["MOST_PASSAGES", "SearchDesk"]

MOST_PASSAGES: Final = 20_000
"""Of one search: each is embedded, which takes milliseconds. At the usual size that is a book of 4,000 pages."""
_THREADS: Final = 2

T = TypeVar("T")


class _EndedError(Exception):
    """The server ends."""


class SearchDesk:
    """Does what searching in documents takes besides reading and embedding them."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._ended = threading.Event()

    async def cut(self, document: Document, size: int, overlap: int, most: int) -> list[Passage]:
        """The passages of a document.

        Args:
            document: The document, page by page.
            size: The most characters of a passage.
            overlap: Characters that a passage repeats of the one before.
            most: The most passages.

        Raises:
            WireError: They are more than ``most``, or the server ends.
        """

        def work() -> list[Passage]:
            found: list[Passage] = []
            # Those of white space count: a text may consist of them.
            for number, passage in enumerate(
                self._while_open(passages_of(document, size, overlap))
            ):
                if number >= most:
                    raise WireError(
                        f"The files have more than {MOST_PASSAGES} passages.",
                        suggestion="Choose a larger chunkSize, or fewer files.",
                    )
                if passage is not None:
                    found.append(passage)
            return found

        return await self._run(work)

    async def rank(
        self, query: Sequence[float], sources: Iterable[tuple[int, Sequence[Passage]]], limit: int
    ) -> list[dict[str, Any]]:
        """The best passages; see ``passages.rank``.

        Args:
            query: The vector of the query.
            sources: Pairs of a document's number and its passages with their vectors.
            limit: How many passages.
        """
        watched = [(number, self._while_open(passages)) for number, passages in sources]
        return await self._run(lambda: rank(query, watched, limit))

    def close(self) -> None:
        """End all work; nobody waits for it, as it looks for this with each passage."""
        self._ended.set()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._ended.is_set():
            raise ShuttingDownError
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lmstudio-search")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except _EndedError as error:
            raise ShuttingDownError from error

    def _while_open(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            if self._ended.is_set():
                raise _EndedError
            yield item
