"""What a value of unknown type is, in types that checkers can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["is_list", "is_mapping", "mapping", "text"]


def is_mapping(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether ``value`` is a mapping; that its keys are text is taken for granted."""
    return isinstance(value, (dict, Mapping))  # most are dicts, which are quicker told


def is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether ``value`` is a list or the like, and not text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a mapping, else an empty one."""
    return value if is_mapping(value) else {}


def text(value: Any) -> str | None:
    """``value`` if it is text."""
    return value if isinstance(value, str) else None
