"""Looks after the blocking driver's sockets between calls, when no thread reads them."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sync_connection import Connection

__all__ = ["Keeper"]


class Keeper:
    """One thread per client, and a look every few seconds.

    A server that sends pings drops a client that does not answer them, and a sync client between
    two calls reads nothing.

    Args:
        connections: A bound method that lists the client's connections. It is held weakly: a
            client that its program has dropped is not kept alive by being looked after.
    """

    interval: float = 5.0

    def __init__(self, connections: Callable[[], Sequence[Connection]]) -> None:
        self._connections = weakref.WeakMethod(connections)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._seen: weakref.WeakKeyDictionary[Connection, int] = weakref.WeakKeyDictionary()

    def start(self) -> None:
        """Start looking, unless it runs already in this process."""
        if self._pid == os.getpid():
            return
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lmstudio-keeper", daemon=True)
        with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can start
            self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread, and ``wait`` until it has ended."""
        thread, self._thread = self._thread, None
        if thread is None or self._pid != os.getpid():
            return
        self._pid = 0
        self._stop.set()
        if wait and thread.ident is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        stop = self._stop
        while not stop.wait(self.interval) and self.look():
            pass

    def look(self) -> bool:
        """Read what has arrived on sockets that nobody has read since the last look.

        ``False`` once the client is gone.
        """
        connections = self._connections()
        if connections is None:
            return False
        for connection in connections():
            if self._seen.get(connection) == connection.reads:
                connection.pump_idle()
            self._seen[connection] = connection.reads
        return True
