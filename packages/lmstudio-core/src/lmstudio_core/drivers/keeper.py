"""Looks after the blocking driver's sockets between calls, when no thread reads them."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .sync_connection import Connection

__all__ = ["Keeper"]

_END_PATIENCE: Final = 1.0
"""Seconds to wait for the thread's end; it takes a moment."""


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
        self._begun = threading.Lock()  # taken once, by the first thread that starts it
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start looking, unless it runs already."""
        if self._begun.locked() or not self._begun.acquire(blocking=False):
            return
        self._thread = threading.Thread(target=self._run, name="lmstudio-keeper", daemon=True)
        with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can start
            self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """End the thread, and ``wait`` until it has ended.

        It is not waited for for ever: where this is called by a signal handler, it may be waiting
        for a lock (of a log handler, say) that the code below the handler holds.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        if wait and thread.ident is not None and thread is not threading.current_thread():
            thread.join(_END_PATIENCE)

    def _run(self) -> None:
        while not self._stop.wait(self.interval) and self.look():
            pass

    def look(self) -> bool:
        """Read what has arrived on sockets that nobody reads; ``False`` once the client is gone."""
        connections = self._connections()
        if connections is None:
            return False
        for connection in connections():
            connection.tend()
        return True
