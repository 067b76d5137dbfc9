"""Functions of the user's, called from an operation."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final, cast

from lmstudio_core.protocol.operations import Invoke, Op

__all__ = ["called", "notify"]

logger: Final = logging.getLogger("lmstudio")


def called(function: Callable[..., Any], *args: Any) -> Op[Any]:
    """What a function of the user's gives, awaited if it has to be."""
    outcome = function(*args)
    if inspect.isawaitable(outcome):
        return (yield Invoke(lambda: cast("object", outcome)))
    return outcome


def notify(name: str, callback: Callable[..., Any] | None, *args: Any) -> Op[None]:
    """Call a callback if there is one; what it raises is logged and changes nothing."""
    if callback is None:
        return
    try:
        yield from called(callback, *args)
    except Exception:
        logger.exception("%s raised; the run goes on", name)
