"""Generators, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.hooks.token_generator import (
        TokenGeneratorController as TokenGeneratorController,
    )
    from lmstudio_plugin.hooks.token_generator import TokenGeneratorHook as TokenGeneratorHook
    from lmstudio_plugin.hooks.token_generator import run_token_generator as run_token_generator

_HOMES: Final = {
    "TokenGeneratorController": "lmstudio_plugin.hooks.token_generator:TokenGeneratorController",
    "TokenGeneratorHook": "lmstudio_plugin.hooks.token_generator:TokenGeneratorHook",
    "run_token_generator": "lmstudio_plugin.hooks.token_generator:run_token_generator",
}

__all__ = [
    "TokenGeneratorController",
    "TokenGeneratorHook",
    "run_token_generator",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
