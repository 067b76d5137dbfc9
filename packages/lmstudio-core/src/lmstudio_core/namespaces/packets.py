"""What the folds of channels share: lenient reading, and progress that programs are told of."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

__all__ = ["Rising", "items", "mapping", "report"]

logger: Final = logging.getLogger("lmstudio")


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is an object of the server's, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[Any]:
    """``value`` if it is a list of the server's, else an empty one."""
    return cast("Sequence[Any]", value) if isinstance(value, (list, tuple)) else ()


def report(callback: Callable[..., object] | None, name: str, *values: Any) -> None:
    """Call ``callback`` if there is one; what it raises is logged and stops nothing."""
    if callback is None:
        return
    try:
        callback(*values)
    except Exception:
        logger.exception("%s raised; the operation goes on", name)


class Rising:
    """Lets a ratio through only when it rose: 0.0 to 1.0, never repeated, never falling."""

    def __init__(self) -> None:
        self._last = -1.0

    def __call__(self, value: object) -> float | None:
        """``value`` within 0.0 and 1.0, or ``None`` if it did not rise or is no number."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        ratio = min(1.0, max(0.0, float(value)))
        if not ratio > self._last:
            return None
        self._last = ratio
        return ratio
