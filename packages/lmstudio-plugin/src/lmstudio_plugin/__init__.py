"""``client.plugins``: tools and generators of installed LM Studio plugins, and plugins themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.lazy import lazy_names
from lmstudio_core.plugins.capability import Capability

if TYPE_CHECKING:
    from .config_schemas import BaseConfigSchema as BaseConfigSchema
    from .config_schemas import config_field as config_field
    from .data import ConfigSchematics as ConfigSchematics
    from .data import ConfigSchematicsField as ConfigSchematicsField
    from .data import GeneratorFragment as GeneratorFragment
    from .data import GeneratorProgress as GeneratorProgress
    from .data import GeneratorResult as GeneratorResult
    from .data import GeneratorToolCall as GeneratorToolCall
    from .data import HookRequest as HookRequest
    from .data import PluginCredentials as PluginCredentials
    from .data import PluginInfo as PluginInfo
    from .data import PluginManifest as PluginManifest
    from .data import PluginTool as PluginTool
    from .data import PredictionProcess as PredictionProcess
    from .data import TokenSource as TokenSource
    from .data import ToolCallDecision as ToolCallDecision
    from .development import AsyncDevelopmentPlugin as AsyncDevelopmentPlugin
    from .development import AsyncHookStream as AsyncHookStream
    from .development import DevelopmentPlugin as DevelopmentPlugin
    from .development import HookStream as HookStream
    from .errors import LMStudioPluginInitError as LMStudioPluginInitError
    from .errors import LMStudioPluginRuntimeError as LMStudioPluginRuntimeError
    from .facade import AsyncPluginsNamespace as AsyncPluginsNamespace
    from .facade import PluginsNamespace as PluginsNamespace
    from .generation import AsyncGeneratorStream as AsyncGeneratorStream
    from .generation import GeneratorStream as GeneratorStream
    from .hooks.prediction_loop import PredictionLoopController as PredictionLoopController
    from .hooks.prompt_preprocessor import (
        PromptPreprocessorController as PromptPreprocessorController,
    )
    from .hooks.token_generator import TokenGeneratorController as TokenGeneratorController
    from .hooks.tool_contexts import AsyncToolCallContext as AsyncToolCallContext
    from .hooks.tool_contexts import ToolCall as ToolCall
    from .hooks.tool_contexts import ToolCallContext as ToolCallContext
    from .hooks.tool_contexts import get_tool_call_context as get_tool_call_context
    from .hooks.tool_contexts import get_tool_call_context_async as get_tool_call_context_async
    from .hooks.tools_provider import ToolsProviderController as ToolsProviderController
    from .plugin import Plugin as Plugin
    from .processing import AsyncPredictionController as AsyncPredictionController
    from .processing import PredictionController as PredictionController
    from .runner import run_plugin as run_plugin
    from .runner import run_plugin_async as run_plugin_async
    from .sessions import AsyncToolUseSession as AsyncToolUseSession
    from .sessions import ToolUseSession as ToolUseSession
    from .settings import Directory as Directory
    from .settings import PluginConfig as PluginConfig
    from .settings import Setting as Setting
    from .token_sources import AsyncGenerator as AsyncGenerator
    from .token_sources import Generator as Generator

CAPABILITY: Final[Capability[PluginsNamespace, AsyncPluginsNamespace]] = Capability(
    name="plugins",
    sync_namespace=f"{__name__}.facade:PluginsNamespace",
    async_namespace=f"{__name__}.facade:AsyncPluginsNamespace",
)

__all__ = [
    "CAPABILITY",
    "AsyncDevelopmentPlugin",
    "AsyncGenerator",
    "AsyncGeneratorStream",
    "AsyncHookStream",
    "AsyncPluginsNamespace",
    "AsyncPredictionController",
    "AsyncToolCallContext",
    "AsyncToolUseSession",
    "BaseConfigSchema",
    "ConfigSchematics",
    "ConfigSchematicsField",
    "DevelopmentPlugin",
    "Directory",
    "Generator",
    "GeneratorFragment",
    "GeneratorProgress",
    "GeneratorResult",
    "GeneratorStream",
    "GeneratorToolCall",
    "HookRequest",
    "HookStream",
    "LMStudioPluginInitError",
    "LMStudioPluginRuntimeError",
    "Plugin",
    "PluginConfig",
    "PluginCredentials",
    "PluginInfo",
    "PluginManifest",
    "PluginTool",
    "PluginsNamespace",
    "PredictionController",
    "PredictionLoopController",
    "PredictionProcess",
    "PromptPreprocessorController",
    "Setting",
    "TokenGeneratorController",
    "TokenSource",
    "ToolCall",
    "ToolCallContext",
    "ToolCallDecision",
    "ToolUseSession",
    "ToolsProviderController",
    "config_field",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_plugin",
    "run_plugin_async",
]

_HOMES: Final = {
    "config_schemas": ("BaseConfigSchema", "config_field"),
    "errors": ("LMStudioPluginInitError", "LMStudioPluginRuntimeError"),
    "hooks.prediction_loop": ("PredictionLoopController",),
    "hooks.prompt_preprocessor": ("PromptPreprocessorController",),
    "hooks.token_generator": ("TokenGeneratorController",),
    "hooks.tool_contexts": (
        "AsyncToolCallContext",
        "ToolCall",
        "ToolCallContext",
        "get_tool_call_context",
        "get_tool_call_context_async",
    ),
    "hooks.tools_provider": ("ToolsProviderController",),
    "plugin": ("Plugin",),
    "runner": ("run_plugin", "run_plugin_async"),
    "settings": ("Directory", "PluginConfig", "Setting"),
    "token_sources": ("AsyncGenerator", "Generator"),
    "data": (
        "ConfigSchematics",
        "ConfigSchematicsField",
        "GeneratorFragment",
        "GeneratorProgress",
        "GeneratorResult",
        "GeneratorToolCall",
        "HookRequest",
        "PluginCredentials",
        "PluginInfo",
        "PluginManifest",
        "PluginTool",
        "PredictionProcess",
        "TokenSource",
        "ToolCallDecision",
    ),
    "development": (
        "AsyncDevelopmentPlugin",
        "AsyncHookStream",
        "DevelopmentPlugin",
        "HookStream",
    ),
    "facade": ("AsyncPluginsNamespace", "PluginsNamespace"),
    "generation": ("AsyncGeneratorStream", "GeneratorStream"),
    "processing": ("AsyncPredictionController", "PredictionController"),
    "sessions": ("AsyncToolUseSession", "ToolUseSession"),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {name: f"{__name__}.{home}:{name}" for home, names in _HOMES.items() for name in names},
)
