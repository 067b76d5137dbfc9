"""Collapsing a stack of configuration layers, and reading single values out of it.

Values are anything on the wire. What cannot be used is left out, never an error: a client may
know keys that this server does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias, cast

from lmstudio_core.lenient import is_list

__all__ = [
    "Config",
    "boolean",
    "checkbox",
    "collapse",
    "fields",
    "integer",
    "number",
    "strings",
]

Config: TypeAlias = Mapping[str, Any]


class _Field(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> Any: ...


def collapse(layers: Iterable[Iterable[_Field]]) -> dict[str, Any]:
    """One configuration from several; later layers override earlier ones, key by key.

    A field without a value (or with null) says nothing and overrides nothing.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({field.key: field.value for field in layer if field.value is not None})
    return merged


def fields(config: Config) -> dict[str, Any]:
    """A configuration in its wire form."""
    return {"fields": [{"key": key, "value": value} for key, value in config.items()]}


def number(value: Any, low: float = -math.inf, high: float = math.inf) -> float | None:
    """``value`` if it is a finite number in the range.

    Args:
        value: What a client sent.
        low: The least.
        high: The most.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def integer(value: Any, low: float = -math.inf, high: float = math.inf) -> int | None:
    """``value`` if it is a whole number in the range.

    Args:
        value: What a client sent.
        low: The least.
        high: The most.
    """
    found = number(value, low, high)
    return int(found) if found is not None and float(found).is_integer() else None


def boolean(value: Any) -> bool | None:
    """``value`` if it is a boolean."""
    return value if isinstance(value, bool) else None


def strings(value: Any) -> list[str]:
    """The non-empty strings in a list; nothing if it is no list."""
    return [item for item in value if isinstance(item, str) and item] if is_list(value) else []


def checkbox(value: Any) -> tuple[bool, Any]:
    """A ``{checked, value}`` pair as ``(checked, value)``.

    A bare value counts as checked. ``{"checked": true, "value": false}``, which some clients send
    for "off", counts as unchecked.
    """
    if not isinstance(value, dict):
        return (value is not False and value is not None, value)
    pair = cast("dict[str, Any]", value)
    inner = pair.get("value")
    if inner is False or inner is None:
        return (False, None)
    return (pair.get("checked") is True, inner)
