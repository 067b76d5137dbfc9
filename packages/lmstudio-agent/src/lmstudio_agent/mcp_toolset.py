"""Toolsets of MCP servers (Model Context Protocol), by the official ``mcp`` package."""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, TextIO, cast, overload

from lmstudio_core.data import nearest
from lmstudio_core.errors import CapabilityNotInstalledError, LMStudioValueError
from lmstudio_core.program.places import expanded
from lmstudio_core.program.tracebacks import short
from lmstudio_core.protocol.operations import Invoke
from lmstudio_llm.tools import ToolFunctionDef

from .mcp_config import configured_servers
from .mcp_http import is_address, older_http, shown_address, streamable_http
from .mcp_link import Connect, Link
from .mcp_wire import answered_value, plain_answer, started_command, stdio
from .toolsets import Toolset


@overload
def mcp_tools(
    server: str | Sequence[str],
    *,
    name: str | None = None,
    prefix: str = "",
    only: Iterable[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    headers: Mapping[str, str] | None = None,
    transport: Literal["http", "sse"] | None = None,
    start_timeout: float = 30.0,
) -> McpToolset: ...
@overload
def mcp_tools(
    *,
    config: str | os.PathLike[str] | Mapping[str, Any],
    servers: Iterable[str] | None = None,
    prefix: str = "",
    start_timeout: float = 30.0,
) -> list[McpToolset]: ...
@short
def mcp_tools(  # noqa: D417 - its options are those of the overloads
    server: str | Sequence[str] | None = None,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    servers: Iterable[str] | None = None,
    **options: Any,
) -> McpToolset | list[McpToolset]:  # public
    """The tools of an MCP server. Needs the ``mcp`` package: ``pip install mcp``.

    Args:
        server: The command that starts it (a string, split as a shell would, or a list), which is
            then spoken to over its standard input and output; or the address, beginning with
            ``http://`` or ``https://``, of one that runs. ``~`` is the user's folder.
        config: In place of ``server``, a file that lists servers: LM Studio's, Claude's or another
            program's ``mcp.json``, or what it holds.
        servers: The names of those to take out of ``config``; by default all that are not disabled.
        name: What to call the toolset; by default the command or address.
        prefix: Put before the names of the tools, to tell servers apart; ``{server}`` in it is the
            server's name in ``config``.
        only: The names of the tools to take; all of them by default.
        env: Environment variables of the process, beside the few that it gets anyway.
        cwd: The folder that the process runs in.
        headers: Headers of every request by HTTP, such as ``Authorization``.
        transport: How an address speaks: ``"http"`` (streamable HTTP) or ``"sse"`` (HTTP+SSE, which
            was before it). By default the first is tried, then the other.
        start_timeout: How many seconds it may take to start and to tell its tools.

    Returns:
        A toolset; with ``config`` a list of them, one for each server. Each run opens it, which
        starts the process anew; ``with mcp_tools(...) as tools:`` (or ``async with``) keeps it open
        for several.

    Raises:
        LMStudioValueError: There is no command, or an option does not fit.
        LMStudioOSError: The file cannot be read.

    Example:
        >>> with mcp_tools("python weather_server.py") as weather:  # doctest: +SKIP
        ...     model.act("Do I need an umbrella in Bergen?", [weather])
        >>> news = mcp_tools(config="~/.lmstudio/mcp.json", servers=["news"])  # doctest: +SKIP
        >>> model.act("What is new?", news)  # doctest: +SKIP
    """
    if (server is None) == (config is None):
        raise LMStudioValueError("mcp_tools takes a server, or config= with a file; give one.")
    if server is not None:
        if servers is not None:
            raise LMStudioValueError("servers are names in a config; give config= as well.")
        return _toolset(server, **options)
    if unknown := options.keys() - {"prefix", "start_timeout"}:
        raise LMStudioValueError(f"With config, {', '.join(sorted(unknown))} is not an option.")
    prefix: str = options.pop("prefix", "")
    return [
        _toolset(**found, name=name, prefix=prefix.replace("{server}", name), **options)
        for name, found in configured_servers(cast("Any", config), servers).items()
    ]


def _toolset(
    server: str | Sequence[str],
    *,
    name: str | None = None,
    prefix: str = "",
    only: Iterable[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    headers: Mapping[str, str] | None = None,
    transport: Literal["http", "sse"] | None = None,
    start_timeout: float = 30.0,
) -> McpToolset:
    by_http = isinstance(server, str) and is_address(server)
    if by_http and (env is not None or cwd is not None):
        raise LMStudioValueError("env and cwd are for servers that are started by a command.")
    if not by_http and (headers is not None or transport is not None):
        given = "transport is" if headers is None else "headers are"
        raise LMStudioValueError(f"{given} for servers with an address, not for commands.")
    if by_http:
        address = str(server).strip()
        label = shown_address(address)
        ways = _by_http(address, headers, transport)
    else:
        command = started_command(server)
        where = None if cwd is None else str(expanded(cwd))
        label = shlex.join(command)

        def start(log: TextIO) -> Any:
            return stdio(command, env, where, log)

        ways = [start]
    return McpToolset(name or label, ways[0], prefix, only, start_timeout, otherwise=ways[1:])


def _by_http(
    address: str, headers: Mapping[str, str] | None, transport: str | None
) -> list[Connect]:
    """The ways to reach an address, in order."""
    ways = {"http": streamable_http, "sse": older_http}
    if transport is not None and transport not in ways:
        raise LMStudioValueError(f"transport is 'http' or 'sse', not {transport!r}.")
    wanted = ways if transport is None else [transport]

    def connecting(way: str) -> Connect:
        return lambda _log: ways[way](address, headers)

    return [connecting(way) for way in wanted]


class McpToolset(Toolset):  # public
    """The tools of an MCP server; made by ``mcp_tools``.

    Args:
        name: What to call it.
        connect: Gives the transport's context manager; gets a file for what the server logs.
        prefix: Put before the names of the tools.
        only: The names of the tools to take.
        start_timeout: How many seconds it may take to start.
        otherwise: Transports to try where a server refuses the first as those do that do not know it.

    Example:
        >>> with mcp_tools("python weather_server.py") as weather:  # doctest: +SKIP
        ...     print(weather.name)
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        prefix: str = "",
        only: Iterable[str] | None = None,
        start_timeout: float = 30.0,
        *,
        otherwise: Sequence[Connect] = (),
    ) -> None:
        super().__init__(name)
        self._connect = connect
        self._prefix = prefix
        self._only = None if only is None else set(only)
        self._start_timeout = start_timeout
        self._otherwise = tuple(otherwise)
        self._link = Link(name, [connect, *otherwise], self._learn, start_timeout)
        self._is_checked = False
        self._known: dict[str, tuple[Mapping[str, Any], ToolFunctionDef]] = {}

    @property
    def is_open(self) -> bool:
        """Whether the server is connected."""
        return self._link.is_open

    def for_run(self, client: Any) -> Toolset:
        """Another one with a server of its own.

        Args:
            client: The client of the run's model.

        Returns:
            The toolset of that run.
        """
        del client
        return McpToolset(
            self.name,
            self._connect,
            self._prefix,
            self._only,
            self._start_timeout,
            otherwise=self._otherwise,
        )

    def open(self) -> None:
        """Start the server, or connect to it, and learn its tools.

        A server that ends while this is open is started, or connected to, again by the next call.

        Raises:
            CapabilityNotInstalledError: The ``mcp`` package is not installed.
            LMStudioConnectionError: The server cannot be reached, refuses, or is none.
            LMStudioTimeoutError: It took too long.
            LMStudioValueError: It has not all the tools of ``only``.
        """
        _require_mcp()
        if not self.is_open:
            self._is_checked = False  # what only names has to be there, as at the beginning
        self._link.open()

    def close(self) -> None:
        """End the session, and with it the process if there is one."""
        self._link.close()

    def renewing(self) -> Invoke[Any] | None:
        """The step that learns the tools anew, if the server said that they changed."""
        return Invoke(self._link.renew, blocking=True) if self._link.has_news else None

    def _learn(self, listed: list[dict[str, Any]]) -> None:
        """Take the tools as the server lists them; those that are as they were stay the same."""
        if not self._is_checked:
            self._check_wanted([raw["name"] for raw in listed])
            self._is_checked = True
        before, self._known = self._known, {}
        for raw in listed:
            name = raw["name"]
            was, tool = before.get(name, (None, None))
            self._known[name] = (raw, tool if tool is not None and was == raw else self._tool(raw))
        self._tools = [tool for name, (_, tool) in self._known.items() if self._takes(name)]

    def _check_wanted(self, names: Collection[str]) -> None:
        for wanted in sorted(self._only or ()):
            if wanted not in names:
                near = nearest(wanted, names)
                known = ", ".join(map(repr, names)) or "none"
                hint = f"Did you mean {near!r}?" if near else f"Its tools: {known}."
                raise LMStudioValueError(
                    f"The MCP server {self.name!r} has no tool {wanted!r}. {hint}"
                )

    def _takes(self, name: str) -> bool:
        return self._only is None or name in self._only

    def _tool(self, raw: Mapping[str, Any]) -> ToolFunctionDef:
        name: str = raw["name"]

        async def call(**arguments: Any) -> Any:
            return await self._call(name, arguments)

        return ToolFunctionDef(
            name=self._prefix + name,
            description=raw.get("description") or raw.get("title") or name,
            parameters={"type": "object", **raw.get("inputSchema", {})},
            implementation=call,
        )

    async def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        answer = await self._link.ask(lambda session: session.call_tool(name, arguments))
        return answered_value(plain_answer(answer))


def _require_mcp() -> None:
    try:
        importlib.import_module("mcp")
    except ImportError as error:
        raise CapabilityNotInstalledError(
            "Tools of MCP servers need the package 'mcp' (the extra lmstudio-agent[mcp]). Install it "
            "with: "
            'pip install "mcp>=1.24"',
            capability="mcp",
            package="mcp",
        ) from error
