"""The ``mcp`` package in its versions: transports, and answers as plain data."""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.lenient import error_text
from lmstudio_core.program.places import expanded

from .encoding import ToolImage

__all__ = [
    "answered_value",
    "innermost",
    "is_closed",
    "plain_answer",
    "started_command",
    "stdio",
]

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_WINDOWS_PATH: Final = re.compile(r"""(?:^|[\s"'=])(?:[A-Za-z]:\\|\\\\[\w.])""")
_HOMES: Final = ("~/", "~\\") if os.name == "nt" else ("~/",)


def is_closed(error: Exception) -> bool:
    """Whether a request failed since the server is gone."""
    from mcp.types import CONNECTION_CLOSED

    return getattr(getattr(error, "error", None), "code", None) == CONNECTION_CLOSED


def started_command(server: str | Sequence[str]) -> list[str]:
    """The words of a command; a string is split as a shell would, ``~`` is the user's folder.

    Raises:
        LMStudioValueError: There are none, or a string has an open quote.
    """
    try:
        words = _words(server) if isinstance(server, str) else list(map(os.fspath, server))
    except (ValueError, TypeError) as error:
        raise LMStudioValueError(
            f"The command {server!r} cannot be read as a shell would: {error_text(error)}."
        ) from error
    if not any(words):
        raise LMStudioValueError("The command that starts the MCP server is empty.")
    if (scheme := _SCHEME.match(words[0])) is not None:
        raise LMStudioValueError(
            f"An MCP server is reached by http:// or https://, not {scheme[0]}."
        )
    return [str(expanded(word)) if word.startswith(_HOMES) else word for word in words]


def _words(command: str) -> list[str]:
    splitting = shlex.shlex(command, posix=True, punctuation_chars=False)
    splitting.whitespace_split, splitting.commenters = True, ""
    if os.name == "nt" or _WINDOWS_PATH.search(command):
        splitting.escape = ""  # in the paths of Windows a backslash is one
    return list(splitting)


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
