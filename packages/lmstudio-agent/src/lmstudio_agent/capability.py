"""What this package announces to the clients: the namespace ``agent`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

from . import HOME_OF

if TYPE_CHECKING:
    from .namespaces import AgentNamespace, AsyncAgentNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[AgentNamespace, AsyncAgentNamespace]] = Capability(
    name="agent",
    sync_namespace="lmstudio_agent.namespaces:AgentNamespace",
    async_namespace="lmstudio_agent.namespaces:AsyncAgentNamespace",
    exports={name: f"lmstudio_agent.{home}:{name}" for name, home in HOME_OF.items()},
)
