"""Starting a server as a process of its own that outlives the one that starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_core.lenient import error_text
from lmstudio_core.program.interpreter import python_command, python_environment
from lmstudio_server.config import jit_models
from lmstudio_server.owned import open_own

from .paths import STATE_DIR_VARIABLE, state_dir

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Settings", "StartError", "spawn", "tail"]

START_TIMEOUT_SECONDS = 60.0
_TAIL_LINES = 15
if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _CREATION_FLAGS = 0


class StartError(RuntimeError):
    """A server could not be started; the message holds the last lines of its log."""


@dataclass(frozen=True)
class Settings:
    """How a background server is to run. Travels on its standard input, where no process list
    shows it.
    """

    kind: Literal["embedded", "standalone"]
    host: str = "127.0.0.1"
    port: int = 0
    idle_timeout: float | None = None
    models: tuple[str, ...] | None = None
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trust_local: bool = True
    insecure: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    log_level: str = "info"
    jit_ttl: float | None = 3600.0
    jit_models: int | None = field(default_factory=jit_models)
    shutdown_grace: float = 10.0
    api_tokens: tuple[str, ...] = field(default=(), repr=False)
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any], repr=False)

    @property
    def log_name(self) -> str:
        """The name of its log files, without a suffix."""
        return "embedded" if self.kind == "embedded" else f"server-{self.port}"


def spawn(settings: Settings, timeout: float = START_TIMEOUT_SECONDS) -> dict[str, Any]:
    """Start a server and wait until it listens.

    Returns what it reports: ``pid``, ``host`` and ``port``.

    Raises:
        StartError: It ended before it listened, or took too long.
        FrozenProgramError: There is no Python to start it with.
    """
    directory = state_dir()
    command = python_command("-m", "lmstudio_server.daemon", purpose="lmstudio-server")
    errors = directory / f"{settings.log_name}.err"
    descriptor = open_own(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            # Modules in the caller's folder must not shadow the server's.
            cwd=directory,
            env={**python_environment(secrets=True), STATE_DIR_VARIABLE: str(directory)},
            # Ctrl-C at the caller's terminal must not reach the server.
            start_new_session=True,
            creationflags=_CREATION_FLAGS,
        )
    except OSError as error:
        raise StartError(f"lmstudio-server could not be started: {error_text(error)}") from error
    finally:
        os.close(descriptor)
    report = _Report(process, settings)
    if report.wait(timeout):
        return report.ready
    report.kill()
    problem = "ended at once" if report.ended else f"did not listen within {timeout:g} s"
    raise StartError(
        f"lmstudio-server {problem}. Its last words ({errors}):\n"
        + (tail(errors) or tail(directory / f"{settings.log_name}.log") or "(none)")
    )


class _Report:
    """What a starting server writes to its standard output: its pid, then that it is ready."""

    def __init__(self, process: subprocess.Popen[bytes], settings: Settings) -> None:
        self.ready: dict[str, Any] = {}
        self.ended = False
        self._process = process
        self._settings = settings
        self._pid: int | None = None
        # A thread, since there is no waiting on pipes with a time limit that works everywhere.
        self._thread = threading.Thread(target=self._read, daemon=True)

    def wait(self, timeout: float) -> bool:
        self._thread.start()
        self._thread.join(timeout)
        return bool(self.ready)

    def kill(self) -> None:
        if self.ended:
            return
        self._process.kill()
        if self._pid is not None:
            with suppress(OSError):
                os.kill(self._pid, signal.SIGTERM)
        self._thread.join(5)

    def _read(self) -> None:
        process = self._process
        if process.stdin is not None:  # both are pipes, see spawn
            with suppress(OSError), process.stdin as pipe:
                pipe.write(json.dumps(asdict(self._settings)).encode())
        with process.stdout or nullcontext(()) as lines:
            for line in lines:
                self._take(line)
        self.ended = True
        if sys.platform != "win32" or not self.ready:
            # The process that was started only starts the server and ends, so it leaves no zombie.
            process.wait()

    def _take(self, line: bytes) -> None:
        # Something else may write there too while the interpreter starts.
        with suppress(ValueError, KeyError, TypeError):
            message = json.loads(line)
            self._pid = message["pid"]
            if "port" in message:
                self.ready = message


def tail(path: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log file; empty if there is none."""
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            file.seek(max(0, path.stat().st_size - 16384))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])
