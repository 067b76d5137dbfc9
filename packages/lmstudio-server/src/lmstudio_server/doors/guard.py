"""What every HTTP request passes: who may ask, how much, and what happens to failures."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.doors.sse import JSONResponse
from lmstudio_server.serving.http import refusal

from .errors import DoorError, described
from .openai.answers import error_answer
from .rest.answers import error_answer as rest_error_answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lmstudio_server.services import Services

__all__ = ["OPEN_PATHS", "Cors", "Guard"]

_log = logging.getLogger(__name__)

SILENCE_SECONDS = 10.0
"""How long a client may take for each further piece of a body."""
PIECE_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
OPEN_BODY_BYTES = 4 * 1024
"""The same where nobody has to say who asks: nothing there takes a body."""
OPEN_PATHS = frozenset({"/", "/lms-status", "/lmstudio-greeting"})
"""What tells nothing that needs a token, and is no use of the server."""
QUIET_PATHS = OPEN_PATHS | {"/status.json"}


class Cors(CORSMiddleware):
    """Tells browsers that the pages that may ask may also read the answer."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        super().__init__(app, allow_methods=["GET", "POST"], allow_headers=["*"])
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, unless what it asks for would be refused: then it is, too."""
        hosts = Headers(scope=scope).getlist("host")
        if refusal(self._services.config, hosts, ()) is not None:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether pages of this origin may ask."""
        return refusal(self._services.config, (), (origin,)) is None


class Guard:
    """Checks a request, reads its body, and ends its work when the client goes away."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.monotonic()
        watched = _Watched(send)
        try:
            body = await self._admit(scope, receive)
            await self._run(scope, body, receive, watched)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear of it
            await _fail(error, scope, watched)
        except asyncio.CancelledError:
            if not self._services.shutdown.is_set():
                raise
            await _fail(_shutting_down(), scope, watched)
        _log.debug(
            "%s %r: %s in %.3f s",
            scope["method"],
            scope["path"],
            watched.status or "no answer",
            time.monotonic() - started,
        )

    async def _admit(self, scope: Scope, receive: Receive) -> bytes:
        headers = Headers(scope=scope)
        config = self._services.config
        reason = refusal(config, headers.getlist("host"), headers.getlist("origin"))
        if reason is not None:
            raise DoorError(403, reason, "forbidden")
        if scope["path"] not in OPEN_PATHS:
            if self._services.shutdown.is_set():
                raise _shutting_down()
            problem = self._services.authenticator.refuse_bearer(headers.get("authorization"))
            if problem is not None:
                raise DoorError(401, problem, "invalid_api_key")
        most = OPEN_BODY_BYTES if scope["path"] in OPEN_PATHS else MAX_BODY_BYTES
        return await _read(headers, receive, most)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        presence = self._services.presence
        counted = scope["path"] not in QUIET_PATHS
        if counted:
            presence.entered()
        try:
            await _until_gone(self._app(scope, _given(body), send), receive)
        finally:
            if counted:
                presence.left()


class _Watched:
    """Passes an answer on and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


async def _until_gone(work: Any, receive: Receive) -> None:
    """Await ``work``; a client that closes its connection cancels it."""
    loop = asyncio.get_running_loop()
    task, gone = loop.create_task(work), loop.create_task(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            _log.info("a client went away before its answer was complete")
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.wait({task, gone})
        # What a task raises holds its frames, and this one, which would hold the task: a circle, and
        # in it a refused body of any size, until the collector comes by.
        del task, gone


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _given(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        # The guard itself waits for the end of the connection.
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _read(headers: Headers, receive: Receive, most: int) -> bytes:
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size, more = 0, True
    # A byte now and then is no progress: it would keep the connection for months.
    due, deadline = PIECE_BYTES, time.monotonic() + SILENCE_SECONDS
    while more:
        try:
            message = await asyncio.wait_for(receive(), deadline - time.monotonic())
        except asyncio.TimeoutError as error:
            raise DoorError(
                408, f"The rest of the body did not come within {SILENCE_SECONDS:g} s."
            ) from error
        if message["type"] == "http.disconnect":
            raise DoorError(400, "The request ended early.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise _too_large(most)
        if size >= due:
            due, deadline = size + PIECE_BYTES, time.monotonic() + SILENCE_SECONDS
        more = message.get("more_body", False)
    return b"".join(parts)


def _shutting_down() -> DoorError:
    return DoorError(503, "This server is shutting down.", "shutting_down")


def _too_large(most: int) -> DoorError:
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return DoorError(413, f"The body is larger than {size}.", "request_too_large")


async def _fail(error: Exception, scope: Scope, send: _Watched) -> None:
    path: str = scope["path"]
    if isinstance(error, HTTPException):
        error = _no_route(error, scope["method"], path)
    failure = described(error)
    if not failure.is_request and not isinstance(error, DoorError):
        _log.error("%s %r failed", scope["method"], path, exc_info=error)
    else:
        _log.info("%s %r: %d %r", scope["method"], path, failure.status, failure.message)
    if send.status is not None:
        return
    answer = rest_error_answer if path.startswith("/api/") else error_answer
    headers = {"Cache-Control": "no-store"}
    if failure.status >= 500:
        # OpenAI's clients repeat failed requests, unless they are told that it is no use.
        headers["x-should-retry"] = "true" if failure.retry else "false"
    if failure.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if failure.status in (408, 413):
        headers["Connection"] = "close"
    response = JSONResponse(answer(failure), failure.status, headers)
    await response(scope, _given(b""), send)


def _no_route(error: HTTPException, method: str, path: str) -> DoorError:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return DoorError(405, f"{path} does not take {method}, but {allowed}.", "wrong_method")
    return DoorError(
        404,
        f"Nothing is served at {path[:200]}. Served are /v1/models, /v1/chat/completions, "
        "/v1/completions, /v1/embeddings, /api/v1/models, /api/v1/chat, and WebSockets at "
        f"{', '.join(NAMESPACES)}.",
        "not_found",
    )
