"""What this package announces to the clients: the namespace ``agent`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.capability import Capability

if TYPE_CHECKING:
    from .namespaces import AgentNamespace, AsyncAgentNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[AgentNamespace, AsyncAgentNamespace]] = Capability(
    name="agent",
    sync_namespace="lmstudio_agent.namespaces:AgentNamespace",
    async_namespace="lmstudio_agent.namespaces:AsyncAgentNamespace",
    exports={
        "ActResult": "lmstudio_agent.results:ActResult",
        "AgentNamespace": "lmstudio_agent.namespaces:AgentNamespace",
        "AsyncAgentNamespace": "lmstudio_agent.namespaces:AsyncAgentNamespace",
        "ToolCallContext": "lmstudio_agent.context:ToolCallContext",
        "ToolCallRecord": "lmstudio_agent.results:ToolCallRecord",
        "Usage": "lmstudio_agent.results:Usage",
    },
)
