"""What the official beta's plugin modules share, for programs that import it from there."""

from __future__ import annotations

from typing import Final, TypeVar

__all__ = ["plugin_sdk_type"]

_C = TypeVar("_C", bound=type)
_PLUGIN_SDK_SUBMODULE: Final = "lmstudio.plugin"


def plugin_sdk_type(cls: _C) -> _C:
    """Mark a class as one of the plugin API's: it shows itself under that path."""
    cls.__module__ = _PLUGIN_SDK_SUBMODULE
    return cls
