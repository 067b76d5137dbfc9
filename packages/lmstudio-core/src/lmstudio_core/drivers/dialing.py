"""Getting a socket to a server: through a proxy, to whichever of its addresses answers first.

What both drivers share is here, and the blocking way; ``aio_dialing`` is the other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import selectors
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Final, cast

from ..errors import LMStudioConnectionError, LMStudioValueError
from ..protocol.access import Proxy
from ..protocol.address import Address
from ..protocol.refusals import proxy_failed, proxy_refused, tls_failed
from ..protocol.replies import NotHttpError, read_reply

__all__ = [
    "STAGGER",
    "Tunnel",
    "check_proxy",
    "dial",
    "interleaved",
    "server_name",
    "socks_arguments",
    "tls_context",
    "unreachable",
    "why",
]

STAGGER: Final = 0.25
"""Seconds after which the next address of a host is tried beside the one before (RFC 8305)."""


def unreachable(address: Address, error: BaseException) -> LMStudioConnectionError:
    """The exception for a server that could not be connected to."""
    return LMStudioConnectionError(
        f"No server answers at {address}: {why(error)}. Is LM Studio running, with its server on?",
        tried=(str(address),),
    )


def why(error: BaseException) -> str:
    """What is wrong, in the words of the system."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    number = getattr(error, "errno", None)
    # asyncio's words hold the address, which is said already, or several of them
    if number and number > 0 and "Connect call failed" in reason:
        return os.strerror(number)
    if reason.startswith("Multiple exceptions"):
        return "none of its addresses answers"
    return reason


def tls_context(address: Address) -> ssl.SSLContext:
    """How to encrypt: as the client says, or as is usual on this machine."""
    return address.access.tls or ssl.create_default_context()


def server_name(address: Address) -> str:
    """The name that a certificate must hold."""
    return address.name


def check_proxy(address: Address, proxy: Proxy) -> None:
    """Raise what is wrong with a proxy of a kind that cannot be used here."""
    if proxy.scheme == "https":
        raise LMStudioValueError(
            f"The proxy {proxy} wants to be spoken to in TLS itself, which is not supported. Most "
            "proxies have an http:// port for the same; the way to an https:// server is encrypted "
            "within it all the same."
        )
    if proxy.scheme.startswith("socks") and find_spec("python_socks") is None:
        raise proxy_failed(
            address, proxy, "SOCKS needs a package: pip install 'lmstudio-core[socks]'"
        )


