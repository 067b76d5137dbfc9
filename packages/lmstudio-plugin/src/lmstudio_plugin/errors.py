"""What plugin authors are told when a plugin cannot start, or is used in a way that it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmstudio_core.data import nearest
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError

from .sdk_api import plugin_sdk_type

__all__ = ["LMStudioPluginInitError", "LMStudioPluginRuntimeError", "init_error"]


@plugin_sdk_type
class LMStudioPluginInitError(LMStudioValueError):  # public
    """A plugin cannot start as it is written.

    Attributes:
        file: The file that is wrong, if it is one.
        key: The key, name or setting in it.
        value: What stands there.
        nearest: The known name that is most like ``key`` or ``value``.
    """

    _unsaid = "The plugin cannot start as it is written."

    file: Path | None = None
    key: str | None = None
    value: Any = None
    nearest: str | None = None


@plugin_sdk_type
class LMStudioPluginRuntimeError(LMStudioRuntimeError):  # public
    """Something was asked of a running plugin, or of its environment, that is not possible there."""

    _unsaid = "This is not possible in a running plugin."


def init_error(
    problem: str,
    *,
    file: Path | None = None,
    key: str | None = None,
    value: Any = None,
    known: tuple[str, ...] = (),
    like: str | None = None,
) -> LMStudioPluginInitError:
    """The error, with the place before what is wrong and the nearest known name after it."""
    near = nearest(like or key or "", known) if known else None
    place = f"{file}: " if file is not None else ""
    error = LMStudioPluginInitError(
        f"{place}{problem}" + (f" Did you mean {near!r}?" if near else "")
    )
    error.file, error.key, error.value, error.nearest = file, key, value, near
    return error
