"""Peers that a client meets on real networks: scripted HTTP, proxies, certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from typing_extensions import Self


class Peer:
    """Serves each connection in a thread with ``handle``; everything is closed at the end."""

    def __init__(self, handle: Callable[[socket.socket], Any]) -> None:
        self._handle = handle
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.failures: list[BaseException] = []
        self._accepting = threading.Thread(target=self._accept)

    def keep(self, sock: socket.socket) -> socket.socket:
        """Close it at the end, too."""
        self._sockets.append(sock)
        return sock

    def spawn(self, function: Callable[..., Any], *args: Any) -> None:
        thread = threading.Thread(target=self._run, args=(function, *args))
        self._threads.append(thread)
        thread.start()

    def _run(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except OSError:
            pass  # the other side is gone
        except BaseException as error:
            self.failures.append(error)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.spawn(self._handle, self.keep(sock))

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(20)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
        for sock in self._sockets:
            sock.close()
        if exc is None:
            assert not self.failures


def read_head(sock: socket.socket) -> bytes:
    """A request up to its empty line."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    return data


def answering(reply: bytes, *, hold: bool = False) -> Peer:
    """A server that says this to every request, and closes unless it is to ``hold``."""

    def handle(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(reply)
        if hold:
            sock.recv(1)
        else:
            sock.shutdown(socket.SHUT_WR)

    return Peer(handle)


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class ConnectProxy(Peer):
    """An HTTP proxy that opens ways; ``names`` says where a name leads."""

    def __init__(self, names: dict[str, str] | None = None, authorization: str = "") -> None:
        super().__init__(self._serve)
        self.names = names or {}
        self.authorization = authorization
        self.requests: list[str] = []

    def _serve(self, sock: socket.socket) -> None:
        head = read_head(sock).decode()
        self.requests.append(head)
        if self.authorization and f"Proxy-Authorization: {self.authorization}\r\n" not in head:
            sock.sendall(http("407 Proxy Authentication Required", b"who are you?"))
            sock.shutdown(socket.SHUT_WR)
            return
        target = head.split()[1]
        host, _, port = self.names.get(target, target).rpartition(":")
        upstream = self.keep(socket.create_connection((host.strip("[]"), int(port)), 10))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        self.spawn(_pump, sock, upstream)
        _pump(upstream, sock)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext, reply: bytes) -> Iterator[Peer]:
    """A TLS server that answers every request with this."""

    def handle(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as secured:
            read_head(secured)
            secured.sendall(reply)
            secured.recv(1)

    with Peer(handle) as peer:
        yield peer
