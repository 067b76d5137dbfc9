"""Where a server is, when nobody said.

In this order: the environment, the file that LM Studio writes since 2026, its five local ports,
and last whatever a plugin can find or start. Which place comes next and what counts as an answer
is decided here; looking is a function that the driver calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..drivers.dialing import dial
from ..errors import LMStudioConnectionError, LMStudioValueError
from ..lenient import as_mapping
from ..program.interpreter import why_no_python
from ..program.places import lmstudio_home
from ..protocol.address import Address, parse_api_host
from ..protocol.operations import Invoke, Op

__all__ = [
    "API_HOST_VARIABLE",
    "DEFAULT_PORTS",
    "answers_greeting",
    "find_local_server",
    "find_server",
    "lmstudio_home",
]

DEFAULT_PORTS: Final = (41343, 52993, 16141, 39414, 22931)
"""The local ports on which LM Studio listens for SDKs, in the order in which they are tried."""

API_HOST_VARIABLE: Final = "LMSTUDIO_API_HOST"
SERVER_FILE_VARIABLE: Final = "LMS_API_SERVER_INFO_PATH"

_PROBE_TIMEOUT: Final = 3.0
_LOOPBACK: Final = "127.0.0.1"
_OFF: Final = ("0", "false", "no", "off")


def get_json(address: Address, path: str, timeout: float = _PROBE_TIMEOUT) -> Any:
    """What ``address`` answers to ``GET path``: the parsed JSON of a 200, else ``None``."""
    import http.client  # takes a while, and most programs name their server

    connection = http.client.HTTPConnection(address.name, address.port, timeout=timeout)
    try:
        connection.sock = dial(address, timeout)
        connection.sock.settimeout(timeout)
        connection.request("GET", address.prefix + path, headers=dict(address.access.headers))
        response = connection.getresponse()
        body = response.read(65536)
        return json.loads(body) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def answers_greeting(address: Address) -> bool:
    """Whether an LM Studio server listens there."""
    return as_mapping(get_json(address, "/lmstudio-greeting")).get("lmstudio") is True


def _answers_status(address: Address) -> bool:
    return isinstance(as_mapping(get_json(address, "/lms-status")).get("package"), str)


def _port_in_file(path: Path) -> int | None:
    """The port that LM Studio's server file names; any problem with the file is no hint."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    port = as_mapping(content).get("port")
    return port if type(port) is int and 1 <= port <= 65535 else None


def find_local_server(
    environment: Mapping[str, str], home: Path, tried: list[str]
) -> Op[Address | None]:
    """Find a running LM Studio on this machine; start nothing.

    Args:
        environment: The environment variables.
        home: The user's home folder.
        tried: Gets every address that was tried, in order.
    """
    strict = environment.get(SERVER_FILE_VARIABLE)
    path = Path(strict) if strict else lmstudio_home(home) / ".internal" / "http-server.json"
    port = yield Invoke(partial(_port_in_file, path), blocking=True)
    candidates: list[tuple[int, Callable[[Address], bool]]] = []
    if port is not None:
        candidates.append((port, _answers_status))
    if strict is None:
        candidates += [(p, answers_greeting) for p in DEFAULT_PORTS if p != port]
    elif port is None:
        tried.append(f"the file {strict} (from {SERVER_FILE_VARIABLE}), which names no port")
    for candidate, check in candidates:
        address = Address(_LOOPBACK, candidate)
        tried.append(str(address))
        if (yield Invoke(partial(check, address), blocking=True)):
            return address
    return None


def find_server(
    environment: Mapping[str, str],
    home: Path,
    ask_plugins: Callable[[tuple[str, ...]], str | None],
) -> Op[Address]:
    """Find a server, or have a plugin start one.

    Raises:
        LMStudioConnectionError: There is none; the message lists what was tried and what to do.
    """
    named = environment.get(API_HOST_VARIABLE)
    if named:
        try:
            return parse_api_host(named)
        except LMStudioValueError as error:
            raise LMStudioValueError(f"{API_HOST_VARIABLE}: {error}") from error
    tried: list[str] = []
    found = yield from find_local_server(environment, home, tried)
    if found is not None:
        return found
    host = yield Invoke(partial(ask_plugins, tuple(tried)), blocking=True)
    if host is not None:
        return parse_api_host(host)
    raise _not_found(tried)


def _not_found(tried: list[str]) -> LMStudioConnectionError:
    from ..plugins.installed import (
        how_to_install,  # which reads metadata, and is for this message alone
    )

    turned_off = os.environ.get("LMSTUDIO_EMBEDDED", "").strip().lower() in _OFF
    own = f"Install the family's own server, which is started when needed: {how_to_install('lmstudio-server')}"
    if (reason := why_no_python()) is not None:
        own = f"Run `lmstudio-server start` on this machine before; here, {reason}."
    elif turned_off:
        own = "Unset LMSTUDIO_EMBEDDED, which keeps the family's own server from being started."
    return LMStudioConnectionError(
        "No LM Studio server was found. Tried: " + ", ".join(tried) + ".\nThree ways out:\n"
        "  1. Start LM Studio (and its local server, on the Developer page).\n"
        f"  2. Say where one is: the environment variable {API_HOST_VARIABLE}, --host of a command, "
        "Client('host:port') or configure_default_client('host:port') in Python.\n"
        f"  3. {own}",
        tried=tried,
    )
