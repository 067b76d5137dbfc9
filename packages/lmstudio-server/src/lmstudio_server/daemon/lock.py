"""A lock between processes and between threads, which the system frees when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmstudio_server.owned import open_own

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["LockTimeoutError", "file_lock"]

_RETRY_SECONDS = 0.02


class LockTimeoutError(TimeoutError):
    """Somebody else kept the lock for too long."""


@contextmanager
def file_lock(path: Path, timeout: float) -> Generator[None, None, None]:
    """Hold the lock of ``path`` for the block; wait for it at most ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    # Every holder opens the file anew: locks belong to open files, so threads exclude each other
    # just as processes do. The file stays; removing it would let two holders lock two files.
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT)
    try:
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise LockTimeoutError(f"{path} was locked by another process for {timeout:g} s.")
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
