"""Cutting documents into passages, and finding those that fit a query. No I/O."""

from __future__ import annotations

import math
from array import array
from collections import deque
from dataclasses import dataclass
from operator import mul
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .document import Document

__all__ = ["Passage", "cut", "passages_of", "rank", "unit_vector"]

SEPARATORS: Final = ("\n\n", "\n", ". ", " ")
"""Where a text is cut, the best place first."""


@dataclass
class Passage:
    """A part of a document."""

    content: str
    pages: tuple[int, int] | None
    """First and last page, from 1, where the file has pages."""
    lines: tuple[int, int] | None
    """First and last line, from 1, where it has none."""
    vector: array[float] | None = None

    def to_wire(self, score: float, source: int) -> dict[str, Any]:
        """An ``internalRetrievalResultEntry``."""
        entry: dict[str, Any] = {"content": self.content, "score": score, "sourceIndex": source}
        for key, span in (("pageNumber", self.pages), ("lineNumber", self.lines)):
            if span is not None:
                entry[key] = span[0] if span[0] == span[1] else list(span)
        return entry


def cut(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where passages of at most ``size`` characters begin and end.

    Cuts are made between paragraphs where possible, then between lines, sentences, words. A passage
    begins with up to ``overlap`` characters of the one before it, as far as whole pieces fit. With an
    overlap of more than half, passages could begin anew at each word, so that is the most there is.
    Only the pieces of one passage are held at a time: a text may have millions.

    Args:
        text: The text.
        size: The most characters of a passage.
        overlap: Characters that a passage repeats of the one before.
    """
    overlap = min(overlap, size // 2)
    held: deque[tuple[int, int]] = deque()
    for piece in _pieces(text, 0, len(text), size, SEPARATORS):
        if held and piece[1] - held[0][0] > size:
            end = held[-1][1]
            yield held[0][0], end
            earliest = max(end - overlap, piece[1] - size)
            while held and held[0][0] < earliest:
                held.popleft()
        held.append(piece)
    if held:
        yield held[0][0], held[-1][1]


def _pieces(
    text: str, start: int, end: int, size: int, separators: Sequence[str]
) -> Iterator[tuple[int, int]]:
    if end - start <= size:
        if end > start:
            yield start, end
        return
    if not separators:
        for at in range(start, end, size):
            yield at, min(at + size, end)
        return
    here, rest = separators[0], separators[1:]
    while start < end:
        found = text.find(here, start, end)
        stop = end if found < 0 else found + len(here)
        yield from _pieces(text, start, stop, size, rest)
        start = stop


def passages_of(document: Document, size: int, overlap: int) -> Iterator[Passage | None]:
    """A document's passages, in order; ``None`` for each that is only white space.

    Args:
        document: The document, page by page.
        size: The most characters of a passage.
        overlap: Characters that a passage repeats of the one before.
    """
    for number, page in enumerate(document.pages, 1):
        line, counted = 1, 0
        for start, end in cut(page, size, overlap):
            content = page[start:end]
            if not content.strip():
                yield None
                continue
            begin = start + len(content) - len(content.lstrip())
            stop = end - (len(content) - len(content.rstrip()))
            line, counted = line + page.count("\n", counted, begin), begin
            lines = line, line + page.count("\n", begin, stop - 1)
            yield Passage(
                content.strip(),
                pages=(number, number) if document.paged else None,
                lines=None if document.paged else lines,
            )


def unit_vector(vector: Sequence[float]) -> array[float]:
    """A vector of the same direction and of length 1 (the zero vector stays as it is)."""
    length = math.sqrt(sum(map(mul, vector, vector)))
    return array("f", vector if length == 0 else [value / length for value in vector])


def rank(
    query: Sequence[float], sources: Iterable[tuple[int, Iterable[Passage]]], limit: int
) -> list[dict[str, Any]]:
    """The ``limit`` passages nearest to the query by the cosine, the best first.

    Args:
        query: The vector of the query.
        sources: Pairs of a document's number and its passages with their vectors.
        limit: How many passages.
    """
    wanted = unit_vector(query)
    scored = [
        (sum(map(mul, wanted, passage.vector)), source, passage)
        for source, passages in sources
        for passage in passages
        if passage.vector is not None
    ]
    scored.sort(key=lambda item: -item[0])
    return [passage.to_wire(score, source) for score, source, passage in scored[:limit]]
