"""Agents for LM Studio: ``model.act(...)`` lets a model work with tools, round by round.

With this package installed, ``act`` works on every model handle::

    import lmstudio as lms

    def multiply(a: float, b: float) -> float:
        '''Multiply two numbers.'''
        return a * b

    lms.llm("qwen/qwen3-4b").act("What is 12345 multiplied by 54321?", [multiply])

Nothing heavy is imported before one of the names below is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

from .capability import CAPABILITY

if TYPE_CHECKING:
    from .context import ToolCallContext
    from .encoding import ToolImage
    from .events import ActEvent, ActRoundEnd, ActRoundStart, ActToolCall, ActToolResult
    from .mcp_toolset import McpToolset, mcp_tools
    from .namespaces import AgentNamespace, AsyncAgentNamespace
    from .plugin_toolset import PluginToolset, plugin_tools
    from .results import ActResult, ToolCallRecord, Usage
    from .streams import ActStream
    from .streams_aio import AsyncActStream
    from .toolsets import Toolset, toolset_names

__version__ = "2.0.0"

__all__ = [
    "ActEvent",
    "ActResult",
    "ActRoundEnd",
    "ActRoundStart",
    "ActStream",
    "ActToolCall",
    "ActToolResult",
    "AgentNamespace",
    "AsyncActStream",
    "AsyncAgentNamespace",
    "McpToolset",
    "PluginToolset",
    "ToolCallContext",
    "ToolCallRecord",
    "ToolImage",
    "Toolset",
    "Usage",
    "mcp_tools",
    "plugin_tools",
    "toolset_names",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(__name__, CAPABILITY.exports)
