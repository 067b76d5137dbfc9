"""Prompt preprocessors, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessingAbortEvent as PromptPreprocessingAbortEvent,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessingEndpoint as PromptPreprocessingEndpoint,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessingRequestEvent as PromptPreprocessingRequestEvent,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessingRxEvent as PromptPreprocessingRxEvent,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import PromptPreprocessor as PromptPreprocessor
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessorController as PromptPreprocessorController,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        PromptPreprocessorHook as PromptPreprocessorHook,
    )
    from lmstudio_plugin.hooks.prompt_preprocessor import (
        run_prompt_preprocessor as run_prompt_preprocessor,
    )

_HOMES: Final = {
    "PromptPreprocessingAbortEvent": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessingAbortEvent",
    "PromptPreprocessingEndpoint": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessingEndpoint",
    "PromptPreprocessingRequestEvent": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessingRequestEvent",
    "PromptPreprocessingRxEvent": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessingRxEvent",
    "PromptPreprocessor": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessor",
    "PromptPreprocessorController": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessorController",
    "PromptPreprocessorHook": "lmstudio_plugin.hooks.prompt_preprocessor:PromptPreprocessorHook",
    "run_prompt_preprocessor": "lmstudio_plugin.hooks.prompt_preprocessor:run_prompt_preprocessor",
}

__all__ = [
    "PromptPreprocessingAbortEvent",
    "PromptPreprocessingEndpoint",
    "PromptPreprocessingRequestEvent",
    "PromptPreprocessingRxEvent",
    "PromptPreprocessor",
    "PromptPreprocessorController",
    "PromptPreprocessorHook",
    "run_prompt_preprocessor",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
