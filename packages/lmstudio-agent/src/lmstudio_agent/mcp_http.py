"""MCP servers with an address: streamable HTTP and the older HTTP+SSE, and what they refuse.

The ``mcp`` package tells of an HTTP status in some versions, in others it ends the whole session or
answers nothing; so the HTTP client that it is given notes what comes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from http import HTTPStatus
from types import ModuleType
from typing import Any, Final

from lmstudio_core.errors import LMStudioConnectionError
from lmstudio_core.lenient import error_text, is_mapping
from lmstudio_core.program.terminal import one_line

__all__ = [
    "McpRefusedError",
    "Notes",
    "is_address",
    "older_http",
    "shown_address",
    "streamable_http",
]

_SCHEME: Final = re.compile(r"\s*https?://", re.IGNORECASE)
_ANSWERED: Final = (-32700, -32601, -32602)
"""JSON-RPC errors about the request itself; a server that gives one at a 4xx status refuses nothing."""
_WORDS: Final = 200
_SECONDS: Final = 30.0


class McpRefusedError(LMStudioConnectionError):
    """A request that an MCP server refused by an HTTP status, or that found nobody there."""

    @property
    def may_be_older(self) -> bool:
        """Whether the server may speak the older HTTP+SSE, as the specification tells it."""
        return self.status in (400, 404, 405)

    @property
    def ends_session(self) -> bool:
        """Whether another session may help: the server does not know (any more) the one it had."""
        return self.status in (None, 400, 404)


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_ADVICE: Final = {
    401: "It wants a token: mcp_tools(..., headers={'Authorization': 'Bearer ...'}).",
    403: "What headers= holds does not permit this, or the server does not serve this address.",
    404: "No MCP server is at this path; many are at /mcp, older ones at /sse.",
    405: "Nothing at this path speaks MCP; many servers are at /mcp, older ones at /sse.",
    429: "The server has been asked too much; try again later.",
}


def _told(asked: str, status: int | None, said: str, *, has_token: bool) -> str:
    """What a refusal says, and what to do about it."""
    if status is None:
        return f"nobody is at its address: {said}."
    named = f"{status} {_PHRASES.get(status, '')}".strip()
    advice = _ADVICE.get(status, "")
    if status == HTTPStatus.UNAUTHORIZED and has_token:
        advice = "It does not accept the Authorization in headers=."
    return f"it refused {asked!r} with {named}{f' ({said})' if said else ''}. {advice}".strip()


def is_address(server: str) -> bool:
    """Whether it is an address and no command."""
    return _SCHEME.match(server) is not None


def shown_address(address: str) -> str:
    """The address without what may be secret in it: user, password and query."""
    return re.sub(r"^(\s*\w+://)[^/?#]*@", r"\1", address).partition("?")[0].strip()


class Notes:
    """What the HTTP client of one session saw refused.

    Attributes:
        last: What was refused last.
        refused: Called with the id of a request that was, as the session wrote it.
    """

    def __init__(self) -> None:
        self.last: McpRefusedError | None = None
        self.refused: Callable[[Any, McpRefusedError], None] = lambda _asked, _refusal: None

    def take(self, request: Any, status: int | None, said: str, secrets: Iterable[str]) -> None:
        """Note that this request was refused, without the ``secrets`` that the server may repeat."""
        asked = _asked(request)
        words = one_line(_unsaid(said, [*secrets, *request.headers.values()])[:_WORDS])
        has_token = "authorization" in request.headers
        told = _told(asked.get("method", request.method), status, words, has_token=has_token)
        refusal = McpRefusedError(told, status=status)
        self.last = refusal
        if "id" in asked:
            self.refused(asked["id"], refusal)


def _asked(request: Any) -> Mapping[str, Any]:
    """The JSON-RPC message of a request; what streams or has none is none of ours."""
    try:
        asked: Any = json.loads(request.content)
    except Exception:  # noqa: BLE001 - each client has an error of its own for a body not read
        return {}
    return asked if is_mapping(asked) else {}


def _unsaid(text: str, headers: Iterable[str]) -> str:
    """The words of the server without what was sent in headers."""
    for secret in {part for value in headers for part in value.split() if len(part) > 7}:
        text = text.replace(secret, "...")
    return " ".join(text.split())


def _client(headers: Mapping[str, str] | None, notes: Notes, module: ModuleType) -> Any:
    """The HTTP client for a transport of the ``mcp`` package, of the library that it uses itself.

    It is not asked for its version, which is told only by metadata that frozen programs may lack.
    """
    secrets = list((headers or {}).values())
    own, older = vars(module), module.__name__.endswith(".sse")
    http = own["httpx2" if "httpx2" in own else "httpx"]
    follow = {"follow_redirects": True} if http.__name__ == "httpx" else {}  # 2.x does by itself
    # Answers may be long in coming, and a stream of events says nothing for hours.
    limits = http.Timeout(_SECONDS, read=None if older else 300.0)
    client: Any = http.AsyncClient(headers=dict(headers or {}), timeout=limits, **follow)
    sending = client.send

    async def send(request: Any, **options: Any) -> Any:
        try:
            response = await sending(request, **options)
        except (http.ConnectError, http.ConnectTimeout) as error:
            notes.take(request, None, error_text(error), secrets)
            raise
        # That today's transport may have no stream of its own for news is no refusal.
        if response.status_code >= 400 and (older or request.method == "POST"):
            said: str = (await response.aread()).decode(errors="replace")
            if not _is_answer(said):
                plain = "" if "<" in said[:_WORDS] else said  # a page tells people nothing here
                notes.take(request, response.status_code, plain, secrets)
        return response

    client.send = send  # what every request of the client goes through
    return client


def _is_answer(said: str) -> bool:
    try:
        return json.loads(said)["error"]["code"] in _ANSWERED
    except (ValueError, LookupError, TypeError):
        return False


@contextlib.asynccontextmanager
async def streamable_http(
    address: str, headers: Mapping[str, str] | None
) -> AsyncGenerator[tuple[Any, Any, Notes]]:
    """The streams of today's transport, and what is refused on them."""
    from mcp.client.streamable_http import streamable_http_client as connect

    notes = Notes()
    client = _client(headers, notes, importlib.import_module(connect.__module__))
    async with client, connect(address, http_client=client) as streams:
        yield streams[0], streams[1], notes


@contextlib.asynccontextmanager
async def older_http(
    address: str, headers: Mapping[str, str] | None
) -> AsyncGenerator[tuple[Any, Any, Notes]]:
    """The streams of the transport before it, HTTP+SSE, and what is refused on them."""
    from mcp.client.sse import sse_client as connect

    notes, module = Notes(), importlib.import_module(connect.__module__)

    def client(headers: Any = headers, timeout: Any = None, auth: Any = None) -> Any:
        del timeout, auth
        return _client(headers, notes, module)

    async with contextlib.AsyncExitStack() as stack:
        connecting = connect(address, dict(headers or {}), httpx_client_factory=client)
        try:
            streams = await stack.enter_async_context(connecting)
        except Exception as error:
            raise (notes.last or error) from error
        yield streams[0], streams[1], notes
