"""Running a server until it is told to end: signals, state file, readiness."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server._version import __version__
from lmstudio_server.config import ServerConfig, is_loopback
from lmstudio_server.limits import raise_descriptor_limit, tell_exhaustion_once
from lmstudio_server.owned import start_of
from lmstudio_server.serving.server import RunningServer, serve

from . import state
from .lock import LockTimeoutError, file_lock
from .paths import state_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmstudio_server.engines.base import Engine
    from lmstudio_server.services import ModelLibrary

    from .spawn import Settings

__all__ = ["LOCK_NAME", "config_of", "run"]

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
    """Serve until a signal, a client or idleness ends it; returns the exit code.

    Args:
        config: Where and how to serve.
        kind: How it was started, as its state file says it.
        on_ready: Called with the server once it listens.
        log_file: The file of its log, if there is one.
        engine: What loads models; by default all installed engines.
        library: The models; by default those of the folders of ``config``.
    """
    raise_descriptor_limit()

    async def main() -> int:
        tell_exhaustion_once(asyncio.get_running_loop())
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


def config_of(settings: Settings, *, is_daemon: bool) -> ServerConfig:
    """What a server needs to know of the settings it is started with."""
    models = settings.models
    return ServerConfig(
        host=settings.host,
        port=settings.port,
        api_tokens=tuple(settings.api_tokens),
        model_folders=None if models is None else tuple(Path(folder) for folder in models),
        allowed_origins=tuple(settings.allowed_origins),
        allowed_hosts=tuple(settings.allowed_hosts),
        trust_local=settings.trust_local,
        insecure=settings.insecure,
        tls_cert=Path(settings.tls_cert) if settings.tls_cert else None,
        tls_key=Path(settings.tls_key) if settings.tls_key else None,
        idle_timeout=settings.idle_timeout,
        jit_ttl=settings.jit_ttl,
        jit_models=settings.jit_models,
        shutdown_grace=settings.shutdown_grace,
        plugins=settings.plugins,
        is_daemon=is_daemon,
    )


def _describe(
    config: ServerConfig,
    kind: Literal["embedded", "standalone"],
    running: RunningServer,
    log_file: Path | None,
) -> state.ServerState:
    return state.ServerState(
        kind=kind,
        pid=os.getpid(),
        host=running.name.strip("[]"),
        port=running.port,
        instance_id=config.instance_id,
        version=__version__,
        started_at=time.time(),
        requires_token=running.services.authenticator.requires_token,
        log=None if log_file is None else str(log_file),
        shutdown_grace=config.shutdown_grace,
        control_key=config.control_key,
        api_token=config.api_tokens[0] if kind == "embedded" and config.api_tokens else "",
        tls=config.tls_cert is not None,
        process_start=start_of(os.getpid()),
    )


def _handle_signals(running: RunningServer) -> list[int]:
    """End well on the first signal, at once on the second. Returns the signals received."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        _log.info("ending (%s); a second signal ends it at once", signal.Signals(number).name)
        running.services.shutdown.set()

    def from_any_thread(number: int, _frame: Any) -> None:
        loop.call_soon_threadsafe(on_signal, number)

    for number in _ending_signals():
        if sys.platform == "win32":
            signal.signal(number, from_any_thread)
        else:
            loop.add_signal_handler(number, on_signal, number)
    return received


def _ending_signals() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    # A terminal that is closed says so, unless the server was started with nohup.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


def _remove(described: state.ServerState) -> None:
    # Under the lock: another process may be replacing the file at this moment.
    with suppress(OSError):
        try:
            with file_lock(state_dir() / LOCK_NAME, _REMOVAL_PATIENCE_SECONDS):
                state.remove(described)
        except LockTimeoutError:
            # Somebody is starting a server and will find that this one does not answer.
            return
