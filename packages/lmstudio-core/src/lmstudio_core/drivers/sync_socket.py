"""A connected socket for the blocking driver: reading and writing never wait, waiting is apart.

That keeps signals harmless: they interrupt the waiting, when no bytes are on their way.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from ..protocol.address import Address
from .dialing import dial

__all__ = ["LONGEST_WAIT", "StreamSocket", "connect", "unsent"]

_CHUNK: Final = 65536
LONGEST_WAIT: Final = 1_000_000.0
"""Seconds; every system can wait that long at once. Callers that want more wait again."""


_SO_NWRITE: Final = 0x1024


def unsent(sock: Any) -> int:
    """Bytes given to a socket that the peer's system has not confirmed; 0 if nobody can tell."""
    try:
        if sys.platform == "linux":
            import fcntl  # these two take a while, and are needed only after a long silence
            import termios

            waiting = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(waiting, sys.byteorder)
        if sys.platform == "darwin":
            return int(sock.getsockopt(socket.SOL_SOCKET, _SO_NWRITE))
    except (AttributeError, OSError, ValueError):  # a transport without a socket, or a closed one
        pass
    return 0


class StreamSocket:
    """A TCP or TLS connection. After ``close`` every method raises ``OSError`` or has no effect."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        # OpenSSL allows one thread at a time in a connection, for reading and writing together.
        self._turn = threading.Lock() if isinstance(sock, ssl.SSLSocket) else None
        self._buffered: Callable[[], int] = getattr(sock, "pending", int)  # TLS keeps some itself
        self._poll: Callable[[Any], Any] | None = None
        if hasattr(select, "poll"):
            reading = select.poll()
            reading.register(sock.fileno(), select.POLLIN)
            self._poll = reading.poll

    def receive(self) -> bytes | None:
        """What has arrived; ``None`` for nothing yet, ``b""`` at the end."""
        try:
            if self._turn is None:
                return self._socket.recv(_CHUNK)
            with self._turn:
                return self._socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def send(self, data: bytes | memoryview) -> int:
        """Send as much as fits now and return how much that was."""
        try:
            if self._turn is None:
                return self._socket.send(data)
            with self._turn:
                return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def unsent(self) -> int:
        """Bytes that the peer's system has not confirmed; 0 where this system does not tell."""
        return unsent(self._socket)

    def readable(self, timeout: float | None) -> bool:
        """Whether there is something to receive within ``timeout`` seconds; the end counts too."""
        if self._buffered():
            return True
        if self._poll is None:
            return self.wait(timeout, reading=True, writing=False)[0]
        try:
            return bool(self._poll(None if timeout is None else min(timeout, LONGEST_WAIT) * 1000))
        except RuntimeError:  # the code below a signal handler is in it, in this very thread
            return self.wait(timeout, reading=True, writing=False)[0]

    def wait(self, timeout: float | None, *, reading: bool, writing: bool) -> tuple[bool, bool]:
        """Wait for either; whether there is something to receive, and whether something fits."""
        if timeout is not None:
            timeout = min(timeout, LONGEST_WAIT)
        if self._socket.fileno() < 0:
            raise ConnectionError("the socket is closed")
        if not hasattr(select, "poll"):
            mine = [self._socket]
            found = select.select(mine if reading else [], mine if writing else [], [], timeout)
            return bool(found[0]), bool(found[1])
        poll = select.poll()
        poll.register(self._socket, reading * select.POLLIN | writing * select.POLLOUT)
        events = 0
        for _, event in poll.poll(None if timeout is None else timeout * 1000):
            events |= event
        trouble = events & ~(select.POLLIN | select.POLLOUT)  # receiving or sending will tell
        return bool(events & select.POLLIN) or bool(trouble and reading), bool(
            events & select.POLLOUT or trouble
        )

    def shutdown(self) -> None:
        """End the connection; whoever waits in another thread wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back to the system."""
        self._socket.close()


def connect(address: Address, timeout: float | None) -> StreamSocket:
    """Connect to a server.

    Raises:
        LMStudioConnectionError: Nothing answers there.
    """
    return StreamSocket(dial(address, None if timeout is None else min(timeout, LONGEST_WAIT)))
