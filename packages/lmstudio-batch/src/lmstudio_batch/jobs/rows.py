"""A row as it travels to workers, and its outcome as it comes back: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from lmstudio_core.plugins.api import LMStudioError

__all__ = ["BatchRow", "Outcome", "Row"]


class Row(NamedTuple):
    """One row of the input.

    Attributes:
        position: Its place in the input, from 0; this is who it is.
        id: Its own id, if it has one.
        fields: What it holds.
    """

    position: int
    id: str | None
    fields: Any


class Outcome(NamedTuple):
    """What came of a row.

    Attributes:
        position: Of the row.
        ok: Whether there is an answer.
        payload: The record as JSON, or (where a stream wants them) the result or the error.
        host: Who answered last; empty if nobody was asked.
        attempts: How often it was asked.
        tokens: What it took.
    """

    position: int
    ok: bool
    payload: Any
    host: str
    attempts: int
    tokens: int


@dataclass(frozen=True)
class BatchRow:  # public
    """One row of ``stream``.

    Attributes:
        position: Its place in the input, from 0.
        id: Its own id, if it has one.
        result: A ``PredictionResult``, or a vector; ``None`` if there is an error.
        error: Why there is no result.
        host: Who answered.
        attempts: How often it was asked.

    Example:
        >>> spec = BatchSpec("pocket", config={"maxTokens": 8})
        >>> for row in client.batch.stream(["Hello", "Goodbye"], spec):
        ...     print(row.position, row.error or row.result)
    """

    position: int
    id: str | None
    result: Any
    error: LMStudioError | None
    host: str
    attempts: int
