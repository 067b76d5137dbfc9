"""What this package announces to the clients: the namespace ``plugins``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

if TYPE_CHECKING:
    from .facade import AsyncPluginsNamespace, PluginsNamespace

CAPABILITY: Final[Capability[PluginsNamespace, AsyncPluginsNamespace]] = Capability(  # public
    name="plugins",
    sync_namespace="lmstudio_plugin.facade:PluginsNamespace",
    async_namespace="lmstudio_plugin.facade:AsyncPluginsNamespace",
)
