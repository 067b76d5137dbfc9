"""What every namespace of a client offers."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import Unpack

from ..program.tracebacks import Short
from ..protocol.operations import VOID, Call, Endpoint
from ..protocol.runner import AsyncRunner, SyncRunner
from ..timeouts import CallLimits

__all__ = ["AsyncNamespace", "SyncNamespace"]


def _raw_call(namespace: str, endpoint: str, params: Any) -> Call[Any]:
    parameter = params.to_dict() if hasattr(params, "to_dict") else params
    return Call(Endpoint(namespace, endpoint), VOID if parameter is None else parameter)


class SyncNamespace(Short):
    """One namespace of a ``Client``; its socket opens on first use.

    Attributes:
        server_namespace: The server's name for it, where there is one.
    """

    server_namespace: ClassVar[str]

    def __init__(self, client: SyncRunner) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @property
    def client(self) -> SyncRunner:
        """The client that this namespace belongs to."""
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the namespace's socket is open."""
        return self._client.is_connected(self.server_namespace)

    def connect(self) -> None:
        """Open the namespace's socket now instead of on first use."""
        self._client.connect(self.server_namespace)

    def disconnect(self) -> None:
        """Close the namespace's socket; the next call opens it again."""
        self._client.disconnect(self.server_namespace)

    close = disconnect

    def remote_call(
        self,
        endpoint: str,
        params: Any = None,
        notice_prefix: str = "RPC",
        **limits: Unpack[CallLimits],
    ) -> Any:
        """Call an endpoint of this namespace by name, with plain data in and out.

        Args:
            endpoint: The endpoint's name.
            params: The parameter as a dict or struct; ``None`` for endpoints without one.
            notice_prefix: Accepted for compatibility.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        del notice_prefix
        result = self._client.run(_raw_call(self.server_namespace, endpoint, params), **limits)
        return None if result is VOID else result


class AsyncNamespace(Short):
    """One namespace of an ``AsyncClient``; its socket opens on first use."""

    server_namespace: ClassVar[str]

    def __init__(self, client: AsyncRunner) -> None:
        self._client = client

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    @property
    def client(self) -> AsyncRunner:
        """The client that this namespace belongs to."""
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the namespace's socket is open."""
        return self._client.is_connected(self.server_namespace)

    async def connect(self) -> None:
        """Open the namespace's socket now instead of on first use."""
        await self._client.connect(self.server_namespace)

    async def disconnect(self) -> None:
        """Close the namespace's socket; the next call opens it again."""
        await self._client.disconnect(self.server_namespace)

    aclose = disconnect

    async def remote_call(
        self,
        endpoint: str,
        params: Any = None,
        notice_prefix: str = "RPC",
        **limits: Unpack[CallLimits],
    ) -> Any:
        """Call an endpoint of this namespace by name, with plain data in and out.

        Args:
            endpoint: The endpoint's name.
            params: The parameter as a dict or struct; ``None`` for endpoints without one.
            notice_prefix: Accepted for compatibility.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        del notice_prefix
        result = await self._client.run(
            _raw_call(self.server_namespace, endpoint, params), **limits
        )
        return None if result is VOID else result
