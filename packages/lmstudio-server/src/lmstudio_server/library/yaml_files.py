"""Reading a ``model.yaml``, which may come from anywhere, as the plain values that JSON has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, cast

from .walking import open_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_document"]

MAX_BYTES: Final = 256 * 1024
"""LM Studio's have a few KiB. YAML is read slowly."""
MAX_VALUES: Final = 20_000
MAX_DEPTH: Final = 50
_MOST_INTEGER: Final = 2**63


def load_document(file: Path) -> object:
    """The document in a file.

    Raises:
        ValueError: It is too large, or holds what JSON has not: dates, infinity, values inside of
            themselves (an alias may name what it is a part of, and aliases of aliases grow without end).
        OSError: It cannot be read, or is no regular file.
        yaml.YAMLError: It is no YAML.
    """
    import yaml

    with open_regular(file) as (stream, size):
        if size > MAX_BYTES:
            raise ValueError(f"it has {size:,} bytes; at most {MAX_BYTES:,} are read")
        # The file may grow while it is read.
        text = stream.read(MAX_BYTES).decode("utf-8")
    document: object = yaml.safe_load(text)
    _check(document)
    return document


def _check(document: object) -> None:
    waiting: list[tuple[object, int]] = [(document, 0)]
    count = 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise ValueError("it holds too many values, or values inside of themselves")
        if isinstance(value, dict):
            fields = cast("dict[Any, Any]", value)
            waiting += [(inner, depth + 1) for pair in fields.items() for inner in pair]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in cast("list[Any]", value)]
        elif not _is_plain(value):
            raise ValueError(f"it holds a value that JSON has not: {str(value)[:80]!r}")


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= sign <= "\udfff" for sign in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -_MOST_INTEGER <= value < _MOST_INTEGER
    return value is None
