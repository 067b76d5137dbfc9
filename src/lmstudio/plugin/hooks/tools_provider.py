"""Tools providers, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.hooks.tools_provider import AsyncToolCallContext as AsyncToolCallContext
    from lmstudio_plugin.hooks.tools_provider import (
        PromptPreprocessingRxEvent as PromptPreprocessingRxEvent,
    )
    from lmstudio_plugin.hooks.tools_provider import (
        ProvideToolsAbortCallEvent as ProvideToolsAbortCallEvent,
    )
    from lmstudio_plugin.hooks.tools_provider import (
        ProvideToolsCallToolEvent as ProvideToolsCallToolEvent,
    )
    from lmstudio_plugin.hooks.tools_provider import (
        ProvideToolsDiscardSessionEvent as ProvideToolsDiscardSessionEvent,
    )
    from lmstudio_plugin.hooks.tools_provider import (
        ProvideToolsInitSessionEvent as ProvideToolsInitSessionEvent,
    )
    from lmstudio_plugin.hooks.tools_provider import T as T
    from lmstudio_plugin.hooks.tools_provider import ToolCallContext as ToolCallContext
    from lmstudio_plugin.hooks.tools_provider import ToolCallHandler as ToolCallHandler
    from lmstudio_plugin.hooks.tools_provider import ToolsProvider as ToolsProvider
    from lmstudio_plugin.hooks.tools_provider import (
        ToolsProviderController as ToolsProviderController,
    )
    from lmstudio_plugin.hooks.tools_provider import ToolsProviderEndpoint as ToolsProviderEndpoint
    from lmstudio_plugin.hooks.tools_provider import ToolsProviderHook as ToolsProviderHook
    from lmstudio_plugin.hooks.tools_provider import get_tool_call_context as get_tool_call_context
    from lmstudio_plugin.hooks.tools_provider import (
        get_tool_call_context_async as get_tool_call_context_async,
    )
    from lmstudio_plugin.hooks.tools_provider import run_tools_provider as run_tools_provider

_HOMES: Final = {
    "AsyncToolCallContext": "lmstudio_plugin.hooks.tools_provider:AsyncToolCallContext",
    "PromptPreprocessingRxEvent": "lmstudio_plugin.hooks.tools_provider:PromptPreprocessingRxEvent",
    "ProvideToolsAbortCallEvent": "lmstudio_plugin.hooks.tools_provider:ProvideToolsAbortCallEvent",
    "ProvideToolsCallToolEvent": "lmstudio_plugin.hooks.tools_provider:ProvideToolsCallToolEvent",
    "ProvideToolsDiscardSessionEvent": "lmstudio_plugin.hooks.tools_provider:ProvideToolsDiscardSessionEvent",
    "ProvideToolsInitSessionEvent": "lmstudio_plugin.hooks.tools_provider:ProvideToolsInitSessionEvent",
    "T": "lmstudio_plugin.hooks.tools_provider:T",
    "ToolCallContext": "lmstudio_plugin.hooks.tools_provider:ToolCallContext",
    "ToolCallHandler": "lmstudio_plugin.hooks.tools_provider:ToolCallHandler",
    "ToolsProvider": "lmstudio_plugin.hooks.tools_provider:ToolsProvider",
    "ToolsProviderController": "lmstudio_plugin.hooks.tools_provider:ToolsProviderController",
    "ToolsProviderEndpoint": "lmstudio_plugin.hooks.tools_provider:ToolsProviderEndpoint",
    "ToolsProviderHook": "lmstudio_plugin.hooks.tools_provider:ToolsProviderHook",
    "_BaseToolCallContext": "lmstudio_plugin.hooks.tools_provider:_BaseToolCallContext",
    "_LMS_TOOL_CALL_ASYNC": "lmstudio_plugin.hooks.tools_provider:_LMS_TOOL_CALL_ASYNC",
    "_LMS_TOOL_CALL_SYNC": "lmstudio_plugin.hooks.tools_provider:_LMS_TOOL_CALL_SYNC",
    "get_tool_call_context": "lmstudio_plugin.hooks.tools_provider:get_tool_call_context",
    "get_tool_call_context_async": "lmstudio_plugin.hooks.tools_provider:get_tool_call_context_async",
    "run_tools_provider": "lmstudio_plugin.hooks.tools_provider:run_tools_provider",
}

__all__ = [
    "AsyncToolCallContext",
    "PromptPreprocessingRxEvent",
    "ProvideToolsAbortCallEvent",
    "ProvideToolsCallToolEvent",
    "ProvideToolsDiscardSessionEvent",
    "ProvideToolsInitSessionEvent",
    "ToolCallContext",
    "ToolCallHandler",
    "ToolsProvider",
    "ToolsProviderController",
    "ToolsProviderEndpoint",
    "ToolsProviderHook",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_tools_provider",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
