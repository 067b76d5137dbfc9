"""A command in a terminal of its own, and somebody who types."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("a terminal of Unix", allow_module_level=True)

import fcntl
import struct
import termios

from typing_extensions import Self

_LIMIT = 60.0
_START = (
    "import fcntl, sys, termios\n"
    "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"  # so that Ctrl-C reaches the command
    "from lmstudio_cli import main\n"
    "main()\n"
)


class Terminal:
    """Runs ``lmstudio`` with arguments in a pseudo-terminal.

    Args:
        arguments: Of the command.
        columns: How wide the terminal is.
        stdout: Where standard output goes, if not to the terminal.
        variables: Of the environment.
    """

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        stdin: Any = None,
        stdout: Any = None,
        cwd: Path | None = None,
        **variables: str,
    ) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *arguments],
            stdin=theirs if stdin is None else stdin,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
            cwd=cwd,
            env={**kept, "TERM": "xterm-256color", **variables},
        )
        os.close(theirs)
        self.shown = ""
        """All that was printed so far."""
        self._seen = 0

    def expect(self, text: str) -> None:
        """Wait until ``text`` is printed, behind what was waited for before."""
        end = time.monotonic() + _LIMIT
        while (found := self.shown.find(text, self._seen)) < 0:
            assert self._read(end), f"{text!r} did not come: {self.shown[self._seen :]!r}"
        self._seen = found + len(text)

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))
        try:
            data = os.read(self._ours, 65536) if ready else b""
        except OSError:  # how Linux says that nobody has the other side any more
            data = b""
        self.shown += data.decode(errors="replace")
        return bool(data)

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._ours, text.encode())

    def paste(self, text: str) -> None:
        """Paste it, as terminals do where a program knows of pasting."""
        self.type(f"\x1b[200~{text}\x1b[201~")

    def interrupt(self, answer: str) -> None:
        """Press Ctrl-C until ``answer`` is printed.

        Python misses one that comes between its printing of a prompt and its waiting for a line.
        """
        end = time.monotonic() + _LIMIT
        while answer not in self.shown[self._seen :] and time.monotonic() < end:
            self.type("\x03")
            pause = time.monotonic() + 5.0
            while answer not in self.shown[self._seen :] and self._read(pause):
                pass
        self.expect(answer)

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        limit = time.monotonic() + _LIMIT
        while self._read(limit):
            pass
        return self._process.wait(_LIMIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_LIMIT)
        os.close(self._ours)
