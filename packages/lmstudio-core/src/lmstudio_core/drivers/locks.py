"""Taking a lock without waiting, or not for ever, safe from Ctrl-C.

``with lock:`` is safe: no interrupt comes between getting the lock and entering the block. After
``if lock.acquire(timeout=…):`` one may, and then the lock is held for ever.
"""

from __future__ import annotations

from typing import Any

__all__ = ["take"]


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
    """
    blocking = timeout is None or timeout > 0
    got.extend(
        map(lock.acquire, (blocking,), (-1 if timeout is None or not blocking else timeout,))
    )
    return got[-1]
