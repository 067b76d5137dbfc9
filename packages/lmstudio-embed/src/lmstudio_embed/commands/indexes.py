"""Reading vectors back, with the texts they belong to where the file holds them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from lmstudio_core.errors import LMStudioRuntimeError
from lmstudio_core.lenient import error_text

from ..arrays import Rows, load_numpy
from ..nearest import EmbeddingMatch, search
from .common import texts_counted, texts_in
from .outputs import load_pyarrow
from .plain import PlainRows, has_numpy, read_npy, search_plainly

__all__ = ["Index", "nearest_in", "read_index"]


@dataclass(frozen=True)
class Index:
    """Vectors as a matrix, their texts, and the model that made them, as far as they are known."""

    vectors: Any
    texts: list[str] | None
    model: str | None


def read_index(path: Path, texts: Path | None) -> Index:
    """The vectors of a file that ``lmstudio embed`` wrote, or one like it.

    Args:
        path: A .npy, .parquet or .jsonl file.
        texts: The lines that were embedded, for a .npy file, which has none.

    Raises:
        click.ClickException: It cannot be read or is not such a file.
    """
    readers = {".npy": _read_npy, ".parquet": _read_parquet, ".jsonl": _read_jsonl}
    if path.suffix not in readers:
        raise click.UsageError(f"--index is a {', '.join(readers)} file, not {path.name!r}.")
    try:
        index = readers[path.suffix](path)
    except LMStudioRuntimeError:  # a package is missing
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise click.ClickException(
            f"{path} is not a file of vectors: {error_text(error)}"
        ) from error
    if texts is None:
        return index
    lines = list(texts_in(str(texts)))
    if len(lines) != len(index.vectors):
        raise click.ClickException(
            f"{texts} has {texts_counted(len(lines))}, and {path} has {len(index.vectors):,} vectors; they "
            "do not belong together."
        )
    return Index(index.vectors, lines, index.model)


def nearest_in(index: Index, query: list[float], k: int) -> list[EmbeddingMatch]:
    """The ``k`` rows nearest to a query, the nearest first; by numpy where it is installed."""
    return (
        search(query, index.vectors, k) if has_numpy() else search_plainly(query, index.vectors, k)
    )


def _read_npy(path: Path) -> Index:
    if not has_numpy():
        return Index(read_npy(path), None, None)
    numpy = load_numpy()
    try:
        vectors = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:  # whose words are about pickles
        raise ValueError("numpy finds no array of numbers in it") from error
    if vectors.dtype.kind not in "fiu":
        raise ValueError("it holds an array of other things than numbers")
    if vectors.ndim != 2:
        raise ValueError(f"it holds an array of {vectors.ndim} dimensions, not a matrix")
    return Index(vectors, None, None)


def _read_jsonl(path: Path) -> Index:
    rows: Any = Rows(None) if has_numpy() else PlainRows()
    texts: list[str] = []
    nothing: list[float] | None = None
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            fields = json.loads(line)
            texts.append(str(fields.get("text", "")))
            vector = fields.get("embedding")
            if nothing is None and vector is not None:
                nothing = [math.nan] * len(vector)
                for _ in texts[:-1]:
                    rows.add(nothing)
            if vector is not None and nothing is not None and len(vector) != len(nothing):
                raise ValueError(
                    f"line {len(texts):,} has {len(vector)} numbers, lines before it {len(nothing)}"
                )
            if nothing is not None:  # a text without a vector keeps its row, and is never found
                rows.add(nothing if vector is None else vector)
    if nothing is None:
        raise ValueError("no line of it has an embedding")
    return Index(rows.finish(), texts, None)


def _read_parquet(path: Path) -> Index:
    table = load_pyarrow().parquet.read_table(path)
    column = table.column("embedding").combine_chunks()
    vectors: Any
    if has_numpy():
        flat = column.flatten()
        vectors = flat.to_numpy(zero_copy_only=False).reshape(len(table), -1)
    else:
        vectors = PlainRows(column.to_pylist())
    texts = table.column("text").to_pylist() if "text" in table.column_names else None
    metadata: dict[bytes, bytes] = table.schema.metadata or {}
    how: dict[str, Any] = json.loads(metadata.get(b"lmstudio", b"{}"))
    return Index(vectors, texts, how.get("model"))
