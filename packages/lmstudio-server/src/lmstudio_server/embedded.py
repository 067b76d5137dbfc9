"""The server that is started when no LM Studio is found.

``ensure_running`` is all that a client needs. One server serves all programs of a user; it ends
some minutes after its last client has gone.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from lmstudio_core.errors import LMStudioOSError
from lmstudio_core.protocol.address import FoundServer

from ._version import __version__
from .daemon import state
from .daemon.lock import LockTimeoutError, file_lock
from .daemon.paths import STATE_DIR_VARIABLE, in_words, state_dir
from .owned import is_running

if TYPE_CHECKING:
    from .daemon.spawn import StartError

__all__ = ["EmbeddedServerError", "ensure_running", "is_enabled"]

_log = logging.getLogger("lmstudio")

IDLE_SECONDS: Final = 600.0
_LOCK_SECONDS: Final = 90.0
_LOCK_NAME: Final = "embedded.lock"
_TOKEN_VARIABLES: Final = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")


class EmbeddedServerError(LMStudioOSError):
    """The on-demand server could not be started; the message says why, in its own last words."""


def is_enabled() -> bool:
    """Whether ``LMSTUDIO_EMBEDDED`` allows a server to be started on demand."""
    value = os.environ.get("LMSTUDIO_EMBEDDED", "")
    return value.strip().lower() not in ("0", "false", "no", "off")


def ensure_running() -> str:
    """The address (``"127.0.0.1:port"``) of a server of this user, started if there is none.

    That of the server that was started on demand is a ``FoundServer``: it comes with the token that only
    this user can read, so that other users of the machine can do nothing with the server.

    However many threads and processes call this at the same time, one server is started. A
    server that was started by hand is used if it runs.

    Raises:
        FrozenProgramError: None runs, and this program has no Python to start one with.
        EmbeddedServerError: No server could be started, or ``LMSTUDIO_EMBEDDED=running`` says that
            none shall be.
    """
    try:
        address = _running()
        if address is not None:
            return address
        if os.environ.get("LMSTUDIO_EMBEDDED", "").strip().lower() == "running":
            raise EmbeddedServerError("None runs, and LMSTUDIO_EMBEDDED=running starts none.")
        with file_lock(state_dir() / _LOCK_NAME, _LOCK_SECONDS):
            # Somebody else may have started it while we waited for the lock.
            return _running() or _start()
    except EmbeddedServerError:
        raise
    except LockTimeoutError as error:
        raise EmbeddedServerError(
            f"Another program has been starting lmstudio-server for {_LOCK_SECONDS:g} s. Try "
            "again, or start one with `lmstudio server start`."
        ) from error
    except OSError as error:
        raise EmbeddedServerError(
            f"The embedded server's folder cannot be used: {in_words(error)}.\nSet {STATE_DIR_VARIABLE} to a folder that this "
            "user may write to, or LMSTUDIO_EMBEDDED=0 to never start a server."
        ) from error


def _running() -> str | None:
    by_hand = _by_hand()
    if by_hand:
        return by_hand[0].state.address
    found = state.running(state.EMBEDDED, claim=True)
    # After an upgrade the older server finishes serving its clients, and new ones get a new one.
    if found is None or found.state.version != __version__:
        return None
    return _with_token(found.state)


def _with_token(found: state.ServerState) -> str:
    if not found.api_token:
        return found.address
    pid, start = found.pid, found.process_start
    return FoundServer(found.address, found.api_token, lambda: is_running(pid, start))


def _by_hand() -> list[state.Running]:
    has_token = any(os.environ.get(name) for name in _TOKEN_VARIABLES)
    names = sorted(path.stem for path in state_dir().glob("server-*.json"))
    found = (state.running(name) for name in names)
    # One with TLS has a certificate for the names by which others know it, not for this machine's own.
    return [
        r
        for r in found
        if r is not None and (has_token or not r.state.requires_token) and not r.state.tls
    ]


def _start() -> str:
    # Most calls find a server that runs; only this one needs what it takes to start processes.
    from .daemon.spawn import Settings, StartError, spawn
    from .wire.auth import new_token

    idle = _idle_seconds()
    try:
        ready = spawn(Settings(kind="embedded", idle_timeout=idle, api_tokens=(new_token(),)))
    except StartError as error:
        raise _failure(error) from error
    _log.warning(
        "No LM Studio found: started lmstudio-server (pid %s) at %s with the pocket model, a tiny "
        "model for trying things out; it ends after %s. Set LMSTUDIO_EMBEDDED=0 to turn this off.",
        ready["pid"],
        ready["host"],
        f"{idle / 60:g} idle minutes" if idle >= 60 else f"{idle:g} idle seconds",
    )
    found = state.read(state.EMBEDDED)
    if found is None or found.pid != ready["pid"]:
        raise EmbeddedServerError(
            f"The embedded server (pid {ready['pid']}) has ended, or its state file was removed. Try again."
        )
    return _with_token(found)


def _failure(error: StartError) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The embedded server could not be started. {error}\nStart LM Studio or `lmstudio server "
        "start` instead, or set LMSTUDIO_EMBEDDED=0 to never start one."
    )


def _idle_seconds() -> float:
    try:
        seconds = float(os.environ.get("LMSTUDIO_EMBEDDED_IDLE", ""))
    except ValueError:
        return IDLE_SECONDS
    return seconds if seconds > 0 else IDLE_SECONDS
