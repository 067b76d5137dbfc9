"""``client.system``: the server itself."""

from __future__ import annotations

from typing import Any, Final

from ..capability import Capability
from ..data import ServerStruct
from ..protocol.operations import VOID, Call, Endpoint
from .base import AsyncNamespace, SyncNamespace

__all__ = [
    "CAPABILITY",
    "AsyncSystemNamespace",
    "ServerInfo",
    "ServerVersion",
    "SystemNamespace",
]

CAPABILITY: Final[Capability[SystemNamespace, AsyncSystemNamespace]] = Capability(
    name="system",
    sync_namespace=f"{__name__}:SystemNamespace",
    async_namespace=f"{__name__}:AsyncSystemNamespace",
)


class ServerVersion(ServerStruct):
    """The server's version, such as ``"0.4.0"``, and its build number."""

    version: str = ""
    build: int = 0


class ServerInfo(ServerStruct):
    """The server's process id, whether it runs without a window, and its version."""

    pid: int = 0
    is_daemon: bool = False
    version: str = ""


def _version() -> Call[ServerVersion]:
    return Call(Endpoint("system", "version"), VOID, ServerVersion.from_dict)


def _info() -> Call[ServerInfo]:
    return Call(Endpoint("system", "info"), VOID, ServerInfo.from_dict)


class SystemNamespace(SyncNamespace):
    """The server itself."""

    server_namespace = "system"

    def list_downloaded_models(self) -> list[Any]:
        """All downloaded models, of every kind."""
        return self._client.list_downloaded_models()

    def version(self) -> ServerVersion:
        """The server's version and build."""
        return self._client.run(_version())

    def info(self) -> ServerInfo:
        """The server's process."""
        return self._client.run(_info())


class AsyncSystemNamespace(AsyncNamespace):
    """The server itself, for asyncio."""

    server_namespace = "system"

    async def list_downloaded_models(self) -> list[Any]:
        """All downloaded models, of every kind."""
        return await self._client.list_downloaded_models()

    async def version(self) -> ServerVersion:
        """The server's version and build."""
        return await self._client.run(_version())

    async def info(self) -> ServerInfo:
        """The server's process."""
        return await self._client.run(_info())
