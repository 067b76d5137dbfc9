"""Looking at data that may be of any shape, because a server or a file says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

__all__ = ["as_list", "as_mapping", "is_list", "is_mapping"]


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is an object; one of JSON's has strings for keys."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is an array."""
    return isinstance(value, list)


def as_mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is an object, else an empty one.

    >>> as_mapping({"a": 1}), as_mapping("text")
    ({'a': 1}, {})
    """
    return value if is_mapping(value) else {}


def as_list(value: object) -> list[Any]:
    """``value`` if it is an array, else an empty one.

    >>> as_list([1]), as_list("text")
    ([1], [])
    """
    return value if is_list(value) else []
