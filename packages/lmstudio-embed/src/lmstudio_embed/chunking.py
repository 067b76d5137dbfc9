"""Long texts: where to cut them, and how the parts' vectors become one. Pure arithmetic.

A server counts tokens but does not say where in the text each of them lies, so a text is cut into
ranges of equal length in characters, sized by how many of them a token of this text has on average.
Each part is then counted; the few that came out too large are cut again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .options import Pool

__all__ = ["Part", "cut", "first_cut", "pooled", "unit"]

_FILL: Final = 0.9
"""How full the parts are aimed to be: token lengths vary, and a second cut costs a round trip."""


@dataclass(eq=False)
class Part:
    """One part of a text: what is new in it, and where it begins with the overlap.

    ``tokens`` and ``vector`` are ``None`` until the server has told them.
    """

    start: int
    begin: int
    end: int
    tokens: int | None = None
    vector: list[float] | None = None


def first_cut(text: str, tokens: int, size: int, overlap: int) -> list[Part]:
    """The parts of a text that has ``tokens`` tokens, more than ``size``."""
    stride = max(1.0, size * _FILL - overlap)
    count = max(2, math.ceil((tokens - overlap) / stride))
    return cut(text, 0, len(text), count, _characters(text, tokens, overlap))


def _characters(text: str, tokens: int, overlap: int) -> int:
    return math.ceil(overlap * len(text) / tokens)


def cut(text: str, begin: int, end: int, count: int, overlap: int) -> list[Part]:
    """``count`` parts of about equal length, or fewer; cut between words where that is possible.

    Args:
        text: The whole text.
        begin: Where the first part's new text begins.
        end: Where the last part ends.
        count: How many parts.
        overlap: Characters of what comes before that each part begins with.
    """
    length = (end - begin) / count
    edges = [begin]
    for number in range(1, count):
        wanted = begin + round(number * length)
        edge = _word_start(text, wanted, lowest=edges[-1] + max(1, round(length / 2)))
        if edges[-1] < edge < end:
            edges.append(edge)
    edges.append(end)
    return [
        Part(_word_start(text, max(0, b - overlap), lowest=max(0, b - 2 * overlap)), b, e)
        for b, e in itertools.pairwise(edges)
    ]


def _word_start(text: str, wanted: int, *, lowest: int) -> int:
    """The last beginning of a word up to ``wanted``, but not below ``lowest``; else ``wanted``."""
    for position in range(wanted, max(lowest, 1) - 1, -1):
        if text[position - 1].isspace():
            return position
    return 0 if lowest <= 0 else wanted


def pooled(vectors: Sequence[Sequence[float]], weights: Sequence[int], pool: Pool) -> list[float]:
    """One vector for several."""
    if pool == "max":
        return [max(column) for column in zip(*vectors, strict=True)]
    if pool == "first" or len(vectors) == 1:
        return list(vectors[0])
    total = sum(weights)
    mean = [
        sum(weight * value for weight, value in zip(weights, column, strict=True)) / total
        for column in zip(*vectors, strict=True)
    ]
    # The mean of vectors that point different ways is shorter than they are. A model that makes
    # vectors of length 1 keeps doing so: dot products stay comparable between long and short texts.
    length = sum(w * math.hypot(*v) for w, v in zip(weights, vectors, strict=True)) / total
    shrunk = math.hypot(*mean)
    return [value * length / shrunk for value in mean] if shrunk else mean


def unit(vector: Sequence[float]) -> list[float]:
    """The vector scaled to length 1; one of zeros stays as it is."""
    peak = max(map(abs, vector), default=0.0)
    if not peak:
        return list(vector)
    scaled = [value / peak for value in vector]  # so that no square is beyond what a float holds
    length = math.hypot(*scaled)
    return [value / length for value in scaled]
