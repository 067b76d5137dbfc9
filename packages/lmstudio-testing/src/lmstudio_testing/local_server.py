"""A WebSocket server on the loopback interface, in a thread of its own: how it lives."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Literal, cast

from typing_extensions import Self
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from .fake_socket import PATIENCE
from .recorder import Recorder

__all__ = ["LocalServer"]

_LOOPBACK: Final = "127.0.0.1"


class LocalServer(Recorder):
    """Listens, records, and is gone at the end of its ``with`` block.

    Attributes:
        handshake: ``None`` opens the WebSocket; a number is an HTTP status to refuse it with;
            ``"silent"`` never answers.
        pages: What it answers to plain HTTP requests: path → (status, JSON value).
        failures: Exceptions that scripts raised by mistake; leaving the ``with`` raises the first.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._tls = tls
        self.handshake: int | Literal["silent"] | None = None
        self.pages: dict[str, tuple[int, Any]] = {
            "/lmstudio-greeting": (200, {"lmstudio": True}),
            "/lms-status": (200, {"package": "fake", "version": "0.0.0"}),
        }
        self.failures: list[BaseException] = []
        self.port: int = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def api_host(self) -> str:
        """``"host:port"``; with TLS ``"wss://localhost:port"``."""
        return f"wss://localhost:{self.port}" if self._tls else f"{_LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Listen; after a ``stop``, on the same port as before."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(started)), name="fake-server", daemon=True
        )
        self._thread.start()
        started.result(PATIENCE)

    def stop(self) -> None:
        """Close every socket and stop listening; what was recorded stays."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        loop.call_soon_threadsafe(stopping.set)
        thread.join(PATIENCE)
        if thread.is_alive():
            raise TimeoutError("the fake server did not stop")
        self._thread = self._loop = self._stopping = None

    def check(self) -> None:
        """Raise the first failure that there was; leaving the ``with`` block does it, too."""
        if self.failures:
            raise self.failures[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()
        if exc is None:
            self.check()

    async def _main(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server: Server = await cast("Any", serve)(  # whose type says too little
                self._serve,
                _LOOPBACK,
                self.port,
                ssl=self._tls,
                process_request=self._answer_http,
                compression=None,
                max_size=None,
                open_timeout=None,
                ping_interval=None,
                close_timeout=1 if self._tls else 0,  # TLS says goodbye, too
            )
        except OSError as error:
            started.set_exception(error)
            return
        self.port = int(next(iter(server.sockets)).getsockname()[1])
        started.set_result(None)
        await self._stopping.wait()
        for socket in self.open_sockets:
            socket.finish(1001)
        server.close()
        # A client in the middle of its handshake has no socket here yet.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name() == "silent handshake":
                task.cancel()
        await server.wait_closed()

    async def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if self.handshake is None:
                return None
            if self.handshake == "silent":
                asyncio.current_task().set_name("silent handshake")  # type: ignore[union-attr]
                await asyncio.get_running_loop().create_future()
            return connection.respond(cast("int", self.handshake), "")
        self._note(lambda: self._page_requests.append(request.path))
        status, value = self.pages.get(request.path, (404, None))
        return connection.respond(status, value if isinstance(value, str) else json.dumps(value))

    async def _serve(self, connection: ServerConnection) -> None:
        """Serve one WebSocket to its end."""
        raise NotImplementedError
