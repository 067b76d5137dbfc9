"""The hooks of a plugin, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.hooks import AsyncToolCallContext as AsyncToolCallContext
    from lmstudio_plugin.hooks import PromptPreprocessorController as PromptPreprocessorController
    from lmstudio_plugin.hooks import PromptPreprocessorHook as PromptPreprocessorHook
    from lmstudio_plugin.hooks import TGlobalConfigSchema as TGlobalConfigSchema
    from lmstudio_plugin.hooks import TokenGeneratorController as TokenGeneratorController
    from lmstudio_plugin.hooks import TokenGeneratorHook as TokenGeneratorHook
    from lmstudio_plugin.hooks import ToolCallContext as ToolCallContext
    from lmstudio_plugin.hooks import ToolsProviderController as ToolsProviderController
    from lmstudio_plugin.hooks import ToolsProviderHook as ToolsProviderHook
    from lmstudio_plugin.hooks import TPluginConfigSchema as TPluginConfigSchema
    from lmstudio_plugin.hooks import get_tool_call_context as get_tool_call_context
    from lmstudio_plugin.hooks import get_tool_call_context_async as get_tool_call_context_async
    from lmstudio_plugin.hooks import run_prompt_preprocessor as run_prompt_preprocessor
    from lmstudio_plugin.hooks import run_token_generator as run_token_generator
    from lmstudio_plugin.hooks import run_tools_provider as run_tools_provider

    from . import common as common
    from . import prompt_preprocessor as prompt_preprocessor
    from . import token_generator as token_generator
    from . import tools_provider as tools_provider

_HOMES: Final = {
    "AsyncToolCallContext": "lmstudio_plugin.hooks:AsyncToolCallContext",
    "PromptPreprocessorController": "lmstudio_plugin.hooks:PromptPreprocessorController",
    "PromptPreprocessorHook": "lmstudio_plugin.hooks:PromptPreprocessorHook",
    "TGlobalConfigSchema": "lmstudio_plugin.hooks:TGlobalConfigSchema",
    "TPluginConfigSchema": "lmstudio_plugin.hooks:TPluginConfigSchema",
    "TokenGeneratorController": "lmstudio_plugin.hooks:TokenGeneratorController",
    "TokenGeneratorHook": "lmstudio_plugin.hooks:TokenGeneratorHook",
    "ToolCallContext": "lmstudio_plugin.hooks:ToolCallContext",
    "ToolsProviderController": "lmstudio_plugin.hooks:ToolsProviderController",
    "ToolsProviderHook": "lmstudio_plugin.hooks:ToolsProviderHook",
    "_AsyncSessionPlugins": "lmstudio_plugin.hooks.common:_AsyncSessionPlugins",
    "common": "lmstudio.plugin.hooks.common",
    "get_tool_call_context": "lmstudio_plugin.hooks:get_tool_call_context",
    "get_tool_call_context_async": "lmstudio_plugin.hooks:get_tool_call_context_async",
    "prompt_preprocessor": "lmstudio.plugin.hooks.prompt_preprocessor",
    "run_prompt_preprocessor": "lmstudio_plugin.hooks:run_prompt_preprocessor",
    "run_token_generator": "lmstudio_plugin.hooks:run_token_generator",
    "run_tools_provider": "lmstudio_plugin.hooks:run_tools_provider",
    "token_generator": "lmstudio.plugin.hooks.token_generator",
    "tools_provider": "lmstudio.plugin.hooks.tools_provider",
}

__all__ = [
    "AsyncToolCallContext",
    "PromptPreprocessorController",
    "PromptPreprocessorHook",
    "TGlobalConfigSchema",
    "TPluginConfigSchema",
    "TokenGeneratorController",
    "TokenGeneratorHook",
    "ToolCallContext",
    "ToolsProviderController",
    "ToolsProviderHook",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_prompt_preprocessor",
    "run_token_generator",
    "run_tools_provider",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
