"""The ``mcp`` package in its versions: transports, and answers as plain data."""

from __future__ import annotations

import base64
import contextlib
import importlib
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TextIO

from lmstudio_core.errors import LMStudioRuntimeError

from .encoding import ToolImage

__all__ = ["answered_value", "http", "innermost", "is_closed", "plain_answer", "stdio"]


def is_closed(error: Exception) -> bool:
    """Whether a request failed since the server is gone."""
    from mcp.types import CONNECTION_CLOSED

    return getattr(getattr(error, "error", None), "code", None) == CONNECTION_CLOSED


def stdio(
    command: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: str | os.PathLike[str] | None,
    log: TextIO,
) -> Any:
    """Speak with a server that is started for it, over its standard input and output."""
    from mcp import StdioServerParameters, stdio_client

    parameters = StdioServerParameters(
        command=command[0],
        args=list(command[1:]),
        env=None if env is None else dict(env),
        cwd=None if cwd is None else os.fspath(cwd),
    )
    return stdio_client(parameters, errlog=log)


@contextlib.asynccontextmanager
async def http(address: str, headers: Mapping[str, str] | None) -> AsyncGenerator[Any]:
    """Speak with a server that runs, by streamable HTTP."""
    from mcp.client.streamable_http import streamable_http_client

    if not headers:
        async with streamable_http_client(address) as streams:
            yield streams
        return
    # What this version of mcp itself uses; it is not asked for its version, which is told only by
    # metadata that a frozen program may not have.
    own = vars(importlib.import_module(streamable_http_client.__module__))
    http = own.get("httpx2") or own["httpx"]
    limits = http.Timeout(30.0, read=300.0)  # as without headers: answers may be long in coming
    follow = {"follow_redirects": True} if http.__name__ == "httpx" else {}  # 2.x does by itself
    client: Any = http.AsyncClient(headers=dict(headers), timeout=limits, **follow)
    async with client, streamable_http_client(address, http_client=client) as streams:
        yield streams


def plain_answer(answer: Any) -> dict[str, Any]:
    """The answer as the protocol writes it, whatever this version of ``mcp`` calls the fields."""
    plain: dict[str, Any] = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def answered_value(answer: Mapping[str, Any]) -> Any:
    """What a tool returned: its data if it told any, else its text; and its images."""
    parts: Sequence[Mapping[str, Any]] = answer.get("content", ())
    text = "\n".join(_part_text(part) for part in parts if part["type"] != "image")
    if answer.get("isError"):
        raise LMStudioRuntimeError(text or "the MCP server told no reason")
    images = [
        ToolImage(base64.b64decode(part["data"])) for part in parts if part["type"] == "image"
    ]
    said: Any = text
    if not images and (data := answer.get("structuredContent")) is not None:
        said = data
        if data.keys() == {"result"}:  # how servers wrap what is no object
            said = data["result"]
    return [*([said] if said else []), *images] if images else said


def _part_text(part: Mapping[str, Any]) -> str:
    if part["type"] == "text":
        return str(part["text"])
    resource = part.get("resource", part)
    return str(resource.get("text") or resource.get("uri") or f"[{part['type']}]")


def innermost(error: BaseException) -> BaseException:
    """The first error inside the groups that concurrent tasks wrap theirs in."""
    inside: Sequence[BaseException] = getattr(error, "exceptions", ())
    return innermost(inside[0]) if inside else error
