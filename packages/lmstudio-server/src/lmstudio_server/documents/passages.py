"""Cutting documents into passages, and finding those that fit a query. No I/O."""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_right
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


def cut(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    """Where passages of at most ``size`` characters begin and end.

    Cuts are made between paragraphs where possible, then between lines, sentences, words. A passage
    begins with up to ``overlap`` characters of the one before it, as far as whole pieces fit.
    """
    pieces = list(_pieces(text, 0, len(text), size, SEPARATORS))
    spans: list[tuple[int, int]] = []
    first = 0
    for n, (_, end) in enumerate(pieces):
        following = pieces[n + 1][1] if n + 1 < len(pieces) else math.inf
        if following - pieces[first][0] <= size:
            continue
        spans.append((pieces[first][0], end))
        first = _step_back(pieces, n + 1, end - overlap, following - size)
    return spans


def _step_back(pieces: Sequence[tuple[int, int]], first: int, earliest: float, room: float) -> int:
    """The piece a passage begins with: at most as far back as both limits allow."""
    while first > 0 and pieces[first - 1][0] >= max(earliest, room):
        first -= 1
    return first


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


def passages_of(document: Document, size: int, overlap: int) -> list[Passage]:
    """A document's passages, in order; those that are only white space are left out."""
    found: list[Passage] = []
    for number, page in enumerate(document.pages, 1):
        breaks = [found.start() for found in re.finditer("\n", page)]
        for start, end in cut(page, size, overlap):
            content = page[start:end]
            if not content.strip():
                continue
            begin = start + len(content) - len(content.lstrip())
            stop = end - (len(content) - len(content.rstrip()))
            lines = bisect_right(breaks, begin) + 1, bisect_right(breaks, stop - 1) + 1
            found.append(
                Passage(
                    content.strip(),
                    pages=(number, number) if document.paged else None,
                    lines=None if document.paged else lines,
                )
            )
    return found


def unit_vector(vector: Sequence[float]) -> array[float]:
    """A vector of the same direction and of length 1 (the zero vector stays as it is)."""
    length = math.sqrt(sum(map(mul, vector, vector)))
    return array("f", vector if length == 0 else [value / length for value in vector])


def rank(
    query: Sequence[float], sources: Iterable[tuple[int, Sequence[Passage]]], limit: int
) -> list[dict[str, Any]]:
    """The ``limit`` passages nearest to the query by the cosine, the best first."""
    wanted = unit_vector(query)
    scored = [
        (sum(map(mul, wanted, passage.vector)), source, passage)
        for source, passages in sources
        for passage in passages
        if passage.vector is not None
    ]
    scored.sort(key=lambda item: -item[0])
    return [passage.to_wire(score, source) for score, source, passage in scored[:limit]]
