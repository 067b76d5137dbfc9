"""A program that runs a plugin in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from waiting import PATIENCE, eventually

PROGRAMS = Path(__file__).parent / "programs"


class Running:
    """A program that runs a plugin, and the lines that it has printed."""

    def __init__(self, command: list[str], host: str, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "LMSTUDIO_API_HOST": host, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self.lines.append(line.rstrip())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until it has printed the words; fails with all of its lines if it ends before."""

        def there() -> bool:
            return self.text.count(words) >= times or self.process.poll() is not None

        eventually(there)
        self._settle()
        assert self.text.count(words) >= times, self.text

    def _settle(self) -> None:
        if self.process.poll() is not None:
            self._reader.join(PATIENCE)

    def end(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once it ends."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code
