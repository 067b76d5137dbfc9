"""For tests: a real server, in a process of its own or in the event loop of the test.

``running_server()`` is for tests of clients: one server for a whole session, on a free port, with
a state folder of its own, gone at the end of the block. ``serve`` is for tests of the server.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from lmstudio_core.program.interpreter import python_command, python_environment

from .daemon.paths import STATE_DIR_VARIABLE

if TYPE_CHECKING:
    from .serving.server import serve

__all__ = ["ServerProcess", "running_server", "serve"]

START_SECONDS = 60.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class ServerProcess:
    """A server that runs in a process of its own."""

    host: str
    """``"127.0.0.1:port"``, as clients take it."""
    port: int
    pid: int
    state_dir: Path
    log: Path
    """What the server writes to its standard error."""


@contextmanager
def running_server(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    models: Sequence[Path] = (),
    state: Path | None = None,
) -> Generator[ServerProcess, None, None]:
    """Start a server and stop it at the end of the block.

    Args:
        arguments: More arguments for ``lmstudio-server start``.
        environment: Variables to set besides those of this process.
        models: Folders with models; without any, only the pocket models are there.
        state: A state folder that is kept; by default one of its own.
    """
    with tempfile.TemporaryDirectory(prefix="lmstudio-server-test-") as folder:
        directory = Path(folder)
        state_folder, log = state or directory / "state", directory / "server.log"
        empty = directory / "models"
        empty.mkdir()
        folders = [part for path in (models or [empty]) for part in ("--models", str(path))]
        start = ("-m", "lmstudio_server", "start", "--port", "0", "--json")
        command = python_command(*start, purpose="lmstudio-server")
        variables = {**(environment or {}), STATE_DIR_VARIABLE: str(state_folder)}
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, *folders, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**python_environment(secrets=True), **variables},
            )
        try:
            started = _first_line(process, log)
            yield ServerProcess(**started, state_dir=state_folder, log=log)
        finally:
            _stop(process)


def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    output = cast("IO[bytes]", process.stdout)
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        line = output.readline()
    finally:
        timer.cancel()
    if not line:
        process.wait()
        raise RuntimeError(
            f"lmstudio-server ended with code {process.returncode}:\n"
            + log.read_text(encoding="utf-8", errors="replace")
        )
    started: dict[str, Any] = json.loads(line)
    return started


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> object:
        # The server itself is not needed by tests that only talk to one.
        if name == "serve":
            from .serving.server import serve

            return serve
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
