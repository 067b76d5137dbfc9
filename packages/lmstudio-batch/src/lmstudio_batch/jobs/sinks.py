"""Where answers go: JSONL (rows, or OpenAI's) and Parquet, each written beside its place first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from lmstudio_core.plugin_api import LMStudioOSError, json_text

from ..errors import BatchInputError
from .journal import Done, Journal, unfinished_beside
from .sources import load_pyarrow

__all__ = ["check_output", "errors_path", "write_output"]

_ROWS_PER_GROUP: Final = 4096


def errors_path(out: Path) -> Path:
    """Where the rows with an error are listed."""
    return out.with_name(f"{out.name}.errors.jsonl")


def check_output(out: Path, *, openai: bool, force: bool) -> None:
    """Make sure that the output can be written, before hours go into it.

    Raises:
        BatchInputError: It cannot, or is there already.
    """
    formats = (".jsonl",) if openai else tuple(_WRITERS)
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
    stream.writelines(done.record for done in rows)


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
            columns = [
                pa.array([_cell(r.get(f.name), f, pa) for r in records], f.type) for f in schema
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        if writer is None:
            writer = pa.parquet.ParquetWriter(stream, _schema(pa, []))
    finally:
        if writer is not None:
            writer.close()


def _schema(pa: Any, records: list[dict[str, Any]]) -> Any:
    outputs = [r["output"] for r in records if r.get("output") is not None]
    vectors = bool(outputs) and isinstance(outputs[0], list) and "stop_reason" not in records[0]
    fields = [
        ("id", pa.string()),
        ("output", pa.list_(pa.float32()) if vectors else pa.string()),
        ("error", pa.string()),
    ]
    if not vectors:
        fields += [("reasoning", pa.string()), ("stop_reason", pa.string())]
        fields += [("prompt_tokens", pa.int64()), ("predicted_tokens", pa.int64())]
    return pa.schema(fields)


def _cell(value: Any, field: Any, pa: Any) -> Any:
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
    ".parquet": _write_parquet,
}
