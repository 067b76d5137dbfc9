"""The session with an MCP server: it lives in a thread of its own, and is made anew when it has ended.

Servers restart, forget sessions and change their tools while programs hold on to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, TextIO, TypeVar, cast

from lmstudio_core.errors import (
    LMStudioConnectionError,
    LMStudioError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_core.lenient import error_text

from .mcp_http import McpRefusedError
from .mcp_session import Lost, Session, in_time, look_at
from .mcp_wire import innermost

__all__ = ["Connect", "Link"]

logger: Final = logging.getLogger("lmstudio")

R = TypeVar("R")
Connect = Callable[[TextIO], Any]
"""Gives a transport's context manager; gets a file for what the server logs."""

_BETWEEN_LISTS: Final = 1.0
"""Seconds between two looks at tools that changed: some servers announce a change at each look."""
_GRACE: Final = 10.0
_PARTING: Final = 5.0
_TURNS: Final = 20
"""Turns of the loop in which an end that has come, but was not read, is read."""


class Link:
    """A session with an MCP server for as long as it is wanted, from any thread and event loop.

    Args:
        name: What the server is called in errors.
        transports: The ways to reach it. The next is tried where a server refuses as those do that
            speak another one; what worked is kept.
        learn: Gets the tools as the server lists them, at first and whenever they may have changed.
            What it raises ends the first session.
        seconds: How long it may take to connect and to list the tools.
    """

    def __init__(
        self,
        name: str,
        transports: Sequence[Connect],
        learn: Callable[[list[dict[str, Any]]], None],
        seconds: float,
    ) -> None:
        self._name = name
        self._transports = list(transports)
        self._learn = learn
        self._seconds = seconds
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        # All below is the thread's own.
        self._session: Session | None = None
        self._connecting: asyncio.Task[Session] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._listing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a session now."""
        session = self._session
        return session is not None and not session.has_ended

    @property
    def has_news(self) -> bool:
        """Whether the server said that its tools changed, and they are not listed yet."""
        session = self._session
        return session is not None and session.is_behind

    def open(self) -> None:
        """Connect and list the tools, unless there is a session.

        Raises:
            LMStudioConnectionError: The server cannot be reached, or is none.
            LMStudioTimeoutError: It took too long.
        """
        with self._lock:
            try:
                connecting = asyncio.run_coroutine_threadsafe(self._connected(), self._started())
                self._wait(connecting)
            except BaseException:
                self.close()
                raise

    def _wait(self, connecting: Future[Any]) -> None:
        try:
            connecting.result(self._seconds + _GRACE)
        except FutureTimeoutError as error:  # in Python 3.10 not the builtin one
            if connecting.done():  # it is the LMStudioTimeoutError of the thread
                raise
            raise self._late() from error

    def _started(self) -> asyncio.AbstractEventLoop:
        """The loop of the thread, which is started if there is none."""
        if self._thread is None or self._loop is None:
            running: Future[asyncio.AbstractEventLoop] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._live(running)), name="lmstudio-mcp", daemon=True
            )
            self._thread.start()
            self._loop = running.result()
        return self._loop

    def close(self) -> None:
        """End the session, and with it the process if there is one."""
        with self._lock:
            thread, loop, stop = self._thread, self._loop, self._stop
            self._thread = self._loop = None
            if thread is None:
                return
            if loop is not None and stop is not None:
                with contextlib.suppress(RuntimeError):  # it has ended by itself
                    loop.call_soon_threadsafe(stop.set)
            thread.join(_GRACE)

    async def ask(self, request: Callable[[Any], Coroutine[Any, Any, R]]) -> R:
        """The answer to a request to a session of the ``mcp`` package.

        A request that surely did not reach the server is asked once more, in a session made anew.

        Raises:
            LMStudioConnectionError: There is no server, or the session ended before the answer.
        """
        return await self._there(self._ask(request))

    def renew(self) -> None:
        """Wait until tools that changed are listed."""
        loop = self._loop
        if loop is not None and self.has_news:
            listing = asyncio.run_coroutine_threadsafe(self._list_again(self._seconds), loop)
            with contextlib.suppress(FutureTimeoutError, CancelledError):  # it is said in the log
                listing.result(self._seconds)

    async def _there(self, work: Coroutine[Any, Any, R]) -> R:
        """What a coroutine gives in the thread's loop."""
        loop = self._loop
        if loop is None or loop.is_closed():
            work.close()
            raise self._gone()
        sent = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
        try:
            # Not awaited itself: what it is cancelled by is the thread's end, not the caller's.
            await asyncio.wait([sent])
        finally:
            sent.cancel()
        if sent.cancelled():
            raise self._gone()
        return sent.result()

    # --- in the thread -------------------------------------------------------------------------

    async def _live(self, running: Future[asyncio.AbstractEventLoop]) -> None:
        self._stop = asyncio.Event()
        self._session = self._connecting = self._serving = self._listing = None
        running.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        if self._session is not None:
            self._session.end()
        for task in (self._connecting, self._listing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._serving is not None:  # never cancelled twice, or the process is left behind
            await asyncio.wait([self._serving])

    async def _ask(self, request: Callable[[Any], Coroutine[Any, Any, R]]) -> R:
        for is_last in (False, True):
            session = await self._connected()
            try:
                answer = await session.ask(request(session.session))
            except Lost as lost:
                if lost.delivered or is_last:
                    raise self._gone("the connection was lost before it answered") from lost
            except McpRefusedError as refused:
                if is_last or not refused.ends_session:
                    raise self._gone(str(refused), status=refused.status) from refused
            else:
                if session.is_behind:  # what a tool has loaded is there when it has ended
                    await self._list_again(min(self._seconds, _PARTING))
                return answer
            session.retire()  # others may get their answers yet
        raise self._gone()

    async def _connected(self) -> Session:
        """The session; made anew if it has ended."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        current = self._connecting
        if current is None or (current.done() and not self.is_open):
            current = self._connecting = asyncio.ensure_future(self._connect())
            current.add_done_callback(look_at)
        return await asyncio.shield(current)

    async def _connect(self) -> Session:
        error: LMStudioError | None = None
        for connect in list(self._transports):
            try:
                session = await self._begun(connect)
            except McpRefusedError as refused:
                error = error or self._unusable(refused)
                if not refused.may_be_older:
                    break
            else:
                self._transports = [connect]
                return session
        raise error or self._gone()

    async def _begun(self, connect: Connect) -> Session:
        old = self._session
        if self._serving is not None and (old is None or old.ended.is_set()):
            # Of one server no two processes run at a time; one far away may be long in parting.
            await asyncio.wait([self._serving], timeout=_PARTING)
        began: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.ensure_future(self._serve(connect, began))
        began.add_done_callback(look_at)
        try:
            await asyncio.wait([began], timeout=self._seconds)
            if not began.done():
                raise self._late()
            return began.result()
        finally:
            if began.cancel():
                self._serving.cancel()

    async def _serve(self, connect: Connect, began: asyncio.Future[Session]) -> None:
        """A session from its beginning to its end, which have to be in the same task."""
        from mcp import ClientSession

        begun = asyncio.get_running_loop().time()
        session = Session(self._changed)
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            try:
                async with connect(cast("TextIO", log)) as streams:
                    reading, writing = session.watch(streams)
                    async with ClientSession(reading, writing) as session.session:
                        await session.ask(session.session.initialize())
                        # The rest of the time but for a little, in which what came is used.
                        spent = asyncio.get_running_loop().time() - begun
                        left = 0.9 * (self._seconds - spent)
                        self._learn(await session.list_tools(self._name, left))
                        self._session = session
                        if not began.done():
                            began.set_result(session)
                        await session.ended.wait()
            except BaseException as error:  # noqa: BLE001 - whoever waits for it gets to know
                if not began.done():
                    began.set_exception(self._why(error, session.refusal, log))
            finally:
                session.end()
                if self._session is session:
                    self._session = None

    # --- tools that change ---------------------------------------------------------------------

    def _changed(self) -> None:
        """The server said that its tools changed."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.ensure_future(self._follow())

    async def _follow(self) -> None:
        while self._session is not None and self._session.has_news:
            await self._list_again(self._seconds)
            await asyncio.sleep(_BETWEEN_LISTS)

    async def _list_again(self, seconds: float) -> None:
        session = self._session
        if session is None:
            return
        async with session.listing:
            if not session.has_news:  # it is what another waited for
                return
            session.has_news = False
            try:
                listed = await in_time(session.list_tools(self._name, seconds), seconds)
                if listed is None:
                    raise self._late()
                self._learn(listed)
            except Exception as error:  # noqa: BLE001 - the tools that are known go on
                logger.warning(
                    "the tools of the MCP server %r could not be listed again: %s",
                    self._name,
                    error_text(innermost(error), named=True),
                )

    # --- errors --------------------------------------------------------------------------------

    def _gone(self, why: str = "", status: int | None = None) -> LMStudioConnectionError:
        told = f"The MCP server {self._name!r} is not connected"
        return LMStudioConnectionError(
            f"{told}{f': {why}' if why else ''}".rstrip(".") + ".", status=status
        )

    def _late(self) -> LMStudioTimeoutError:
        return LMStudioTimeoutError(
            f"The MCP server {self._name!r} did not tell its tools in {self._seconds:g} seconds.",
            seconds=self._seconds,
        )

    def _why(
        self, error: BaseException, refusal: McpRefusedError | None, log: Any
    ) -> BaseException:
        inner = innermost(error)
        if isinstance(inner, (McpRefusedError, LMStudioValueError)):
            return inner  # what decides how to go on, or what the caller asked for
        if (
            refusal is not None
        ):  # some versions of mcp end the session then, with an error of theirs
            return refusal
        log.seek(0)
        said = log.read()[-2000:].strip()
        return self._unusable(inner, f"\nIt said:\n{said}" if said else "")

    def _unusable(self, error: BaseException, said: str = "") -> LMStudioConnectionError:
        why = error_text(error, named=not isinstance(error, (McpRefusedError, Lost)))
        status = error.status if isinstance(error, McpRefusedError) else None
        return LMStudioConnectionError(
            f"The MCP server {self._name!r} could not be used: {why}{said}", status=status
        )
