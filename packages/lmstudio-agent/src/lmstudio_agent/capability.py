"""What this package announces to the clients: the namespace ``agent`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

if TYPE_CHECKING:
    from .namespaces import AgentNamespace, AsyncAgentNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[AgentNamespace, AsyncAgentNamespace]] = Capability(
    name="agent",
    sync_namespace="lmstudio_agent.namespaces:AgentNamespace",
    async_namespace="lmstudio_agent.namespaces:AsyncAgentNamespace",
    exports={
        "ActEvent": "lmstudio_agent.events:ActEvent",
        "ActResult": "lmstudio_agent.results:ActResult",
        "ActRoundEnd": "lmstudio_agent.events:ActRoundEnd",
        "ActRoundStart": "lmstudio_agent.events:ActRoundStart",
        "ActStream": "lmstudio_agent.streams:ActStream",
        "ActToolCall": "lmstudio_agent.events:ActToolCall",
        "ActToolResult": "lmstudio_agent.events:ActToolResult",
        "AgentNamespace": "lmstudio_agent.namespaces:AgentNamespace",
        "AsyncActStream": "lmstudio_agent.streams_aio:AsyncActStream",
        "AsyncAgentNamespace": "lmstudio_agent.namespaces:AsyncAgentNamespace",
        "McpToolset": "lmstudio_agent.mcp_toolset:McpToolset",
        "PluginToolset": "lmstudio_agent.plugin_toolset:PluginToolset",
        "ToolCallContext": "lmstudio_agent.context:ToolCallContext",
        "ToolCallRecord": "lmstudio_agent.results:ToolCallRecord",
        "ToolImage": "lmstudio_agent.encoding:ToolImage",
        "Toolset": "lmstudio_agent.toolsets:Toolset",
        "Usage": "lmstudio_agent.results:Usage",
        "mcp_tools": "lmstudio_agent.mcp_toolset:mcp_tools",
        "plugin_tools": "lmstudio_agent.plugin_toolset:plugin_tools",
        "toolset_names": "lmstudio_agent.toolsets:toolset_names",
    },
)
