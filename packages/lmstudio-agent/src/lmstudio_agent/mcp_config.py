"""Files that list MCP servers: LM Studio's, Claude's and others' ``mcp.json``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from lmstudio_core.data import nearest
from lmstudio_core.errors import LMStudioOSError, LMStudioValueError
from lmstudio_core.lenient import as_list, error_text, is_list, is_mapping
from lmstudio_core.program.places import expanded

from .mcp_http import is_address

__all__ = ["configured_servers"]

_LISTS: Final = ("mcpServers", "servers")  # VS Code says servers
_VARIABLE: Final = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")

ServerOptions = dict[str, Any]
"""What ``mcp_tools`` takes for one server: ``server``, ``env``, ``cwd``, ``headers``."""


def configured_servers(
    config: str | os.PathLike[str] | Mapping[str, Any], servers: Iterable[str] | None
) -> dict[str, ServerOptions]:
    """The servers of a file by name; those that are switched off only if they are asked for.

    Args:
        config: The path of the file, in which ``~`` is the user's folder, or what it holds.
        servers: The names to take; all by default.

    Raises:
        LMStudioOSError: The file cannot be read.
        LMStudioValueError: It is no such file, or has no server of that name.
    """
    label = "the config" if is_mapping(config) else repr(os.fspath(config))  # type: ignore[arg-type]
    listed = _listed(config, label)
    if isinstance(servers, str):
        raise LMStudioValueError(f"servers is a list of names; write servers=[{servers!r}].")
    if servers is None:
        wanted = [name for name, given in listed.items() if not _is_off(given)]
    else:
        wanted = list(servers)
    for name in wanted:
        if name not in listed:
            near = nearest(name, listed)
            known = ", ".join(map(repr, listed)) or "none"
            hint = f"Did you mean {near!r}?" if near else f"There are: {known}."
            raise LMStudioValueError(f"There is no MCP server {name!r} in {label}. {hint}")
    return {name: _options(listed[name], f"The MCP server {name!r} in {label}") for name in wanted}


def _listed(config: Any, label: str) -> Mapping[str, Any]:
    found = config if is_mapping(config) else _read(expanded(config), label)
    for key in _LISTS:
        if is_mapping(found) and is_mapping(listed := found.get(key)):
            return listed
    raise LMStudioValueError(
        f'{label} lists no MCP servers; it looks like {{"mcpServers": {{"name": {{"command": ...}}}}}}.'
    )


def _read(path: Path, label: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise LMStudioOSError(error.errno, error.strerror, str(path)) from error
    except ValueError as error:
        raise LMStudioValueError(f"{label} is not JSON: {error_text(error)}.") from error


def _is_off(given: Any) -> bool:
    return is_mapping(given) and (given.get("disabled") is True or given.get("enabled") is False)


def _options(given: Any, label: str) -> ServerOptions:
    if not is_mapping(given):
        raise LMStudioValueError(f"{label} is described by a dict, not {given!r}.")
    url = given.get("url") or given.get("serverUrl")
    if isinstance(url, str):
        address = _expanded(url, label)
        if not is_address(address):
            raise LMStudioValueError(f"{label} has a 'url' that is not http:// or https://.")
        headers = _texts(given.get("headers"), label, "headers")
        older = {"transport": "sse"} if given.get("type") == "sse" else {}
        return {"server": address, "headers": headers or None, **older}
    command = given.get("command")
    if not isinstance(command, str) or not command:
        raise LMStudioValueError(f"{label} has neither a 'command' nor a 'url'.")
    args = given.get("args", [])
    if not is_list(args):
        raise LMStudioValueError(f"{label} has 'args' that are no list: {args!r}.")
    env = _texts(given.get("env"), label, "env")
    cwd = given.get("cwd")
    return {
        "server": [_expanded(str(part), label) for part in [command, *as_list(args)]],
        "env": env or None,
        "cwd": _expanded(cwd, label) if isinstance(cwd, str) else None,
    }


def _texts(given: Any, label: str, what: str) -> dict[str, str]:
    if given is None:
        return {}
    if not is_mapping(given):
        raise LMStudioValueError(f"{label} has {what!r} that are no dict.")
    return {name: _expanded(str(value), label) for name, value in given.items()}


def _expanded(text: str, label: str) -> str:
    """The text with ``${NAME}`` and ``${NAME:-default}`` replaced from the environment."""

    def value(found: re.Match[str]) -> str:
        default: str | None = found[2]
        known = os.environ.get(found[1], default)
        if known is None:
            raise LMStudioValueError(
                f"{label} needs the environment variable {found[1]}, which is not set."
            )
        return known

    return _VARIABLE.sub(value, text)
