"""The HTTP application, and the connections it is spoken to by.

Imported with the first request that is not for a WebSocket: starlette and uvicorn take a moment.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import Route, Router
from uvicorn.config import Config
from uvicorn.server import ServerState

from lmstudio_server.doors.sse import JSONResponse
from lmstudio_server.serving.http import GREETING_PATH, STATUS_PATH, introduction, split_target

from .connection import HttpConnection
from .guard import Cors, Guard
from .openai.routes import routes as openai_routes
from .page.routes import routes as page_routes
from .rest.routes import routes as rest_routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from lmstudio_server.services import Services

__all__ = ["HttpDoor", "application"]

KEEP_ALIVE_SECONDS = 75
CLOSE_SECONDS = 2.0


def application(services: Services) -> ASGIApp:
    """The whole of it, as ASGI servers take it."""
    return _OnePath(Cors(Guard(_Routed(services), services), services))


class _OnePath:
    """Gives everything one path, however it was asked for: with the whole URL (then the host in it
    has to be right, too), or with a slash at the end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, headers = scope["path"], scope["headers"]
        host, rest, _ = split_target(scope["raw_path"].decode("latin-1"))
        if host is not None:
            path = unquote(rest)
            headers = [*headers, (b"host", host.encode("latin-1"))]
        given = {**scope, "path": path.rstrip("/") or "/", "headers": headers}
        await self._app(given, receive, send)


class _Routed:
    def __init__(self, services: Services) -> None:
        self._router = Router(
            [
                *_introductions(services),
                *openai_routes(services),
                *rest_routes(services),
                *page_routes(services),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # With an application in the scope, the router raises where nothing matches.
        await self._router({**scope, "app": self}, receive, send)


def _introductions(services: Services) -> list[BaseRoute]:
    async def introduce(request: Request) -> Response:
        bearer = request.headers.get("authorization")
        known = introduction(services, request.url.path, request.url.query, bearer)
        return JSONResponse(known, headers={"Cache-Control": "no-store"})

    return [Route(GREETING_PATH, introduce), Route(STATUS_PATH, introduce)]


class HttpDoor:
    """Makes protocols that speak HTTP on a connection, and ends them with the server."""

    def __init__(self, services: Services) -> None:
        self._config = Config(
            application(services),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._state = ServerState()
        # What a client sends is no event of the server's.
        quiet = logging.getLogger("uvicorn.error")
        quiet.setLevel(logging.ERROR)

    def connect(
        self, transport: asyncio.Transport, received: bytes, on_lost: Callable[[], None]
    ) -> None:
        """Go on with a connection on which ``received`` has come in.

        Args:
            transport: The connection.
            received: The bytes that were read already.
            on_lost: Called when the connection ends.
        """
        protocol = HttpConnection(on_lost, self._config, self._state)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(received)

    async def close(self) -> None:
        """End every connection; answers under way have a moment to be sent."""
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=CLOSE_SECONDS)
        for task in list(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks)
        for connection in list(self._state.connections):
            connection.shutdown()
