"""Where answers go: JSONL (rows, or OpenAI's) and Parquet, each written beside its place first."""

from __future__ import annotations

import json
import math
import struct
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from lmstudio_core.plugins.api import LMStudioOSError, json_text

from ..errors import BatchInputError
from .journal import Done, Journal, unfinished_beside
from .sources import load_pyarrow
from .spec import BatchSpec

__all__ = ["check_output", "errors_path", "write_output"]

_ROWS_PER_GROUP: Final = 4096
_NPY_HEADER: Final = 128
_VECTOR: Final = b'"vector"'


def errors_path(out: Path) -> Path:
    """Where the rows with an error are listed."""
    return out.with_name(f"{out.name}.errors.jsonl")


def check_output(out: Path, spec: BatchSpec, *, force: bool) -> None:
    """Make sure that the output can be written, before hours go into it.

    Raises:
        BatchInputError: It cannot, or is there already.
    """
    formats = [suffix for suffix in _WRITERS if suffix != ".npy" or spec.task == "embed"]
    formats = [".jsonl"] if spec.format == "openai" else formats
    if out.suffix not in formats:
        raise BatchInputError(
            f"The output is a {' or '.join(formats)} file, which decides the format; not {out.name!r}."
        )
    if out.exists() and not force:
        raise BatchInputError(f"{out} is there already; force=True (--force) replaces it.")
    if not out.absolute().parent.is_dir():
        raise BatchInputError(f"The folder {out.absolute().parent} does not exist.")
    if out.suffix == ".parquet":
        load_pyarrow()


def write_output(out: Path, journal: Journal, *, order: str, keep: bool, openai: bool) -> None:
    """Turn a whole journal into the output, and the list of its errors.

    Args:
        out: The output.
        journal: What is done.
        order: ``"input"``, or ``"done"`` for the order in which rows ended.
        keep: Whether rows with an error are in the output, too.
        openai: Whether it is OpenAI's format, whose output has no errors.

    Raises:
        LMStudioOSError: It cannot be written; the journal is kept.
    """

    def rows(ok: bool) -> Iterator[Done]:
        found = journal.records() if order == "input" else journal.records_as_done()
        return (done for done in found if done.ok or not ok)

    errors = errors_path(out)
    unfinished, unfinished_errors = unfinished_beside(out), unfinished_beside(errors)
    try:
        with unfinished.open("wb") as stream:
            _WRITERS[out.suffix](stream, rows(ok=openai or not keep))
        if journal.failed:
            with unfinished_errors.open("wb") as stream:
                stream.writelines(done.record for done in rows(ok=False) if not done.ok)
            unfinished_errors.replace(errors)
        else:
            errors.unlink(missing_ok=True)
        unfinished.replace(out)
    except OSError as error:
        raise LMStudioOSError(
            f"{out} cannot be written: {error.strerror or error}. {journal.path} keeps the answers; make "
            "the same call again."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
        unfinished_errors.unlink(missing_ok=True)


def _write_jsonl(stream: BinaryIO, rows: Iterator[Done]) -> None:
    stream.writelines(map(_line, rows))


def _line(done: Done) -> bytes:
    """A row's line: its record, with a vector as numbers; nine digits are what a float32 holds."""
    if _VECTOR not in done.record or not done.ok:
        return done.record
    record = json.loads(done.record)
    if (vector := vector_of(record)) is None:
        return done.record
    numbers = ", ".join(map("{:.9g}".format, struct.unpack(f"<{len(vector) // 4}f", vector)))
    return f'{{"id": {json.dumps(record["id"])}, "output": [{numbers}], "error": null}}\n'.encode()


def vector_of(record: dict[str, Any]) -> bytes | None:
    """The vector of a record as float32, if it has one."""
    vector = record.get("vector")
    return b64decode(vector) if isinstance(vector, str) else None


def _write_npy(stream: BinaryIO, rows: Iterator[Done]) -> None:
    """numpy's format: a header padded to 64 bytes, then the rows; NaN where there is no vector."""
    width, count = 0, 0
    stream.write(bytes(_NPY_HEADER))
    for done in rows:
        vector = vector_of(json.loads(done.record))
        if vector is not None and not width:
            width = len(vector)
            stream.write(struct.pack("<f", math.nan) * (width // 4) * count)
        if vector is not None and len(vector) != width:
            raise BatchInputError(
                f"Row {done.position + 1:,} has a vector of {len(vector) // 4} numbers, and those before have "
                f"{width // 4}."
            )
        if width:
            stream.write(vector or struct.pack("<f", math.nan) * (width // 4))
        count += 1
    described = (
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(count, width // 4)}, }}".encode()
    )
    stream.seek(0)
    stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", _NPY_HEADER - 10))
    stream.write(described.ljust(_NPY_HEADER - 11) + b"\n")


def _write_parquet(stream: BinaryIO, rows: Iterator[Done]) -> None:
    """Columns id, output, error and the numbers; an output that is data is JSON text."""
    pa = load_pyarrow()
    writer: Any = None
    schema: Any = None
    try:
        for group in _groups(rows):
            records: list[dict[str, Any]] = [json.loads(done.record) for done in group]
            if schema is None:
                schema = _schema(pa, records)
                writer = pa.parquet.ParquetWriter(stream, schema)
            columns = [pa.array([_cell(r, f, pa) for r in records], f.type) for f in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        if writer is None:
            writer = pa.parquet.ParquetWriter(stream, _schema(pa, []))
    finally:
        if writer is not None:
            writer.close()


def _schema(pa: Any, records: list[dict[str, Any]]) -> Any:
    vectors = any("vector" in record for record in records)
    fields = [
        ("id", pa.string()),
        ("output", pa.list_(pa.float32()) if vectors else pa.string()),
        ("error", pa.string()),
    ]
    if not vectors:
        fields += [("reasoning", pa.string()), ("stop_reason", pa.string())]
        fields += [("prompt_tokens", pa.int64()), ("predicted_tokens", pa.int64())]
    return pa.schema(fields)


def _cell(record: dict[str, Any], field: Any, pa: Any) -> Any:
    value = record.get(field.name)
    if field.name == "output" and (vector := vector_of(record)) is not None:
        return struct.unpack(f"<{len(vector) // 4}f", vector)
    if value is None or field.type != pa.string() or isinstance(value, str):
        return value
    return str(value) if field.name == "id" else json_text(value)


def _groups(rows: Iterator[Done]) -> Iterator[list[Done]]:
    group: list[Done] = []
    for done in rows:
        group.append(done)
        if len(group) == _ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


_WRITERS: Final[dict[str, Callable[[BinaryIO, Iterator[Done]], None]]] = {
    ".jsonl": _write_jsonl,
    ".npy": _write_npy,
    ".parquet": _write_parquet,
}
