"""Vectors as numpy arrays. numpy is imported when the first of them is wanted.

The server's answer is JSON, and the numbers in it are parsed by the JSON parser: for 384 of them
14 µs, and 6 µs to copy them into a row of float32. numpy's own text parser on the same bytes takes
112 µs. So there is a list for a moment, never one per vector kept.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioServerError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FloatArray", "Rows", "load_numpy", "normalized", "row"]

_FIRST_ROWS: Final = 256

if TYPE_CHECKING:

    class FloatArray(np.ndarray[Any, np.dtype[np.float32]]):
        """An ``NDArray[numpy.float32]`` in the signature of a method that can give lists as well.

        A class of its own to checkers alone: where numpy is not installed they do not know the base
        but know the class, while an unknown type would make a strict one object to every use of the
        method.
        """

else:
    FloatArray = Any


def load_numpy() -> Any:
    """The module ``numpy``.

    Raises:
        LMStudioRuntimeError: It is not installed.
    """
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise LMStudioRuntimeError(
            "This needs numpy (the extra lmstudio-embed[numpy]), which is not installed. Install it "
            "with: pip install numpy"
        ) from error


def row(vector: Sequence[float]) -> NDArray[np.float32]:
    """One vector as an array."""
    numpy = load_numpy()
    found: NDArray[np.float32] = numpy.array(vector, dtype=numpy.float32)
    return found


def normalized(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows (or the one vector) scaled to length 1, in place; rows of zeros stay."""
    numpy = load_numpy()
    with numpy.errstate(invalid="ignore"):  # a row that is not finite becomes NaN
        peaks = _peaks(matrix)
        numpy.divide(matrix, peaks, out=matrix, where=peaks != 0)
        lengths = numpy.linalg.norm(matrix, axis=-1, keepdims=True)
        numpy.divide(matrix, lengths, out=matrix, where=lengths != 0)
    return matrix


def _peaks(matrix: Any) -> Any:
    """The largest number of each row: divided by it, no square is beyond what a float holds."""
    numpy = load_numpy()
    if not matrix.shape[-1]:
        return numpy.zeros((*matrix.shape[:-1], 1), matrix.dtype)
    most, least = (find(matrix, axis=-1, keepdims=True) for find in (numpy.max, numpy.min))
    return numpy.maximum(most, -least)  # the matrix may be large: abs() would copy it


class Rows:
    """A float32 array of vectors that come one by one.

    Args:
        expected: How many there will be, if that is known: then nothing is ever copied.
    """

    def __init__(self, expected: int | None) -> None:
        self._numpy = load_numpy()
        self._expected = expected
        self._array: Any = None
        self._count = 0

    def add(self, vector: Sequence[float]) -> None:
        """Append one."""
        if self._array is None:
            first = _FIRST_ROWS if self._expected is None else max(1, self._expected)
            self._array = self._numpy.empty((first, len(vector)), dtype=self._numpy.float32)
        elif self._count == len(self._array):
            grown = (2 * self._count, self._array.shape[1])
            array = self._numpy.empty(grown, dtype=self._numpy.float32)
            array[: self._count] = self._array
            self._array = array
        if len(vector) != self._array.shape[1]:
            raise LMStudioServerError(
                f"The server's vectors differ in length: {len(vector)} after "
                f"{self._array.shape[1]}. Was the model replaced meanwhile?"
            )
        self._array[self._count] = vector
        self._count += 1

    def finish(self) -> NDArray[np.float32]:
        """The array ``(n, dim)``; ``(0, 0)`` if nothing was added."""
        found: NDArray[np.float32]
        if self._array is None:
            found = self._numpy.empty((0, 0), dtype=self._numpy.float32)
        else:
            found = self._array if self._count == len(self._array) else self._array[: self._count]
        return found
