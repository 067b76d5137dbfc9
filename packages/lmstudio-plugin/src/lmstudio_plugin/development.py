"""Plugins in development: registered for as long as a program runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self, Unpack

from lmstudio_core.errors import LMStudioRuntimeError
from lmstudio_core.lenient import as_mapping
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Channel, Endpoint
from lmstudio_core.protocol.runner import AsyncRunner, SyncRunner
from lmstudio_core.timeouts import CallLimits

from .data import HookRequest, PluginCredentials, PluginManifest
from .operations import HookChannel

__all__ = [
    "AsyncDevelopmentPlugin",
    "AsyncHookStream",
    "DevelopmentChannel",
    "DevelopmentPlugin",
    "HookStream",
]


class DevelopmentChannel(Channel[PluginCredentials, None]):
    """A registration; its one event is who the plugin's process is to be."""

    endpoint: Endpoint = Endpoint("plugins", "registerDevelopmentPlugin", "channel")
    cancel_message: Mapping[str, Any] | None = {"type": "end"}

    def __init__(self, manifest: PluginManifest | Mapping[str, Any]) -> None:
        given = manifest if isinstance(manifest, PluginManifest) else None
        self.manifest: PluginManifest = given or PluginManifest.from_dict(as_mapping(manifest))
        self.parameter: Any = {"manifest": self.manifest.to_dict()}
        self.credentials: PluginCredentials | None = None

    def feed(self, message: Any) -> Sequence[PluginCredentials]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        if packet.get("type") != "ready":
            return ()
        self.credentials = PluginCredentials(
            client_identifier=str(packet.get("clientIdentifier", "")),
            client_passkey=str(packet.get("clientPasskey", "")),
            base_url=packet.get("baseUrl"),
            deno_broker_ipc_path=packet.get("denoBrokerIpcPath"),
        )
        return (self.credentials,)

    def result(self) -> None:
        """What it came to; see ``Channel.result``."""

    def on_close(self) -> None:
        """The server closed the channel; see ``Channel.on_close``."""
        if self.credentials is None:
            super().on_close()

    def known(self) -> PluginCredentials:
        """The credentials; an error if the registration ended before they came."""
        if self.credentials is None:
            raise LMStudioRuntimeError("This registration is over; make a new one.")
        return self.credentials


class DevelopmentPlugin(Short):  # public
    """A plugin that is registered until ``close``."""

    def __init__(
        self, channel: DevelopmentChannel, client: SyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._channel = channel
        self._stream = client.open(channel, **limits)
        next(self._stream, None)

    def __repr__(self) -> str:
        manifest = self._channel.manifest
        return f"<DevelopmentPlugin {manifest.owner}/{manifest.name}>"

    @property
    def credentials(self) -> PluginCredentials:
        """As whom the plugin's process has to connect."""
        return self._channel.known()

    def wait(self) -> None:
        """Return when the server ends the registration; raises if the server is gone."""
        while self._stream.receive() is not None:
            pass

    def close(self) -> None:
        """Unregister it, and wait until the server has."""
        self._stream.cancel()
        while self._stream.receive() is not None:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncDevelopmentPlugin(Short):  # public
    """A plugin that is registered until ``aclose``; for asyncio."""

    def __init__(
        self, channel: DevelopmentChannel, client: AsyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._channel = channel
        self._stream = client.open(channel, **limits)

    async def start(self) -> Self:
        """Register it."""
        if self._channel.credentials is None:
            await anext(self._stream, None)
        return self

    def __repr__(self) -> str:
        manifest = self._channel.manifest
        return f"<AsyncDevelopmentPlugin {manifest.owner}/{manifest.name}>"

    @property
    def credentials(self) -> PluginCredentials:
        """As whom the plugin's process has to connect."""
        return self._channel.known()

    async def wait(self) -> None:
        """Return when the server ends the registration; raises if the server is gone."""
        while await self._stream.receive() is not None:
            pass

    async def aclose(self) -> None:
        """Unregister it, and wait until the server has."""
        await self._stream.cancel()
        while await self._stream.receive() is not None:
            pass

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class HookStream(Short):  # public
    """What the server asks of a plugin: iterate over the requests and ``send`` the answers.

    The packets are those of LM Studio's protocol; nothing is done for the plugin here.
    """

    def __init__(
        self, channel: HookChannel, client: SyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._stream = client.open(channel, **limits)

    def __iter__(self) -> Iterator[HookRequest]:
        return self

    def __next__(self) -> HookRequest:
        return next(self._stream)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send an answer, such as ``{"type": "complete", "taskId": request.task_id}``."""
        self._stream.send(dict(message))

    def close(self) -> None:
        """Take no more requests."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncHookStream(Short):  # public
    """What the server asks of a plugin, for asyncio: iterate, and ``send`` the answers."""

    def __init__(
        self, channel: HookChannel, client: AsyncRunner, **limits: Unpack[CallLimits]
    ) -> None:
        self._stream = client.open(channel, **limits)

    async def start(self) -> Self:
        """Offer it to the server now; the first step of the iteration does it otherwise."""
        await self._stream.start()
        return self

    def __aiter__(self) -> AsyncIterator[HookRequest]:
        return self

    async def __anext__(self) -> HookRequest:
        return await anext(self._stream)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send an answer, such as ``{"type": "complete", "taskId": request.task_id}``."""
        await self._stream.send(dict(message))

    async def aclose(self) -> None:
        """Take no more requests."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
