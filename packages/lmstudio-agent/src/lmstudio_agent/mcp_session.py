"""One session with an MCP server: who waits for what, and what became of each request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from .mcp_http import McpRefusedError, Notes
from .mcp_wire import is_closed, plain_answer

__all__ = ["Lost", "Session", "in_time", "look_at"]

logger: Final = logging.getLogger("lmstudio")

R = TypeVar("R")
_CHANGED: Final = "notifications/tools/list_changed"
_MOST_PAGES: Final = 100
_ENDLESS: Final = "the MCP server %r lists its tools without an end; the %d that came are used"
_SLOW: Final = "the MCP server %r did not list all tools in %g seconds; the %d that came are used"


class Lost(Exception):  # noqa: N818 - of this package alone
    """A request whose session ended before the answer came.

    Args:
        delivered: Whether the server may have got it.
    """

    def __init__(self, *, delivered: bool) -> None:
        self.delivered = delivered
        super().__init__("the session ended")


class _Asked:
    """A request that waits for its answer.

    Attributes:
        id: What its message calls it, once it is given to the transport.
        failed: What becomes of it if no answer will come.
    """

    def __init__(self) -> None:
        self.id: Any = None
        self.failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)


class Session:
    """A session from its first request to its end; of one event loop.

    Args:
        changed: Called when the server says that its tools changed.

    Attributes:
        session: The session of the ``mcp`` package.
        ended: Set when it is over.
        has_news: Whether tools changed and nobody lists them again yet.
        listing: Held by whoever lists them again.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.session: Any = None
        self.ended: asyncio.Event = asyncio.Event()
        self.has_news: bool = False
        self.listing: asyncio.Lock = asyncio.Lock()
        self._changed = changed
        self._notes = Notes()
        self._is_retired = False
        self._asked: dict[asyncio.Task[Any], _Asked] = {}

    @property
    def has_ended(self) -> bool:
        """Whether it is over, or takes no more requests."""
        return self._is_retired or self.ended.is_set()

    @property
    def is_behind(self) -> bool:
        """Whether the tools have changed, or may have, since they were listed."""
        return self.has_news or self.listing.locked()

    @property
    def refusal(self) -> McpRefusedError | None:
        """What the server refused last."""
        return self._notes.last

    def watch(self, streams: Any) -> tuple[Any, Any]:
        """The two streams of a transport, looked at as they are used."""
        if len(streams) > 2 and isinstance(streams[2], Notes):
            self._notes = streams[2]
            self._notes.refused = self._refused
        return _Reading(streams[0], self._saw, self.end), _Writing(streams[1], self._sending)

    async def ask(self, request: Coroutine[Any, Any, R]) -> R:
        """The answer to a request.

        Raises:
            Lost: The session ended before it came.
            McpRefusedError: The server did not take it.
        """
        if self.has_ended:
            request.close()
            raise Lost(delivered=False)
        task, asked = asyncio.ensure_future(request), _Asked()
        task.add_done_callback(look_at)
        asked.failed.add_done_callback(look_at)
        self._asked[task] = asked
        try:
            await asyncio.wait([task, asked.failed], return_when=asyncio.FIRST_COMPLETED)
            if asked.failed.done():
                asked.failed.result()
            return task.result()
        except Exception as error:
            if not isinstance(error, _Unsent) and not is_closed(error):
                raise
            self.end()
            raise Lost(delivered=asked.id is not None) from error
        finally:
            del self._asked[task]
            task.cancel()
            asked.failed.cancel()
            if self._is_retired:
                self.retire()

    async def list_tools(self, name: str, seconds: float) -> list[dict[str, Any]]:
        """All tools, page by page; what came counts, if the pages do not end.

        Args:
            name: What the server is called in the log.
            seconds: How long pages after the first are waited for.
        """
        from mcp.types import PaginatedRequestParams

        tools: dict[str, dict[str, Any]] = {}
        cursors: set[str] = set()
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        answer = plain_answer(await self.ask(self.session.list_tools(params=None)))
        while True:
            is_new = _add(tools, answer["tools"])
            cursor = answer.get("nextCursor")
            if not cursor:
                break
            if cursor in cursors or not is_new or len(cursors) >= _MOST_PAGES:
                logger.warning(_ENDLESS, name, len(tools))
                break
            cursors.add(cursor)
            asking = self.ask(self.session.list_tools(params=PaginatedRequestParams(cursor=cursor)))
            page = await in_time(asking, until - clock())
            if page is None:
                logger.warning(_SLOW, name, seconds, len(tools))
                break
            answer = plain_answer(page)
        return list(tools.values())

    def retire(self) -> None:
        """Take no more requests, and end when none is left that waits."""
        self._is_retired = True
        if not self._asked:
            self.end()

    def end(self) -> None:
        """It is over: nothing more is answered."""
        self.ended.set()
        for asked in self._asked.values():
            asked.fail(Lost(delivered=asked.id is not None))

    def _sending(self, message: Any) -> _Asked | None:
        """Whose message is about to be sent, if it is that of a request that is waited for."""
        task = asyncio.current_task()
        asked = None if task is None else self._asked.get(task)
        return asked if getattr(message, "id", None) is not None else None

    def _saw(self, message: Any) -> None:
        if getattr(message, "method", None) == _CHANGED:
            self.has_news = True
            self._changed()

    def _refused(self, asked_id: Any, refusal: McpRefusedError) -> None:
        for asked in self._asked.values():
            if asked.id == asked_id:
                asked.fail(refusal)


def _add(tools: dict[str, dict[str, Any]], page: Sequence[dict[str, Any]]) -> bool:
    """Add a page of tools; whether the pages go on: a page may be empty, but not all known."""
    before = len(tools)
    for tool in page:
        tools.setdefault(tool["name"], tool)
    return len(tools) > before or not page


async def in_time(asking: Coroutine[Any, Any, R], seconds: float) -> R | None:
    """What is waited for, if it comes in time."""
    task = asyncio.ensure_future(asking)
    task.add_done_callback(look_at)
    try:
        await asyncio.wait([task], timeout=max(0.0, seconds))
        return task.result() if task.done() else None
    finally:
        task.cancel()


def look_at(done: asyncio.Future[Any]) -> None:
    """Take notice of an error that nobody waits for any more, or the loop logs it."""
    if not done.cancelled():
        done.exception()


class _Unsent(Exception):  # noqa: N818 - of this module alone
    """A message that the transport did not take."""


class _Stream:
    """A stream of the ``mcp`` package, whatever this version can do with it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> Any:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> Any:
        return await self._inner.__aexit__(*exc)


class _Writing(_Stream):
    def __init__(self, inner: Any, sending: Callable[[Any], _Asked | None]) -> None:
        super().__init__(inner)
        self._sending = sending

    async def send(self, item: Any) -> None:
        asked = self._sending(_message(item))
        if asked is None:
            await self._inner.send(item)
            return
        # Before it is sent: where sending is interrupted, the server may have it.
        before, asked.id = asked.id, _message(item).id
        try:
            await self._inner.send(item)
        except Exception as error:
            asked.id = before
            raise _Unsent from error


class _Reading(_Stream):
    def __init__(self, inner: Any, saw: Callable[[Any], None], ended: Callable[[], None]) -> None:
        super().__init__(inner)
        self._saw = saw
        self._ended = ended

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            item = await self._inner.__anext__()
        except BaseException:
            self._ended()
            raise
        self._saw(_message(item))
        return item


def _message(item: Any) -> Any:
    """The JSON-RPC message in what streams carry; version 1 of ``mcp`` wraps it twice."""
    message = getattr(item, "message", None)
    return getattr(message, "root", message)
