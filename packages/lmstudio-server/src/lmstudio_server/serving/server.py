"""A server on its port."""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from lmstudio_core.lenient import error_text
from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.config import ServerConfig
from lmstudio_server.engines.base import Engine
from lmstudio_server.services import ModelLibrary, Services

from .front import OPEN_SECONDS, Front
from .http import answer, namespace_of
from .second import SecondPort
from .socket import FIRST_FRAME_BYTES, Socket

if TYPE_CHECKING:
    from websockets.http11 import Request, Response

__all__ = [
    "CertificateError",
    "ListenError",
    "RunningServer",
    "default_engine",
    "default_library",
    "serve",
]

_log = logging.getLogger(__name__)


class ListenError(OSError):
    """The port cannot be opened; the message says why."""

    def __init__(self, host: str, port: int, reason: OSError) -> None:
        if reason.errno in (errno.EADDRINUSE, 10048):
            words = (
                f"Port {port} on {host} is taken by another program. Choose another one with "
                "--port, or end that program."
            )
        else:
            # asyncio puts words of its own around those of the system.
            why = os.strerror(reason.errno) if reason.errno and reason.errno > 0 else None
            words = f"Cannot listen on {host}, port {port}: {why or reason.strerror or reason}."
        super().__init__(words)


class CertificateError(ListenError):
    """The certificate cannot be used; the message says why."""

    def __init__(self, file: Path, reason: Exception) -> None:
        OSError.__init__(
            self,
            f"The certificate {file} cannot be used: {error_text(reason)}. --tls-cert is a file in PEM "
            "form; its key is in the same one, or in that of --tls-key, without a password.",
        )


class RunningServer:
    """A server that listens."""

    def __init__(self, services: Services, server: Server) -> None:
        self.services = services
        self._server = server
        address: Any = next(iter(server.sockets)).getsockname()
        self.port: int = cast("tuple[Any, ...]", address)[1]

    @property
    def host(self) -> str:
        """``"host:port"``, as clients take it; with TLS ``"https://host:port"``."""
        address = f"{self.name}:{self.port}"
        return f"https://{address}" if self.services.config.tls_cert else address

    @property
    def base_url(self) -> str:
        """Where a plugin's process on this machine reaches it."""
        scheme = "wss" if self.services.config.tls_cert else "ws"
        return f"{scheme}://{self.name}:{self.port}"

    @property
    def name(self) -> str:
        """The host alone, in brackets if it is an IPv6 address."""
        bound = self.services.config.host
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bound, bound)  # noqa: S104
        if ":" in name and not name.startswith("["):
            name = f"[{name}]"
        return name

    async def wait_until_done(self) -> None:
        """Return when a client asked for the end, or the server was idle for too long."""
        await self.services.shutdown.wait()


def default_engine() -> Engine:
    """All installed engines."""
    from lmstudio_server.engines.installed import installed_engines

    return installed_engines()


def default_library(config: ServerConfig, engine: Engine) -> ModelLibrary:
    """The models of the configured folders, those that engines know by name, and the pocket models."""
    from lmstudio_server.library import Library, default_folders, hub_folder

    folders = config.model_folders
    if folders is not None:
        return Library(list(folders), elsewhere=engine.offered)
    return Library(default_folders(), elsewhere=engine.offered, virtual_folders=[hub_folder()])


@asynccontextmanager
async def serve(
    config: ServerConfig, *, engine: Engine | None = None, library: ModelLibrary | None = None
) -> AsyncGenerator[RunningServer, None]:
    """Listen and serve until the block ends; then every model is unloaded.

    Args:
        config: Where and how to serve.
        engine: What loads models; by default all installed engines.
        library: The models; by default those of the folders of ``config``.

    Raises:
        ListenError: The port is not free, or the address is none of this machine.
    """
    engine = engine or default_engine()
    services = Services.create(config, engine, library or default_library(config, engine))
    try:
        front = Front(services)
        server = await _listen(config, services, front)
        running = RunningServer(services, server)
        services.base_url = running.base_url
        services.second_port = SecondPort(services, running.port, _listen)
        try:
            services.presence.start()
            yield running
        finally:
            services.shutdown.set()
            services.presence.stop()
            await services.loads.close()
            await services.registry.drain(config.shutdown_grace)
            # Predictions that are still under way are told that their model goes.
            await services.registry.close()
            server.close()
            await front.close()
            await services.second_port.close()
            await server.wait_closed()
            # Sockets that closed on the way have started the wait for clients again.
            services.presence.stop()
    finally:
        await services.registry.close()
        await services.close()


def _keep_alive(connection: ServerConnection) -> None:
    """Let the system notice clients whose machine has gone; the protocol itself has no pings."""
    found: Any = connection.transport.get_extra_info("socket")
    with suppress(OSError, AttributeError):  # each event loop has a class of its own for it
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _tls(config: ServerConfig) -> dict[str, Any]:
    if config.tls_cert is None:
        return {}
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # HTTP/2 is not spoken here.
    context.set_alpn_protocols(["http/1.1"])

    def no_password() -> str:  # asking for it would wait for a terminal that may not be there
        raise ValueError("its key has a password")

    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, no_password)
    except (OSError, ValueError) as error:
        raise CertificateError(config.tls_cert, error) from error
    # Of asyncio's own limit, a minute, who says nothing would use all.
    return {"ssl": context, "ssl_handshake_timeout": OPEN_SECONDS}


async def _listen(config: ServerConfig, services: Services, front: Front) -> Server:
    async def handle(connection: ServerConnection) -> None:
        # There is none only before the handshake, which is over.
        request = cast("Request", connection.request)
        namespace = NAMESPACES[namespace_of(request.path)]
        _keep_alive(connection)
        try:
            await Socket(connection, namespace, services).run()
        except Exception:  # noqa: BLE001 - the library would tell only its own log
            _log.exception("a socket of %s failed", namespace.name)

    async def process_request(_connection: ServerConnection, request: Request) -> Response | None:
        return answer(services, request)

    # Every port scan and health check is an "error" to the library; that is for debugging only.
    # Its own debug level would write whole frames to the log, and with them passkeys.
    quiet = logging.getLogger("lmstudio_server.websockets")
    quiet.setLevel(logging.INFO if _log.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
    listening = serve_websockets(
        handle,
        config.host,
        config.port,
        process_request=process_request,
        create_connection=cast("type[ServerConnection]", front.connection),
        compression=None,
        max_size=FIRST_FRAME_BYTES,
        # A synchronous client may leave its socket unread for as long as its user thinks.
        ping_interval=None,
        close_timeout=2,
        server_header=None,
        logger=quiet,
        **_tls(config),
    )
    try:
        return await cast("Awaitable[Server]", listening)
    except OSError as error:
        raise ListenError(config.host, config.port, error) from error
