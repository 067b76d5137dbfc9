"""Toolsets of MCP servers (Model Context Protocol), by the official ``mcp`` package.

The session lives in a thread with an event loop of its own, so that one toolset serves synchronous
programs and any number of event loops alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TextIO, cast, overload

from lmstudio_core.data import nearest
from lmstudio_core.errors import (
    CapabilityNotInstalledError,
    LMStudioConnectionError,
    LMStudioError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_core.shapes import error_text
from lmstudio_core.tracebacks import short
from lmstudio_llm.tools import ToolDefinition, ToolFunctionDef

from .mcp_config import configured_servers
from .mcp_wire import answered_value, http, innermost, is_closed, plain_answer, stdio
from .toolsets import Toolset

__all__ = ["McpToolset", "mcp_tools"]


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
) -> McpToolset | list[McpToolset]:
    """The tools of an MCP server. Needs the ``mcp`` package: ``pip install mcp``.

    Args:
        server: The command that starts it (a string, split as a shell would, or a list), which is
            then spoken to over its standard input and output; or the address, beginning with
            ``http://`` or ``https://``, of one that runs (streamable HTTP).
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
    start_timeout: float = 30.0,
) -> McpToolset:
    by_http = isinstance(server, str) and server.startswith(("http://", "https://"))
    if by_http and (env is not None or cwd is not None):
        raise LMStudioValueError("env and cwd are for servers that are started by a command.")
    if headers is not None and not by_http:
        raise LMStudioValueError("headers are for servers with an address, not for commands.")
    try:
        command = shlex.split(server) if isinstance(server, str) else list(server)
    except ValueError as error:
        raise LMStudioValueError(
            f"The command {server!r} cannot be read as a shell would: {error_text(error)}."
        ) from error
    if not command:
        raise LMStudioValueError("The command that starts the MCP server is empty.")

    def connect(log: TextIO) -> Any:
        return http(str(server), headers) if by_http else stdio(command, env, cwd, log)

    label = str(server) if isinstance(server, str) else shlex.join(command)
    return McpToolset(name or label, connect, prefix, only, start_timeout)


class McpToolset(Toolset):
    """The tools of an MCP server; made by ``mcp_tools``.

    Args:
        name: What to call it.
        connect: Gives the transport's context manager; gets a file for what the server logs.
        prefix: Put before the names of the tools.
        only: The names of the tools to take.
        start_timeout: How many seconds it may take to start.

    Example:
        >>> with mcp_tools("python weather_server.py") as weather:  # doctest: +SKIP
        ...     print(weather.name)
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[TextIO], Any],
        prefix: str = "",
        only: Iterable[str] | None = None,
        start_timeout: float = 30.0,
    ) -> None:
        super().__init__(name)
        self._connect = connect
        self._prefix = prefix
        self._only = None if only is None else set(only)
        self._start_timeout = start_timeout
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: Callable[[], Any] | None = None
        self._session: Any = None
        self._lock = threading.RLock()

    @property
    def is_open(self) -> bool:
        """Whether the server is connected."""
        return self._session is not None

    def for_run(self, client: Any) -> Toolset:
        """Another one with a server of its own.

        Args:
            client: The client of the run's model.

        Returns:
            The toolset of that run.
        """
        del client
        return McpToolset(self.name, self._connect, self._prefix, self._only, self._start_timeout)

    def open(self) -> None:
        """Start the server, or connect to it, and learn its tools.

        Raises:
            CapabilityNotInstalledError: The ``mcp`` package is not installed.
            LMStudioConnectionError: The server cannot be reached, or is none.
            LMStudioTimeoutError: It took too long.
            LMStudioValueError: It has not all the tools of ``only``.
        """
        with self._lock:
            if self.is_open:
                return
            _require_mcp()
            self.close()  # what is left of a server that ended by itself
            ready: Future[list[ToolDefinition]] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._live(ready)), name="lmstudio-mcp", daemon=True
            )
            self._thread.start()
            try:
                self._tools = ready.result(self._start_timeout)
            except FutureTimeoutError as error:  # in Python 3.10 not the builtin one
                self.close()
                raise LMStudioTimeoutError(
                    f"The MCP server {self.name!r} did not tell its tools in "
                    f"{self._start_timeout:g} seconds.",
                    seconds=self._start_timeout,
                ) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the session, and with it the process if there is one."""
        with self._lock:
            thread, loop, end = self._thread, self._loop, self._end
            self._thread = None
            if thread is None:
                return
            if loop is not None and end is not None:
                with contextlib.suppress(RuntimeError):  # it has ended by itself
                    loop.call_soon_threadsafe(end)
            thread.join(10)

    async def _live(self, ready: Future[list[ToolDefinition]]) -> None:
        """The session, from its beginning to its end, in the thread's event loop."""
        from mcp import ClientSession

        this = asyncio.current_task()
        self._loop, self._end = asyncio.get_running_loop(), this.cancel if this else None
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            try:
                async with (
                    self._connect(cast("TextIO", log)) as streams,
                    ClientSession(streams[0], streams[1]) as session,
                ):
                    tools = await self._learn(session)
                    stop = asyncio.Event()
                    self._end, self._session = stop.set, session
                    ready.set_result(tools)
                    await stop.wait()
            except BaseException as error:  # noqa: BLE001 - whoever opened it gets to know
                if not ready.done():
                    ready.set_exception(self._could_not_start(error, log))
            finally:
                self._session = None

    async def _learn(self, session: Any) -> list[ToolDefinition]:
        from mcp.types import PaginatedRequestParams

        await session.initialize()
        listed: list[Mapping[str, Any]] = []
        cursor: str | None = None
        while True:
            params = None if cursor is None else PaginatedRequestParams(cursor=cursor)
            page = plain_answer(await session.list_tools(params=params))
            listed += page["tools"]
            cursor = page.get("nextCursor")
            if not cursor:
                break
        self._check_wanted([raw["name"] for raw in listed])
        return [self._tool(raw) for raw in listed if self._takes(raw["name"])]

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
        session, loop = self._session, self._loop
        if session is None or loop is None:
            raise self._gone()
        sent = asyncio.run_coroutine_threadsafe(session.call_tool(name, arguments), loop)
        answering = asyncio.wrap_future(sent)
        try:
            # Not awaited itself: what it is cancelled by is the session's end, not the caller's.
            await asyncio.wait([answering])
        finally:
            answering.cancel()
        if answering.cancelled():
            raise self._gone()
        try:
            answer = answering.result()
        except Exception as error:
            if not is_closed(error):
                raise
            self._session = None  # the next run starts the server anew
            raise self._gone() from error
        return answered_value(plain_answer(answer))

    def _gone(self) -> LMStudioConnectionError:
        return LMStudioConnectionError(f"The MCP server {self.name!r} is not connected.")

    def _could_not_start(self, error: BaseException, log: TextIO) -> LMStudioError:
        inner = innermost(error)
        if isinstance(inner, LMStudioValueError):  # of what the caller asked for
            return inner
        log.seek(0)
        said = log.read()[-2000:].strip()
        return LMStudioConnectionError(
            f"The MCP server {self.name!r} could not be used: {type(inner).__name__}: {inner}"
            + (f"\nIt said:\n{said}" if said else "")
        )


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
