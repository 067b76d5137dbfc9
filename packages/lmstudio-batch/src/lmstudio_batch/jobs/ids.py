"""Ids of rows: each once, looked at before anything is sent, in memory that does not grow."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ..errors import BatchInputError
from .sources import Source

__all__ = ["id_of", "survey"]

_AT_A_TIME = 1024


def id_of(fields: Any, name: str | None) -> str | None:
    """The id of a row, if it has one."""
    if name is None or not isinstance(fields, Mapping):
        return None
    value = cast("Mapping[str, Any]", fields).get(name)
    return None if value is None else str(value)


def survey(source: Source, name: str | None, limit: int | None) -> int | None:
    """How many rows an input has; ``None`` if it cannot be read twice.

    Raises:
        BatchInputError: Two rows have the same id.
    """
    if not source.again:
        return None
    ids: Iterator[str | None] = (
        id_of(e.fields, name) for e in itertools.islice(source.rows(), limit)
    )
    if name is None:
        return sum(1 for _ in ids)
    # A temporary data base, which is on the disk where it is large.
    base = sqlite3.connect("")
    try:
        base.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
        return _all_once(base, ids, source.name)
    finally:
        base.close()


def _all_once(base: sqlite3.Connection, ids: Iterable[str | None], name: str) -> int:
    count = 0
    rows = enumerate(ids)
    while group := list(itertools.islice(rows, _AT_A_TIME)):
        count += len(group)
        for row, one in group:
            if one is None:
                continue
            try:
                base.execute("INSERT INTO ids VALUES (?, ?)", (one, row))
            except sqlite3.IntegrityError:
                found = base.execute("SELECT row FROM ids WHERE id = ?", (one,)).fetchone()
                raise BatchInputError(
                    f"Rows {found[0] + 1:,} and {row + 1:,} of {name} have the same id {one!r}; ids have "
                    "to be unique."
                ) from None
    return count
