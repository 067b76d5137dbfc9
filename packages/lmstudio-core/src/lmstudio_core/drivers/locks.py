"""Taking a lock without waiting, or not for ever, safe from Ctrl-C.

``with lock:`` is safe: no interrupt comes between getting the lock and entering the block. After
``if lock.acquire(timeout=…):`` one may, and then the lock is held for ever.

The locks are reentrant only because that kind knows its owner. A signal handler or a finalizer runs
in the middle of whatever its thread is doing; it must neither wait for a lock that the code below it
holds, nor walk into the middle of what that lock guards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from .sync_socket import LONGEST_WAIT

__all__ = ["held", "owner_check", "process", "sleep_until_released", "take"]


class _Process:
    """This process. ``id`` is its number: every call asks, and the system takes its time to answer."""

    __slots__ = ("id",)

    def __init__(self) -> None:
        self.note()

    def note(self) -> None:
        self.id: int = os.getpid()


process: Final = _Process()
if hasattr(os, "register_at_fork"):  # where there is none, nothing forks
    os.register_at_fork(after_in_child=process.note)


def owner_check(lock: Any) -> Callable[[], bool]:
    """What tells whether this very thread holds the ``threading.RLock``."""
    check: Callable[[], bool] = lock._is_owned  # noqa: SLF001 - as threading.Condition asks it
    return check


def held(lock: Any) -> bool:
    """Whether this very thread holds the ``threading.RLock``."""
    return owner_check(lock)()


def take(got: list[bool], lock: Any, timeout: float | None = 0) -> bool:
    """Take ``lock`` if it can be had in ``timeout`` seconds (``None``: wait for ever).

    Used as ::

        got: list[bool] = []
        try:
            if take(got, lock):
                …
        finally:
            if True in got:
                lock.release()

    ``got`` is filled by C code in the same step that gets the lock, so that ``finally`` knows.
    A lock that this thread holds already, further out, cannot be had.
    """
    if held(lock):
        return False
    blocking = timeout is None or timeout > 0
    got.extend(
        map(lock.acquire, (blocking,), (-1 if timeout is None or not blocking else timeout,))
    )
    return got[-1]


def sleep_until_released(lock: Any, deadline: float | None) -> None:
    """Wait until another thread releases ``lock``, or for the deadline (by ``time.monotonic``)."""
    if deadline is None:
        lock.acquire()
    else:
        lock.acquire(timeout=min(max(0.0, deadline - time.monotonic()), LONGEST_WAIT))
