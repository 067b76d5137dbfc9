"""Reading and searching vectors where numpy is not installed: slower, and no less right."""

from __future__ import annotations

import ast
import heapq
import importlib.util
import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from operator import mul
from pathlib import Path
from typing import Any, Final

from lmstudio_core.lenient import error_text

from ..nearest import EmbeddingMatch

__all__ = ["PlainRows", "has_numpy", "read_npy", "search_plainly"]

_MAGIC: Final = b"\x93NUMPY"
_CODES: Final = {"f4": "f", "f8": "d"}


def has_numpy() -> bool:
    """Whether numpy is there to do it."""
    try:
        return importlib.util.find_spec("numpy") is not None
    except ValueError:  # it is kept from being imported
        return False


class PlainRows:
    """Vectors of one length, one behind the other in one array of float32.

    Args:
        rows: The vectors; more can be added.
    """

    def __init__(self, rows: Iterable[Sequence[float]] = ()) -> None:
        self._numbers = array("f")
        self._width = 0
        for row in rows:
            self.add(row)

    @classmethod
    def of(cls, numbers: array[float], width: int) -> PlainRows:
        """Rows that are made of numbers which are there already."""
        rows = cls()
        rows._numbers, rows._width = numbers, width
        return rows

    def add(self, vector: Sequence[float]) -> None:
        """Append one."""
        if self._width and len(vector) != self._width:
            raise ValueError(f"it holds vectors of {self._width} and of {len(vector)} numbers")
        self._width = len(vector)
        self._numbers.extend(map(float, vector))

    def finish(self) -> PlainRows:
        """These rows, as numpy's builder has it."""
        return self

    def __len__(self) -> int:
        return len(self._numbers) // self._width if self._width else 0

    def __getitem__(self, row: int) -> array[float]:
        return self._numbers[row * self._width : (row + 1) * self._width]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows, and of the numbers in each."""
        return len(self), self._width


def read_npy(path: Path) -> PlainRows:
    """A matrix of floating-point numbers in numpy's format.

    Raises:
        ValueError: The file holds something else.
    """
    try:
        return _read_npy(path)
    except (struct.error, SyntaxError, EOFError) as error:
        raise ValueError(f"its head cannot be read: {error_text(error)}") from error


def _read_npy(path: Path) -> PlainRows:
    with path.open("rb") as stream:
        magic, (major, _) = stream.read(6), stream.read(2).ljust(2)
        if magic != _MAGIC:
            raise ValueError("it holds no array of numbers")
        size = stream.read(2 if major == 1 else 4)
        length: int = struct.unpack("<H" if major == 1 else "<I", size)[0]
        head: dict[str, Any] = ast.literal_eval(stream.read(length).decode("latin-1"))
        numbers = stream.read()
    order, kind, shape = head["descr"][0], head["descr"][1:], head["shape"]
    if kind not in _CODES:
        raise ValueError(f"numpy is needed to read numbers of the type {head['descr']!r}")
    if len(shape) != 2 or head["fortran_order"]:
        raise ValueError(f"it holds an array of {len(shape)} dimensions, not a matrix")
    found: array[float] = array(_CODES[kind])
    found.frombytes(numbers[: shape[0] * shape[1] * found.itemsize])
    if (order == ">") != (sys.byteorder == "big"):
        found.byteswap()
    if len(found) != shape[0] * shape[1]:
        raise ValueError("it ends before its last vector")
    return PlainRows.of(found if kind == "f4" else array("f", found), shape[1])


def search_plainly(query: Sequence[float], rows: PlainRows, k: int) -> list[EmbeddingMatch]:
    """The ``k`` rows nearest to a query by cosine similarity, the nearest first; of equals the first.

    Rows that are not numbers (texts that could not be embedded) are never found.
    """
    length = math.hypot(*query)
    matches: list[EmbeddingMatch] = []
    for position in range(len(rows)):
        row = rows[position]
        both = length * math.hypot(*row)
        score = sum(map(mul, query, row)) / both if both else 0.0
        if not math.isnan(score):
            matches.append(EmbeddingMatch(position, score))
    return heapq.nsmallest(k, matches, key=lambda match: (-match.score, match.position))