class Tunnel:
    """The conversation with an HTTP proxy that is to open a way to a server; no I/O."""

    def __init__(self, address: Address, proxy: Proxy) -> None:
        self._address = address
        self._proxy = proxy
        self._data = b""

    @property
    def request(self) -> bytes:
        """What to send the proxy."""
        host = f"[{self._address.name}]" if ":" in self._address.name else self._address.name
        target = f"{host.encode('idna').decode('ascii')}:{self._address.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if (authorization := self._proxy.authorization) is not None:
            lines.append(f"Proxy-Authorization: {authorization}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def receive(self, data: bytes) -> bool:
        """Take bytes of the proxy's; whether the way is open. ``b""`` is the end."""
        self._data += data
        try:
            reply = read_reply(self._data, ended=not data, bodiless=True)
        except NotHttpError as error:
            raise proxy_failed(self._address, self._proxy, str(error)) from error
        if reply is None:
            return False
        if not 200 <= reply.status < 300:
            raise proxy_refused(self._address, self._proxy, reply)
        return True


# -- the blocking way ------------------------------------------------------------------------------


def dial(address: Address, timeout: float | None) -> socket.socket:
    """A connected socket, encrypted if the address is.

    Raises:
        LMStudioConnectionError: Nothing answers there, or not in TLS, or the proxy refuses.
    """
    ends = None if timeout is None else time.monotonic() + timeout
    sock = _reach(address, ends)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.secure:
            sock.settimeout(_left(ends))
            try:
                return tls_context(address).wrap_socket(sock, server_hostname=server_name(address))
            except OSError as error:
                raise tls_failed(address, error) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _reach(address: Address, ends: float | None) -> socket.socket:
    proxy = address.access.proxy
    if proxy is None:
        try:
            return _race(address.host, address.port, ends)
        except OSError as error:
            raise unreachable(address, error) from error
    check_proxy(address, proxy)
    try:
        if proxy.scheme != "http":
            return _through_socks(address, proxy, _left(ends))
        sock = _race(proxy.host, proxy.port, ends)
    except OSError as error:
        raise proxy_failed(address, proxy, why(error)) from error
    try:
        _open_tunnel(sock, Tunnel(address, proxy), ends)
    except LMStudioConnectionError:
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise proxy_failed(address, proxy, why(error)) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _open_tunnel(sock: socket.socket, tunnel: Tunnel, ends: float | None) -> None:
    sock.settimeout(_left(ends))
    sock.sendall(tunnel.request)
    while True:
        sock.settimeout(_left(ends))
        if tunnel.receive(sock.recv(4096)):
            return


def _through_socks(address: Address, proxy: Proxy, timeout: float | None) -> socket.socket:
    from python_socks.sync import Proxy as SocksProxy

    try:
        way = SocksProxy(**socks_arguments(proxy))
        return way.connect(address.name, address.port, timeout=timeout)
    except Exception as error:
        if isinstance(error, OSError):
            raise
        raise proxy_failed(address, proxy, why(error)) from error


def socks_arguments(proxy: Proxy) -> dict[str, Any]:
    """What python-socks wants to know of a proxy."""
    from python_socks import ProxyType

    return {
        "proxy_type": ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5,
        "host": proxy.host,
        "port": proxy.port,
        "username": proxy.user or None,
        "password": proxy.password or None,
        "rdns": proxy.scheme in ("socks5h", "socks4a"),
    }


def _left(ends: float | None) -> float | None:
    if ends is None:
        return None
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


# -- several addresses of one host -----------------------------------------------------------------

_Info = tuple[Any, Any, int, str, Any]


def _race(host: str, port: int, ends: float | None) -> socket.socket:
    """Connect to the first address of ``host`` that answers.

    The next one is tried when one fails, and beside one that is silent for a while: a host with an
    IPv6 address that leads nowhere is as quick as any other.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if len(found) == 1:
        return _connect_one(found[0], ends)
    waiting = list(interleaved(found))
    first: OSError | None = None
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as losers:
        while True:
            if waiting:
                try:
                    sock = _begin(waiting.pop(0))
                except OSError as error:
                    first = first or error
                    continue
                losers.callback(sock.close)
                selector.register(sock, selectors.EVENT_WRITE, sock)
            if not selector.get_map():
                raise first or OSError(f"{host} has no address")
            left = _left(ends)
            pause = STAGGER if waiting else left
            for key, _ in selector.select(pause if left is None else min(pause or left, left)):
                selector.unregister(key.fileobj)
                sock = cast("socket.socket", key.data)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not number:
                    return _won(sock)
                first = first or OSError(number, os.strerror(number))
                sock.close()


def _won(sock: socket.socket) -> socket.socket:
    """The socket under a new object: that of the race is closed with the losers."""
    won = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    won.settimeout(None)
    return won


def _connect_one(info: _Info, ends: float | None) -> socket.socket:
    family, kind, protocol, _, target = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(_left(ends))
        sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


def _begin(info: _Info) -> socket.socket:
    """A socket that is connecting."""
    family, kind, protocol, _, target = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(target)
    except BaseException:
        sock.close()
        raise
    return sock


def interleaved(found: Sequence[Any]) -> Iterator[Any]:
    """Addresses of the two families in turn, beginning with the one that the system prefers."""
    first = [info for info in found if info[0] == found[0][0]]
    other = [info for info in found if info[0] != found[0][0]]
    for pair in itertools.zip_longest(first, other):
        yield from (info for info in pair if info is not None)
