"""Writing LM Studio plugins: the official beta's names, and ours, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin import AsyncGenerator as AsyncGenerator
    from lmstudio_plugin import AsyncToolCallContext as AsyncToolCallContext
    from lmstudio_plugin import BaseConfigSchema as BaseConfigSchema
    from lmstudio_plugin import Directory as Directory
    from lmstudio_plugin import Generator as Generator
    from lmstudio_plugin import LMStudioPluginInitError as LMStudioPluginInitError
    from lmstudio_plugin import LMStudioPluginRuntimeError as LMStudioPluginRuntimeError
    from lmstudio_plugin import Plugin as Plugin
    from lmstudio_plugin import PluginConfig as PluginConfig
    from lmstudio_plugin import PredictionLoopController as PredictionLoopController
    from lmstudio_plugin import PromptPreprocessorController as PromptPreprocessorController
    from lmstudio_plugin import Setting as Setting
    from lmstudio_plugin import TokenGeneratorController as TokenGeneratorController
    from lmstudio_plugin import ToolCall as ToolCall
    from lmstudio_plugin import ToolCallContext as ToolCallContext
    from lmstudio_plugin import ToolsProviderController as ToolsProviderController
    from lmstudio_plugin import config_field as config_field
    from lmstudio_plugin import get_tool_call_context as get_tool_call_context
    from lmstudio_plugin import get_tool_call_context_async as get_tool_call_context_async
    from lmstudio_plugin import run_plugin as run_plugin
    from lmstudio_plugin import run_plugin_async as run_plugin_async

    from . import _dev_runner as _dev_runner
    from . import cli as cli
    from . import config_schemas as config_schemas
    from . import hooks as hooks
    from . import runner as runner
    from . import sdk_api as sdk_api

_HOMES: Final = {
    "AsyncGenerator": "lmstudio_plugin:AsyncGenerator",
    "AsyncToolCallContext": "lmstudio_plugin:AsyncToolCallContext",
    "BaseConfigSchema": "lmstudio_plugin:BaseConfigSchema",
    "Directory": "lmstudio_plugin:Directory",
    "Generator": "lmstudio_plugin:Generator",
    "LMStudioPluginInitError": "lmstudio_plugin:LMStudioPluginInitError",
    "LMStudioPluginRuntimeError": "lmstudio_plugin:LMStudioPluginRuntimeError",
    "Plugin": "lmstudio_plugin:Plugin",
    "PluginConfig": "lmstudio_plugin:PluginConfig",
    "PredictionLoopController": "lmstudio_plugin:PredictionLoopController",
    "PromptPreprocessorController": "lmstudio_plugin:PromptPreprocessorController",
    "Setting": "lmstudio_plugin:Setting",
    "TokenGeneratorController": "lmstudio_plugin:TokenGeneratorController",
    "ToolCall": "lmstudio_plugin:ToolCall",
    "ToolCallContext": "lmstudio_plugin:ToolCallContext",
    "ToolsProviderController": "lmstudio_plugin:ToolsProviderController",
    "_dev_runner": "lmstudio.plugin._dev_runner",
    "cli": "lmstudio.plugin.cli",
    "config_field": "lmstudio_plugin:config_field",
    "config_schemas": "lmstudio.plugin.config_schemas",
    "get_tool_call_context": "lmstudio_plugin:get_tool_call_context",
    "get_tool_call_context_async": "lmstudio_plugin:get_tool_call_context_async",
    "hooks": "lmstudio.plugin.hooks",
    "run_plugin": "lmstudio_plugin:run_plugin",
    "run_plugin_async": "lmstudio_plugin:run_plugin_async",
    "runner": "lmstudio.plugin.runner",
    "sdk_api": "lmstudio.plugin.sdk_api",
}

__all__ = [
    "AsyncGenerator",
    "AsyncToolCallContext",
    "BaseConfigSchema",
    "Directory",
    "Generator",
    "LMStudioPluginInitError",
    "LMStudioPluginRuntimeError",
    "Plugin",
    "PluginConfig",
    "PredictionLoopController",
    "PromptPreprocessorController",
    "Setting",
    "TokenGeneratorController",
    "ToolCall",
    "ToolCallContext",
    "ToolsProviderController",
    "config_field",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_plugin",
    "run_plugin_async",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
