"""The toolset ``sample``: plain functions, whose docstrings tell a model what they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def readable_size(size_bytes: int) -> str:
    """Write a number of bytes as people do, such as 4.2 GB.

    Args:
        size_bytes: The number of bytes.
    """
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def make_tools() -> list[Callable[..., Any]]:
    """The tools; called whenever an agent asks for the toolset."""
    return [readable_size]
