"""What plain HTTP requests get, and which requests may become a WebSocket."""

from __future__ import annotations

import json
import os
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.config import ServerConfig, is_loopback, is_own_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmstudio_server.services import Services

__all__ = [
    "GREETING_PATH",
    "STATUS_PATH",
    "answer",
    "introduction",
    "is_forwarded",
    "namespace_of",
    "refusal",
    "split_target",
]

GREETING_PATH = "/lmstudio-greeting"
STATUS_PATH = "/lms-status"
_NAME: Final = re.compile(r"[a-z0-9._-]{1,80}")
_FORWARDED: Final = frozenset(
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"]
)
_HOST: Final = re.compile(r"https?://([^/?]*)", re.IGNORECASE)


def split_target(target: str) -> tuple[str | None, str, str]:
    """The host, the path and the query that a request is for; the host where the target is a whole URL,
    as some clients send it. Whatever it is, it has a path: nothing here can fail.
    """
    host = _HOST.match(target)
    path, _, query = target[host.end() if host else 0 :].partition("?")
    return host[1] if host else None, path, query


def namespace_of(target: str) -> str:
    """The namespace that a request is for (it may not exist)."""
    return split_target(target)[1].strip("/")


def answer(services: Services, request: Request) -> Response | None:
    """The answer to a request, or ``None`` to go on to the WebSocket handshake."""
    host, path, query = split_target(request.path)
    hosts = [*request.headers.get_all("Host"), *([] if host is None else [host])]
    reason = refusal(services.config, hosts, request.headers.get_all("Origin"))
    if reason is not None:
        return _response(HTTPStatus.FORBIDDEN, {"error": reason})
    bearer = next(iter(request.headers.get_all("Authorization")), None)
    known = introduction(services, path, query, bearer)
    if known is not None:
        return _response(HTTPStatus.OK, known)
    if namespace_of(request.path) not in NAMESPACES:
        return _response(
            HTTPStatus.NOT_FOUND,
            {"error": f"Nothing is served at {path[:200]}. Namespaces: {', '.join(NAMESPACES)}."},
        )
    return None


def introduction(
    services: Services, path: str, query: str, bearer: str | None
) -> dict[str, Any] | None:
    """What the paths by which clients find a server answer, to one with this ``Authorization``.

    Args:
        services: The server's parts.
        path: The request's path.
        query: Its query.
        bearer: The token of its ``Authorization``; ``None`` without.
    """
    if path == GREETING_PATH:
        return {"lmstudio": True}
    if path == STATUS_PATH:
        known = services.authenticator.refuse_bearer(bearer) is None
        if query == "claim" and known:  # strangers keep no server from ending
            services.presence.claim()
        return services.status(os.getpid(), known=known)
    return None


def refusal(config: ServerConfig, hosts: Sequence[str], origins: Sequence[str]) -> str | None:
    """Why a request is refused on account of its headers.

    A web page can make a browser connect to this machine. Browsers tell the page's origin, and a
    page whose own host name was made to point at this machine shows that name as the host.

    Args:
        config: How the server is run.
        hosts: The values of the header ``Host``.
        origins: Those of ``Origin``.
    """
    for host in hosts:
        name = _host_name(f"//{host}")
        if not _is_ours(config, name):
            shown = name[:80] if _NAME.fullmatch(name) else "NAME"
            return (
                f"This server answers only under the names of its own machine, not as {host[:80]!r}. "
                f"Start it with --allow-host {shown} to have it answer to that, too."
            )
    for origin in origins:
        if origin in config.allowed_origins or "*" in config.allowed_origins:
            continue
        if not is_loopback(_host_name(origin)):
            return (
                "Web pages of this origin may not connect. Start the server with "
                "--allow-origin to let them."
            )
    return None


def _is_ours(config: ServerConfig, name: str) -> bool:
    if is_loopback(name) or name in config.allowed_hosts or "*" in config.allowed_hosts:
        return True
    return not is_loopback(config.host) and is_own_name(name)


def is_forwarded(names: Iterable[str]) -> bool:
    """Whether the names of a request's headers tell that a proxy has passed it on."""
    return any(name.lower() in _FORWARDED for name in names)


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _response(status: HTTPStatus, body: dict[str, Any]) -> Response:
    content = json.dumps(body).encode()
    headers = Headers(
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, content)
