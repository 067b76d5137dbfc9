"""Locks on open files between processes, which the system frees when their holder ends."""

from __future__ import annotations

import os
import sys

__all__ = ["try_lock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(descriptor: int, at: int = 0) -> bool:
        os.lseek(descriptor, at, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(descriptor: int, at: int = 0) -> bool:  # noqa: ARG001 - for Windows
        """Lock an open file until it is closed, without waiting.

        Args:
            descriptor: The file, open for writing. Who opens it anew is another holder, in the same
                process too.
            at: Which byte Windows locks, and moves the file's position to; nobody else can read it
                there meanwhile. Other systems lock the file as a whole, for those who ask alone.

        Returns:
            Whether nobody else holds it. ``True`` also where the file system has no locks.
        """
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems
            return True
        return True
