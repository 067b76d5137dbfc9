"""Running a server until it is told to end: signals, state file, readiness."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server._version import __version__
from lmstudio_server.config import is_loopback
from lmstudio_server.serving.server import RunningServer, serve

from . import state
from .lock import LockTimeoutError, file_lock
from .paths import state_dir

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmstudio_server.config import ServerConfig
    from lmstudio_server.engines.base import Engine
    from lmstudio_server.services import ModelLibrary

__all__ = ["LOCK_NAME", "run"]

_log = logging.getLogger(__name__)

LOCK_NAME = "embedded.lock"
_REMOVAL_PATIENCE_SECONDS = 5.0


def run(
    config: ServerConfig,
    *,
    kind: Literal["embedded", "standalone"],
    on_ready: Callable[[RunningServer], None],
    log_file: Path | None = None,
    engine: Engine | None = None,
    library: ModelLibrary | None = None,
) -> int:
    """Serve until a signal, a client or idleness ends it; returns the exit code."""

    async def main() -> int:
        async with serve(config, engine=engine, library=library) as running:
            received = _handle_signals(running)
            if not is_loopback(config.host) and not config.api_tokens:
                _log.warning(
                    "anyone who can reach %s may use this server; --api-token limits that",
                    config.host,
                )
            described = _describe(config, kind, running, log_file)
            state.write(described)
            try:
                on_ready(running)
                await running.wait_until_done()
            finally:
                _remove(described)
            return 130 if signal.SIGINT in received else 0

    return asyncio.run(main())


def _describe(
    config: ServerConfig,
    kind: Literal["embedded", "standalone"],
    running: RunningServer,
    log_file: Path | None,
) -> state.ServerState:
    return state.ServerState(
        kind=kind,
        pid=os.getpid(),
        host=running.host.rpartition(":")[0].strip("[]"),
        port=running.port,
        instance_id=config.instance_id,
        version=__version__,
        started_at=time.time(),
        requires_token=running.services.authenticator.requires_token,
        log=None if log_file is None else str(log_file),
        control_key=config.control_key,
    )


def _handle_signals(running: RunningServer) -> list[int]:
    """End well on the first signal, at once on the second. Returns the signals received."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        _log.info("ending (%s)", signal.Signals(number).name)
        running.services.shutdown.set()

    def from_any_thread(number: int, _frame: Any) -> None:
        loop.call_soon_threadsafe(on_signal, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if sys.platform == "win32":
            signal.signal(number, from_any_thread)
        else:
            loop.add_signal_handler(number, on_signal, number)
    return received


def _remove(described: state.ServerState) -> None:
    # Under the lock: another process may be replacing the file at this moment.
    with suppress(OSError):
        try:
            with file_lock(state_dir() / LOCK_NAME, _REMOVAL_PATIENCE_SECONDS):
                state.remove(described)
        except LockTimeoutError:
            # Somebody is starting a server and will find that this one does not answer.
            return
