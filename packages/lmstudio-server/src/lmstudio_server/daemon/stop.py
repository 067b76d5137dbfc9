"""Ending a server that another process runs: first asked, then told, then killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from . import state
from .probe import fetch_status, unchecked

__all__ = ["StopError", "stop_server"]

ASK_SECONDS = 10.0
TELL_SECONDS = 5.0
_POLL_SECONDS = 0.05


class StopError(RuntimeError):
    """The server goes on running."""


def stop_server(target: state.ServerState) -> str:
    """End a server and wait until it is gone. Returns a word about how, empty if it went well.

    Raises:
        StopError: It is still there; the message says what was tried.
    """
    if target.process_start and not target.is_alive:
        # Its number and its port may be another program's by now: nothing is sent there, nor ended.
        state.remove(target)
        return ""
    if _ask(target) and _gone(target, ASK_SECONDS + target.shutdown_grace):
        return ""
    # It answered to its instance id a moment ago, so its pid is still its own.
    for number, seconds in ((signal.SIGTERM, TELL_SECONDS), (_kill_signal(), TELL_SECONDS)):
        with suppress(ProcessLookupError):
            try:
                os.kill(target.pid, number)
            except PermissionError as error:
                raise StopError(
                    f"lmstudio-server (pid {target.pid}) does not answer and belongs to another "
                    "user. Stop it as that user."
                ) from error
        if _gone(target, seconds):
            state.remove(target)
            return f" with {signal.Signals(number).name}"
    raise StopError(f"lmstudio-server (pid {target.pid}) goes on running after SIGTERM and a kill.")


def _ask(target: state.ServerState) -> bool:
    """Call ``system.requestShutdown`` with the key that only the state file has."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    from lmstudio_server.wire.auth import CONTROL_IDENTIFIER

    credentials = {
        "authVersion": 1,
        "clientIdentifier": CONTROL_IDENTIFIER,
        "clientPasskey": target.control_key,
    }
    call = {"type": "rpcCall", "endpoint": "requestShutdown", "callId": 1}
    url = f"ws://{target.address}/system"
    options = _directly()
    if target.tls:
        url = f"wss{target.address.removeprefix('https')}/system"
        options["ssl"] = unchecked()
    # Its parameters differ between releases, so they cannot be checked here.
    open_socket: Any = connect
    try:
        with open_socket(url, open_timeout=5, close_timeout=2, **options) as connection:
            connection.send(json.dumps(credentials))
            if json.loads(connection.recv(timeout=5)).get("success") is not True:
                return False
            connection.send(json.dumps(call))
            return bool(json.loads(connection.recv(timeout=5)).get("type") == "rpcResult")
    except (OSError, ValueError, WebSocketException):
        return False


def _directly() -> dict[str, Any]:
    """Options that keep a proxy of the environment out; releases before 15 know of none."""
    from websockets.version import version

    return {"proxy": None} if int(version.partition(".")[0]) >= 15 else {}


def _gone(target: state.ServerState, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _is_gone(target):
            return True
        time.sleep(_POLL_SECONDS)
    return _is_gone(target)


def _is_gone(target: state.ServerState) -> bool:
    status = fetch_status(target.host, target.port, tls=target.tls)
    if status is not None and status.get("instanceId") == target.instance_id:
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(target.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return True
    # Listening no more, but still unloading; or a zombie that only its parent can clear away.
    return _is_zombie(target.pid)


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _kill_signal() -> signal.Signals:
    return signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL
