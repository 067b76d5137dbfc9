"""A lock between processes and between threads, which the system frees when its holder dies."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmstudio_core.locks import try_lock

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
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise LockTimeoutError(f"{path} was locked by another process for {timeout:g} s.")
            time.sleep(_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)
