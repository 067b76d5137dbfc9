"""What is this user's own: files that no link leads away from, and processes, whose numbers are given to
others when they have ended.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["is_running", "open_own", "read_own", "start_of"]

_MOST_TEXT = 256 * 1024

_PS = "/bin/ps"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def open_own(path: Path, flags: int) -> int:
    """Open a file, made if need be and the flags say so; a link is not followed.

    Raises:
        OSError: It is a link, or no file, or cannot be opened.
    """
    # Not to wait where somebody put a FIFO.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o600)
    info = os.fstat(descriptor)
    if stat.S_ISREG(info.st_mode) and (sys.platform == "win32" or info.st_uid == os.getuid()):
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, "it is no file of this user's own", str(path))


def read_own(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: It cannot be read, or is nobody's business here.
        ValueError: It is no text.
    """
    with os.fdopen(open_own(path, os.O_RDONLY), encoding="utf-8") as file:
        return file.read(_MOST_TEXT)


def is_running(pid: int, start: str) -> bool:
    """Whether the process of that number still is the one that started then."""
    return bool(start) and start_of(pid) == start


def start_of(pid: int) -> str:
    """When a process was started, in the words of this system; empty if there is none (a zombie, say)."""
    if pid <= 0:
        return ""
    if sys.platform == "win32":
        return _start_on_windows(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else _start_by_ps(pid)
    if len(fields) < 20 or fields[0] in "ZX":
        return ""
    boot = ""
    with suppress(OSError):  # the clock of the number before it starts with the machine
        boot = _BOOT_ID.read_text("utf-8").strip()
    return f"{boot} {fields[19]}"


def _start_by_ps(pid: int) -> str:
    import subprocess  # finding a server is to be light

    try:
        os.kill(pid, 0)
        done = subprocess.run(  # noqa: S603 - the system's own, by its whole path
            [_PS, "-o", "lstart=", "-p", str(pid)],
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("ascii", "replace").strip()


if sys.platform == "win32":
    import ctypes

    def _start_on_windows(pid: int) -> str:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not handle:
            return ""
        times = [ctypes.c_ulonglong() for _ in range(4)]
        try:
            pointers = [ctypes.byref(one) for one in times]
            known = kernel.GetProcessTimes(ctypes.c_void_p(handle), *pointers)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))
        # One that has ended may still be known, as long as somebody holds it.
        return str(times[0].value) if known and not times[1].value else ""
