"""What happens on the server, for clients that watch: its log, and what models read and write.

Nothing is kept and nothing is prepared while nobody watches.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections import deque
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

__all__ = [
    "MAX_EVENTS",
    "MAX_TEXT",
    "LineFormatter",
    "Listener",
    "Logs",
    "escaped",
    "hush_http_client",
]

MAX_EVENTS: Final = 1000
"""How many events wait for a client that reads slowly; older ones make room."""
MAX_TEXT: Final = 4_000_000
"""How many characters of text wait for it."""
_TEXT_KEYS: Final = ("content", "input", "output")
_HIDDEN: Final = "***"
_SHORTEST_SECRET: Final = 6
_UNPRINTED: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""Control characters, line ends, what turns the direction of a text, and halves of surrogate pairs."""
_LOGGER: Final = "lmstudio_server"
_UNWATCHED: Final = "lmstudio_server.websockets"
"""What the WebSocket library says of connections: it may hold what clients send, passkeys too."""


def hush_http_client() -> None:
    """Keep the requests to other servers out of the log, whatever its level: their addresses and the
    headers of their answers may be signed, and each request would be many lines.
    """
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """One event is one line, and its traceback is indented: nobody who chooses a name, a path or an error's
    words can write a line of our log, clear a terminal, or keep a line from being written.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own
        """The line without a traceback."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as above
        """The traceback."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - as above
        """The stack."""
        return _indented(super().formatStack(stack_info))


def escaped(text: str) -> str:
    """``text`` without control characters, line ends and halves of surrogate pairs: written as in Python.

    >>> escaped("one\\ntwo\\x1b[2J ä")
    'one\\\\ntwo\\\\x1b[2J ä'
    """
    return _UNPRINTED.sub(lambda found: repr(found.group())[1:-1], text)


def _indented(text: str) -> str:
    # The source lines of a traceback have their own indentation, which stays.
    return "\n".join(f"    {escaped(line)}" for line in text.split("\n"))


class Listener:
    """The events that one client has not read yet."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, dict[str, Any]]] = deque()
        self._text = 0
        self._dropped = 0
        self._grew = asyncio.Event()

    def put(self, event: dict[str, Any]) -> None:
        """Add an event, and give up the oldest where there are too many."""
        size = sum(len(event["data"].get(key, "")) for key in _TEXT_KEYS)
        self._events.append((size, event))
        self._text += size
        while len(self._events) > MAX_EVENTS or (self._text > MAX_TEXT and len(self._events) > 1):
            self._text -= self._events.popleft()[0]
            self._dropped += 1
        self._grew.set()

    async def get(self) -> dict[str, Any]:
        """Wait for the next event; where some were given up, it says so."""
        while not self._events:
            self._grew.clear()
            await self._grew.wait()
        if self._dropped:
            words = f"{self._dropped} events were left out: this client reads too slowly."
            self._dropped = 0
            return _event({"type": "server.log", "level": "warn", "content": words})
        size, event = self._events.popleft()
        self._text -= size
        return event


class Logs:
    """Hands what happens to those who listen.

    Args:
        secrets: Texts that are never told.
    """

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = tuple(secrets)
        self._listeners: set[Listener] = set()
        self._handler: _Handler | None = None

    @property
    def listening(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @contextmanager
    def listen(self) -> Generator[Listener, None, None]:
        """Listen for as long as the block runs."""
        listener = Listener()
        self._listeners.add(listener)
        if self._handler is None:
            self._handler = _Handler(self, asyncio.get_running_loop())
            logging.getLogger(_LOGGER).addHandler(self._handler)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                logging.getLogger(_LOGGER).removeHandler(self._handler)
                self._handler = None

    def tell(self, data: Mapping[str, Any], seconds: float | None = None) -> None:
        """Tell a ``diagnosticsLogEventData`` that happened now, or at ``seconds`` since 1970."""
        if not self._listeners:
            return
        event = _event({key: self._hide(value) for key, value in data.items()}, seconds)
        for listener in self._listeners:
            listener.put(event)

    def _hide(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for secret in (*self._secrets, os.environ.get("HF_TOKEN", "")):
            if len(secret) >= _SHORTEST_SECRET:
                value = value.replace(secret, _HIDDEN)
        return value


class _Handler(logging.Handler):
    """Takes the lines of this server's loggers, of whichever thread, into the event loop."""

    def __init__(self, logs: Logs, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._logs = logs
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _UNWATCHED or self._loop.is_closed():
            return
        try:
            data = {"type": "server.log", "level": _level(record), "content": self.format(record)}
            self._loop.call_soon_threadsafe(self._logs.tell, data, record.created)
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)


def _level(record: logging.LogRecord) -> str:
    if record.levelno >= logging.ERROR:
        return "error"
    if record.levelno >= logging.WARNING:
        return "warn"
    return "info" if record.levelno >= logging.INFO else "debug"


def _event(data: dict[str, Any], seconds: float | None = None) -> dict[str, Any]:
    moment = time.time() if seconds is None else seconds
    return {"timestamp": round(moment * 1000), "data": data}
