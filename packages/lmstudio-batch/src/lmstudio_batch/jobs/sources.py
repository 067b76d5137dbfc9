"""Where rows come from: files, iterables, data frames."""

from __future__ import annotations

import csv
import hashlib
import importlib
import itertools
import json
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from lmstudio_core.plugins.api import LMStudioRuntimeError, as_mapping, error_text

from ..errors import BatchInputError

__all__ = ["Entry", "Source", "load_pyarrow", "open_source"]

_LOOKED_AT: Final = 100
"""Rows that are looked at for the fields that a prompt names, before anything is sent."""


_ENCODE: Final = json.JSONEncoder(sort_keys=True, default=str).encode
"""Made once: ``json.dumps`` makes an encoder for each call that asks for something special."""


class Entry(NamedTuple):
    """A row as it was read.

    Attributes:
        fields: What it holds, or nothing if it cannot be read.
        digest: By which a changed row is noticed: 16 hexadecimal digits.
        problem: Why it cannot be read; empty if it can.
    """

    fields: Any
    digest: str
    problem: str = ""


@dataclass(frozen=True)
class Source:
    """An input.

    Attributes:
        name: What it is called in messages.
        rows: Begins to read it; the second time from its beginning, if ``again``.
        again: Whether it can be read more than once.
    """

    name: str
    rows: Callable[[], Iterator[Entry]]
    again: bool

    def first_fields(self) -> set[str]:
        """The names of the fields in its first rows; empty if it cannot be read twice."""
        found: set[str] = set()
        if self.again:
            for entry in itertools.islice(self.rows(), _LOOKED_AT):
                found.update(map(str, as_mapping(entry.fields)))
        return found


def open_source(given: Any) -> Source:
    """The input that a path, a data frame or an iterable is.

    Raises:
        BatchInputError: It is none of them, or a file that cannot be read.
    """
    if isinstance(given, (str, Path)):
        return _file(Path(given))
    if isinstance(given, AsyncIterable):
        raise BatchInputError("An async iterable is for AsyncClient's batch.stream.")
    if callable(getattr(given, "to_batches", None)) and hasattr(given, "schema"):
        return Source("the Arrow table", lambda: _records(_of_arrow(given)), again=True)
    if callable(getattr(given, "itertuples", None)) and hasattr(given, "columns"):
        return Source("the data frame", lambda: _records(_of_frame(given)), again=True)
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        kind = type(cast("Any", given)).__name__
        raise BatchInputError(
            f"The input is a path, a data frame or an iterable of rows, not {kind}."
        )
    items = cast("Iterable[Any]", given)
    again = iter(items) is not items
    return Source("the iterable", lambda: _records(items), again=again)


def _file(path: Path) -> Source:
    readers: dict[str, Callable[[Path], Iterator[Entry]]] = {
        ".jsonl": _of_jsonl,
        ".ndjson": _of_jsonl,
        ".csv": _of_csv,
        ".txt": _of_lines,
        ".parquet": _of_parquet,
    }
    if path.suffix not in readers:
        raise BatchInputError(f"The input is a {', '.join(readers)} file, not {path.name!r}.")
    try:
        path.open("rb").close()
    except OSError as error:
        raise BatchInputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if path.suffix == ".parquet":
        load_pyarrow()
    return Source(str(path), lambda: _readable(path, readers[path.suffix](path)), again=True)


def _readable(path: Path, entries: Iterator[Entry]) -> Iterator[Entry]:
    """The rows of a file; what is wrong with it as a whole is one error."""
    number = 0
    try:
        for entry in entries:
            yield entry
            number += 1
    except (OSError, ValueError, csv.Error) as error:  # Arrow's and those of UTF-8 are ValueErrors
        raise BatchInputError(
            f"{path} cannot be read on after its row {number:,}: {error_text(error)}"
        ) from error


def digest_of(data: bytes) -> str:
    """The digest of a row."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _of_jsonl(path: Path) -> Iterator[Entry]:
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            line = raw.strip()
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line:
                continue
            digest = digest_of(line)
            try:
                yield Entry(json.loads(line), digest)
            except ValueError as error:  # not JSON, or not UTF-8
                yield Entry(None, digest, f"Line {number:,} is not JSON: {error_text(error)}")


def _of_lines(path: Path) -> Iterator[Entry]:
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            line = raw.rstrip(b"\r\n")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            try:
                yield Entry({"text": line.decode()}, digest_of(line))
            except UnicodeDecodeError as error:
                yield Entry(None, digest_of(line), f"Line {number:,} is not UTF-8: {error.reason}")


def _of_csv(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restkey="")
        for fields in reader:
            digest = digest_of(json.dumps(fields).encode())
            if "" in fields or None in fields.values():
                problem = f"Line {reader.line_num:,} has another number of fields than the first."
                yield Entry(None, digest, problem)
            else:
                yield Entry(fields, digest)


def load_pyarrow() -> Any:
    """The module ``pyarrow``, with ``pyarrow.parquet``.

    Raises:
        LMStudioRuntimeError: It is not installed.
    """
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise LMStudioRuntimeError(
            "Parquet files need pyarrow (the extra lmstudio-batch[parquet]), which is not installed. "
            "Install it with: pip install pyarrow"
        ) from error


def _of_parquet(path: Path) -> Iterator[Entry]:
    pa = load_pyarrow()
    with pa.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from _records(batch.to_pylist())


def _of_arrow(table: Any) -> Iterator[Any]:
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _of_frame(frame: Any) -> Iterator[Any]:
    names = [str(name) for name in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        yield dict(zip(names, values, strict=True))


def _records(items: Iterable[Any]) -> Iterator[Entry]:
    for item in items:
        fields: Any = {"text": item, "prompt": item} if isinstance(item, str) else item
        yield Entry(fields, digest_of(_ENCODE(fields).encode()))
