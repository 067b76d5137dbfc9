"""How much one server takes on of the network: connections, in all and of one peer."""

from __future__ import annotations

import asyncio
import errno
import logging
import sys
import time
from collections import Counter
from typing import Any, Final

__all__ = [
    "Connections",
    "limit_frames",
    "most_connections",
    "raise_descriptor_limit",
    "tell_exhaustion_once",
]

_log = logging.getLogger(__name__)

MOST: Final = 16_384
RESERVE: Final = 256
"""Descriptors that are left for models, files and the engine's sockets; and for the hundred connections
that an event loop may accept before it comes to close the first of them."""
LEAST: Final = 32
PEER_SHARE: Final = 0.75
"""One peer (all of this machine's programs are one) leaves some connections to the others."""
_WORDS_EVERY_SECONDS: Final = 60.0
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def most_connections() -> int:
    """How many connections this process can have: as many as it may open descriptors, less some."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(LEAST, min(MOST, soft - RESERVE))


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as it is allowed to: 1,024, a usual default, are few."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST + RESERVE if hard == resource.RLIM_INFINITY else min(hard, MOST + RESERVE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:  # macOS allows less than it says
            _log.debug("the limit of open files stays at %d: %s", soft, error)


def tell_exhaustion_once(loop: asyncio.AbstractEventLoop) -> None:
    """Say once a minute, in one line, that no connection can be accepted.

    The loop tries again each second, and before Python 3.13 it says so with a hundred tracebacks.
    """
    silent_until = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal silent_until
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
        elif loop.time() >= silent_until:
            silent_until = loop.time() + _WORDS_EVERY_SECONDS
            _log.error("the system gives this server no more connections: %s", error.strerror)

    loop.set_exception_handler(handle)


def limit_frames(protocol: Any, size: int) -> None:
    """How large the frames may be that a WebSocket takes from now on."""
    # The attribute's name differs between releases of the library, from 13 on.
    for name in ("max_size", "max_message_size"):
        if hasattr(protocol, name):
            setattr(protocol, name, size)


class Connections:
    """Counts the connections of one server, on all of its ports.

    Too many are closed as soon as they are accepted. Were they left to the system, the process would
    run out of descriptors, and its models and files with it.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most_connections() if most is None else most
        self._most_of_peer = max(1, int(self._most * PEER_SHARE))
        self._peers: Counter[str] = Counter()
        self._count = 0
        self._silent_until = 0.0

    def enter(self, peer: str) -> bool:
        """Count one more connection, unless there are too many of them."""
        if self._count >= self._most or self._peers[peer] >= self._most_of_peer:
            self._tell(peer)
            return False
        self._count += 1
        self._peers[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        """A counted connection has ended."""
        self._count -= 1
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]

    def _tell(self, peer: str) -> None:
        # One line a minute: who opens thousands of connections must not fill the log as well.
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + _WORDS_EVERY_SECONDS
            _log.warning(
                "refused a connection from %r: %d are open, %d of them from there (limits: %d and %d)",
                peer,
                self._count,
                self._peers[peer],
                self._most,
                self._most_of_peer,
            )
        if self._peers[peer] == 0:
            del self._peers[peer]
