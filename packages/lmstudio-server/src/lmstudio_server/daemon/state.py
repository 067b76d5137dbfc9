"""State files: what a running server writes down so that others find it.

A file proves nothing by itself (its server may have been killed, its port taken over by another
program): ``running`` asks the server, and the instance id tells one from another.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from lmstudio_server.owned import is_running, read_own

from .paths import state_dir
from .probe import fetch_status, is_listening

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "EMBEDDED",
    "Running",
    "ServerState",
    "all_running",
    "names",
    "read",
    "remove",
    "running",
    "silent",
    "write",
]

EMBEDDED = "embedded"
"""The name of the on-demand server's state file."""


@dataclass(frozen=True)
class ServerState:
    """One server, as its state file tells."""

    kind: Literal["embedded", "standalone"]
    pid: int
    host: str
    port: int
    instance_id: str
    version: str
    started_at: float
    requires_token: bool = False
    log: str | None = None
    shutdown_grace: float = 0.0
    """Seconds that its end may take longer while it predicts."""
    control_key: str = field(default="", repr=False)
    api_token: str = field(default="", repr=False)
    """With which the server that was started on demand lets its user in, and nobody else."""
    process_start: str = ""
    tls: bool = False

    @property
    def name(self) -> str:
        """The name of its state file."""
        return EMBEDDED if self.kind == "embedded" else f"server-{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote the file still runs."""
        return is_running(self.pid, self.process_start)

    @property
    def address(self) -> str:
        """``"host:port"``, as clients take it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}" if self.tls else f"{host}:{self.port}"


@dataclass(frozen=True)
class Running:
    """A server that answered: what its file says, and what it says itself."""

    state: ServerState
    status: Mapping[str, Any]


def write(state: ServerState) -> Path:
    """Write a state file in one step: nobody ever reads half of it."""
    directory = state_dir()
    path = directory / f"{state.name}.json"
    temporary = directory / f".{state.name}.{secrets.token_hex(6)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(state), file)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return path


def read(name: str) -> ServerState | None:
    """Read a state file; ``None`` if there is none or it makes no sense."""
    path = state_dir() / f"{name}.json"
    try:
        data: Any = json.loads(read_own(path))
        state = ServerState(**cast("dict[str, Any]", data))
    except (OSError, ValueError, TypeError):
        return None
    texts = (state.host, state.instance_id, state.version, state.control_key)
    more = (state.api_token, state.process_start)
    numbers = (state.pid, state.port)
    if not all(isinstance(text, str) for text in cast("tuple[object, ...]", (*texts, *more))):
        return None
    return state if all(isinstance(n, int) for n in cast("tuple[object, ...]", numbers)) else None


def remove(state: ServerState) -> None:
    """Remove a server's state file, unless another server has taken its place."""
    current = read(state.name)
    if current is not None and current.instance_id == state.instance_id:
        with suppress(OSError):
            (state_dir() / f"{state.name}.json").unlink()


def running(name: str, *, claim: bool = False) -> Running | None:
    """The server of a state file, if it answers and is the one that wrote the file.

    ``claim`` tells it that a client is about to connect, so that it does not end just then.
    """
    state = read(name)
    if state is None:
        return None
    if state.api_token and not state.is_alive:
        return None  # whoever has its port now is not to get its token
    status = fetch_status(state.host, state.port, claim=claim, token=state.api_token, tls=state.tls)
    if status is None or status.get("instanceId") != state.instance_id:
        return None
    return Running(state, status)


def all_running() -> list[Running]:
    """Every server of this user that answers: those started by hand first, by port."""
    found = (running(name) for name in names())
    return [server for server in found if server is not None]


def silent(answering: Iterable[Running]) -> list[ServerState]:
    """The servers of this user that are there and do not answer: they are stuck, or very busy."""
    known = {server.state.instance_id for server in answering}
    found = (read(name) for name in names())
    return [
        state
        for state in found
        if state is not None
        and state.instance_id not in known
        and state.is_alive
        and is_listening(state.host, state.port)
    ]


def names() -> list[str]:
    """The names of all state files: servers started by hand first, by port."""
    names = (path.stem for path in state_dir().glob("server-*.json"))
    return [*sorted(names, key=lambda name: (len(name), name)), EMBEDDED]
