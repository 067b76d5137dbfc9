"""HTTP to a remote server: JSON answers and event streams. What goes wrong becomes an ``EngineError``."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from lmstudio_core.lenient import as_mapping, error_text, is_list, is_mapping
from lmstudio_server._version import __version__
from lmstudio_server.engines.llamacpp.sse import SseDecoder
from lmstudio_server.engines.llamacpp.transport import StatusError
from lmstudio_server.logs import hush_http_client

from .problems import connection_problem, not_openai, status_problem

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from lmstudio_server.engines.base import EngineError

    from .settings import RemoteServer

__all__ = ["LIST_SECONDS", "RemoteClient", "list_models"]

CONNECT_SECONDS = 10.0
LIST_SECONDS = 3.0
"""How long a listing waits for a server: lists are asked for often."""
_KEEP_ALIVE_SECONDS = 2.0
"""Less than servers keep an idle connection, so that none is used that they are about to close."""
_MAX_ERROR_BYTES = 65536

hush_http_client()


class RemoteClient:
    """Asks one server.

    Args:
        server: Where and with which key.
        transport: Replaces the network, in tests.
    """

    def __init__(
        self, server: RemoteServer, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.server = server
        self._transport = transport
        self._kept = self._client()
        self._fresh: httpx2.AsyncClient | None = None

    def _client(self, max_keepalive_connections: int | None = None) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers=_headers(self.server),
            timeout=httpx2.Timeout(self.server.timeout, connect=CONNECT_SECONDS, pool=None),
            limits=httpx2.Limits(
                max_connections=None,
                max_keepalive_connections=max_keepalive_connections,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            ),
            transport=self._transport,
        )

    async def get(self, path: str) -> Any:
        """Return the JSON at ``path``. Raises as ``post`` does."""
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send ``body`` and return the JSON answer.

        Raises:
            EngineError: The server is not there, is silent, or refuses.
            StatusError: It has no such path (404), which some servers do not.
        """
        return await self._ask("POST", path, body)

    async def stream(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Send ``body`` and yield the events of the answer; closing this generator cancels.

        Raises as ``post`` does, also for an error inside the stream.
        """
        try:
            async with self._answer("POST", path, body) as response:
                decoder = SseDecoder()
                async for data in response.aiter_bytes():
                    for event in decoder.feed(data):
                        yield self._checked(event)
        except ValueError as error:  # an event that is no JSON
            raise not_openai(self.server, error_text(error)) from error
        except httpx2.HTTPError as error:
            raise connection_problem(self.server, error) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._kept.aclose()
        if self._fresh is not None:
            await self._fresh.aclose()

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        try:
            async with self._answer(method, path, body) as response:
                return json.loads(await response.aread())
        except ValueError as error:
            raise not_openai(self.server, error_text(error)) from error
        except httpx2.HTTPError as error:
            raise connection_problem(self.server, error) from error

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncGenerator[httpx2.Response, None]:
        """The answer to a request, once it has begun well; leaving the block ends it."""
        response = await self._sent(method, path, body)
        try:
            await self._check(response)
            yield response
        finally:
            await response.aclose()

    async def _sent(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> httpx2.Response:
        """Send a request, a second time if the connection ended before anything came back.

        A server may close a kept connection in the moment the next request goes out on it;
        httpx tells such an end from no other, and has no retry for it.
        """
        request = self._kept.build_request(method, self._url(path), json=body)
        try:
            return await self._kept.send(request, stream=True)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            if self._fresh is None:
                self._fresh = self._client(max_keepalive_connections=0)
            return await self._fresh.send(request, stream=True)

    def _url(self, path: str) -> str:
        """``v1/…`` is below the base URL; what begins with a slash is beside it."""
        base = self.server.base_url
        return f"{base.removesuffix('/v1')}{path}" if path.startswith("/") else f"{base}/{path}"

    def _checked(self, event: Any) -> Mapping[str, Any]:
        if not is_mapping(event):
            raise not_openai(self.server, "an event of the stream is no JSON object")
        if event.get("error"):
            raise self._refusal(500, event)
        return event

    async def _check(self, response: httpx2.Response) -> None:
        if response.status_code == 200:
            return
        data = b""
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > _MAX_ERROR_BYTES:
                break
        try:
            payload: Any = json.loads(data)
        except ValueError:
            payload = data.decode("utf-8", "replace")
        raise self._refusal(response.status_code, payload)

    def _refusal(self, status: int, payload: Any) -> EngineError | StatusError:
        if status == 404:
            return StatusError(status, {"error": payload})
        return status_problem(self.server, status, payload)


def list_models(server: RemoteServer) -> list[Mapping[str, Any]]:
    """Ask a server for its models, and wait for the answer; for use in a thread.

    Raises:
        EngineError: The server is not there, is silent, or refuses.
    """
    try:
        response = httpx2.get(
            f"{server.base_url}/models", headers=_headers(server), timeout=LIST_SECONDS
        )
        if response.status_code != 200:
            raise status_problem(server, response.status_code, response.text)
        return models_in(server, response.json())
    except ValueError as error:
        raise not_openai(server, error_text(error)) from error
    except httpx2.HTTPError as error:
        raise connection_problem(server, error) from error


def models_in(server: RemoteServer, answer: Any) -> list[Mapping[str, Any]]:
    """The models in the answer of ``/v1/models``."""
    found = as_mapping(answer).get("data")
    if not is_list(found):
        raise not_openai(server, "/models gives no list")
    return [entry for entry in found if isinstance(as_mapping(entry).get("id"), str)]


def _headers(server: RemoteServer) -> dict[str, str]:
    headers = {"User-Agent": f"lmstudio-server/{__version__}"}
    if server.api_key:
        headers["Authorization"] = f"Bearer {server.api_key}"
    return headers
