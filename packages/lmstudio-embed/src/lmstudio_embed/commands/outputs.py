"""The files that vectors end up in: ``.npy``, ``.jsonl`` and ``.parquet``.

Each is written from the journal entry by entry, beside its place, and moved there when it is whole.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from lmstudio_core.lenient import json_text

from .journal import Entry, Journal

__all__ = ["WRITERS", "check_output", "load_pyarrow", "write_output"]

_ROWS_PER_GROUP: Final = 4096


def check_output(path: Path, *, force: bool) -> None:
    """Make sure that the output can be written, before hours go into it.

    Raises:
        click.ClickException: It cannot, or is there already.
    """
    if path.suffix not in WRITERS:
        raise click.UsageError(
            f"--out ends in {', '.join(WRITERS)}, which decides the format; not {path.name!r}."
        )
    if path.exists() and not force:
        raise click.ClickException(f"{path} is there already; --force replaces it.")
    if not path.absolute().parent.is_dir():
        raise click.ClickException(f"The folder {path.absolute().parent} does not exist.")
    if path.suffix == ".parquet":
        load_pyarrow()


def write_output(path: Path, journal: Journal) -> None:
    """Turn a whole journal into the output file, and remove it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as stream:
            WRITERS[path.suffix](stream, journal)
        unfinished.replace(path)
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written: {error.strerror or error}. {journal.path} keeps the vectors; "
            "run the same command again."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    journal.path.unlink(missing_ok=True)


def load_pyarrow() -> Any:
    """The modules ``pyarrow`` and ``pyarrow.parquet``, as the former."""
    try:
        importlib.import_module("pyarrow.parquet")
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise click.ClickException(
            "Parquet files need pyarrow (the extra lmstudio-embed[parquet]), which is not installed. "
            "Install it with: "
            "pip install pyarrow, or use .npy or .jsonl."
        ) from error


def _vectors(journal: Journal) -> Iterator[tuple[Entry, bytes]]:
    """Each entry with its vector, or with numbers that are none where it has an error."""
    nothing = struct.pack("<f", math.nan) * ((journal.width or 0) // 4)
    for entry in journal.entries():
        yield entry, nothing if entry.vector is None else entry.vector


def _write_npy(stream: BinaryIO, journal: Journal) -> None:
    """numpy's format: a header padded to 64 bytes, then the rows."""
    shape = (journal.count, (journal.width or 0) // 4)
    described = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = -(-(10 + len(described) + 1) // 64) * 64 - 10
    stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", length))
    stream.write(described.ljust(length - 1) + b"\n")
    stream.writelines(vector for _, vector in _vectors(journal))


def _write_jsonl(stream: BinaryIO, journal: Journal) -> None:
    """An object a line: text, and embedding or error."""
    for entry in journal.entries():
        head = json_text({"text": entry.text})[:-1]
        if entry.vector is None:
            rest = f'"error": {json_text(entry.error)}}}'
        else:
            # Nine digits are what a float32 holds.
            numbers = struct.unpack(f"<{len(entry.vector) // 4}f", entry.vector)
            rest = f'"embedding": [{", ".join(map("{:.9g}".format, numbers))}]}}'
        stream.write(f"{head}, {rest}\n".encode())


def _write_parquet(stream: BinaryIO, journal: Journal) -> None:
    """Columns text, embedding and error; the model is in the file's metadata."""
    pa = load_pyarrow()
    dimensions = (journal.width or 0) // 4
    vectors = pa.list_(pa.float32(), dimensions)
    fields = [("text", pa.string()), ("embedding", vectors), ("error", pa.string())]
    schema = pa.schema(fields).with_metadata({"lmstudio": json.dumps(journal.how)})
    with pa.parquet.ParquetWriter(stream, schema) as writer:
        for group in _groups(journal):
            buffer = pa.py_buffer(b"".join(vector for _, vector in group))
            numbers = pa.Array.from_buffers(pa.float32(), len(group) * dimensions, [None, buffer])
            columns = [
                pa.array([entry.text for entry, _ in group], pa.string()),
                pa.FixedSizeListArray.from_arrays(numbers, dimensions),
                pa.array([entry.error for entry, _ in group], pa.string()),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _groups(journal: Journal) -> Iterator[list[tuple[Entry, bytes]]]:
    group: list[tuple[Entry, bytes]] = []
    for pair in _vectors(journal):
        group.append(pair)
        if len(group) == _ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group


WRITERS: Final[dict[str, Callable[[BinaryIO, Journal], None]]] = {
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}
