"""Comparing vectors, and finding the nearest, with numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import error_text
from lmstudio_core.program.tracebacks import short

from .arrays import load_numpy, normalized
from .options import is_count

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


_HINTS: Final = {
    "ArrayLike": "typing:Any",  # numpy's own is nothing that pydantic could check
    "NDArray": "numpy.typing:NDArray",
    "np": "numpy",
}

_BLOCK_ROWS: Final = 16_384


class EmbeddingMatch(NamedTuple):  # public
    """One of the nearest vectors: its row, and its cosine similarity to the query.

    Example:
        >>> EmbeddingMatch(position=3, score=0.9).position
        3
    """

    position: int
    score: float


@short
def similarity(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:  # public
    """The cosine similarity of vectors: 1 for the same direction, 0 for unrelated ones.

    Args:
        a: One vector, or several as rows.
        b: One vector, or several as rows.

    Returns:
        A number for two vectors; for several on one side an array, on both sides a matrix with a
        row for each of ``a`` and a column for each of ``b``.

    Raises:
        LMStudioValueError: The vectors differ in length.
        LMStudioRuntimeError: numpy is not installed.

    Example:
        >>> cat, kitten = embedder.embed(["a cat", "a kitten"], as_array=True)
        >>> bool(-1 <= similarity(cat, kitten) <= 1)
        True
    """
    left, right = _vectors(a, "a"), _vectors(b, "b")
    _check_lengths(left, right)
    found: NDArray[np.float32] = _unit(left) @ _unit(right).T
    return found


@overload
def search(query: list[float], vectors: ArrayLike, k: int = ...) -> list[EmbeddingMatch]: ...
@overload
def search(query: ArrayLike, vectors: ArrayLike, k: int = ...) -> Any: ...
@short
def search(query: Any, vectors: Any, k: int = 10) -> Any:  # public
    """The rows of ``vectors`` that are nearest to ``query``, by cosine similarity.

    ``vectors`` is read block by block, so that a file opened with
    ``numpy.load(path, mmap_mode="r")`` may be larger than the memory. Rows that are not numbers
    (texts that could not be embedded) are never found.

    Args:
        query: One vector, or several as rows.
        vectors: The vectors to search, as rows.
        k: How many to find.

    Returns:
        Up to ``k`` matches, the nearest first; for several queries a list of such lists.

    Raises:
        LMStudioValueError: The vectors differ in length, or ``k`` is not a positive number.
        LMStudioRuntimeError: numpy is not installed.

    Example:
        >>> texts = ["a cat", "a loaf of bread"]
        >>> vectors = embedder.embed(texts, as_array=True)
        >>> [texts[found.position] for found in search(embedder.embed("a cat"), vectors, k=1)]
        ['a cat']
    """
    if not is_count(k, least=1):
        raise LMStudioValueError(f"k is a positive whole number, not {k!r}.")
    numpy = load_numpy()
    queries = _vectors(query, "query")
    rows = vectors if isinstance(vectors, numpy.ndarray) else _vectors(vectors, "vectors")
    if rows.ndim != 2:
        raise LMStudioValueError(f"vectors is a matrix with one vector a row, not {rows.ndim}-d.")
    if not len(rows):
        return [] if queries.ndim == 1 else [[] for _ in queries]
    _check_lengths(queries, rows)
    found = _nearest(numpy, _unit(numpy.atleast_2d(queries)), rows, k)
    return found[0] if queries.ndim == 1 else found


def _nearest(numpy: Any, queries: Any, rows: Any, k: int) -> list[list[EmbeddingMatch]]:
    """The best of each block, merged with the best so far."""
    scores = numpy.empty((len(queries), 0), dtype=numpy.float32)
    places = numpy.empty((len(queries), 0), dtype=numpy.int64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = _floats(rows[start : start + _BLOCK_ROWS])
        new = queries @ _unit(block).T
        numbers = numpy.broadcast_to(numpy.arange(start, start + len(block)), new.shape)
        scores = numpy.concatenate([scores, new], axis=1)
        places = numpy.concatenate([places, numbers], axis=1)
        # A stable sort, so that of equals the first row wins; NaN sorts behind every number.
        order = numpy.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores = numpy.take_along_axis(scores, order, axis=1)
        places = numpy.take_along_axis(places, order, axis=1)
    return [
        [
            EmbeddingMatch(int(place), float(score))
            for place, score in zip(row_places, row_scores, strict=True)
            if not numpy.isnan(score)
        ]
        for row_places, row_scores in zip(places, scores, strict=True)
    ]


def _vectors(values: Any, name: str) -> Any:
    """An array of one or two dimensions."""
    try:
        array = _floats(values)
    except (TypeError, ValueError, OverflowError) as error:
        raise LMStudioValueError(
            f"{name} is not made of vectors of one length: {error_text(error)}"
        ) from error
    if array.ndim not in (1, 2):
        raise LMStudioValueError(f"{name} is one vector or several, not {array.ndim}-dimensional.")
    return array


def _check_lengths(one: Any, other: Any) -> None:
    if one.shape[-1] != other.shape[-1]:
        raise LMStudioValueError(
            f"Vectors of {one.shape[-1]} and of {other.shape[-1]} numbers cannot be compared; "
            "were they made by the same model?"
        )


def _floats(values: Any) -> Any:
    """Numbers as they are: of float32 where they were that, else of float64, which holds more."""
    numpy = load_numpy()
    narrow = getattr(values, "dtype", None) in (numpy.float32, numpy.float16)
    return numpy.asarray(values, dtype=numpy.float32 if narrow else numpy.float64)


def _unit(array: Any) -> Any:
    """The rows scaled to length 1, as a new array of float32."""
    return normalized(array.copy()).astype("float32", copy=False)
