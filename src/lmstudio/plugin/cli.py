"""The command of a plugin's process, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.cli import main as main

_HOMES: Final = {
    "_parse_args": "lmstudio_plugin.cli:_parse_args",
    "main": "lmstudio_plugin.cli:main",
}

__all__ = [
    "main",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
