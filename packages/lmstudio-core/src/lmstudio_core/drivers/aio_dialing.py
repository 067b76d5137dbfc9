"""Getting a transport to a server in an event loop: through a proxy, to the first address."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any, cast

from ..errors import LMStudioError
from ..protocol.access import Proxy
from ..protocol.address import Address
from ..protocol.refusals import proxy_failed, tls_failed
from .dialing import (
    STAGGER,
    Tunnel,
    check_proxy,
    interleaved,
    server_name,
    socks_arguments,
    tls_context,
    unreachable,
    why,
)
from .loops import end_tasks

__all__ = ["dial", "race", "resolve"]


async def dial(
    loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, address: Address
) -> None:
    """Connect ``protocol`` to a server; its ``connection_made`` is called once.

    Raises:
        LMStudioConnectionError: Nothing answers there, or not in TLS, or the proxy refuses.
    """
    tls = tls_context(address) if address.secure else None
    proxy = address.access.proxy
    try:
        if proxy is None:
            await _direct(loop, protocol, address, tls)
            return
        check_proxy(address, proxy)
        if proxy.scheme == "http":
            await _through_http(loop, protocol, address, proxy, tls)
        else:
            await _through_socks(loop, protocol, address, proxy, tls)
    except ssl.SSLError as error:
        raise tls_failed(address, error) from error
    except LMStudioError:
        raise
    except ConnectionAbortedError as error:  # what asyncio says of a TLS handshake that got nowhere
        raise (tls_failed if tls else unreachable)(address, error) from error
    except OSError as error:
        if tls and isinstance(error, ConnectionResetError):
            raise tls_failed(address, error) from error
        raise unreachable(address, error) from error


async def _direct(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.Protocol,
    address: Address,
    tls: ssl.SSLContext | None,
) -> None:
    sock = await race(loop, address.host, address.port)
    # A socket has no name of its own that a certificate could be compared with.
    await _adopt(loop, protocol, sock, tls, server_name(address) if tls else None)


async def _adopt(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.Protocol,
    sock: socket.socket,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
) -> asyncio.Transport:
    """Make a transport of a connected socket; the loop closes it, also if this fails."""
    transport: asyncio.Transport | None = None
    try:
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=sock, ssl=tls, server_hostname=name
        )
        return transport
    finally:
        # uvloop has closed the descriptor then, and the socket, which knows nothing of that, would
        # close it once more: by that time another file may have its number.
        if not isinstance(loop, asyncio.BaseEventLoop) and (
            transport is None or transport.is_closing()
        ):
            sock.detach()


async def resolve(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Sequence[Any]:
    """The addresses of ``host``, as ``socket.getaddrinfo`` gives them; numbers take no thread."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def race(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """A socket that is connected to the first address of ``host`` that answers.

    asyncio's own way leaves tasks and sockets behind when it is cancelled (before Python 3.12), and
    uvloop has none.
    """
    waiting = list(interleaved(await resolve(loop, host, port)))
    if len(waiting) == 1:
        return await _connect(loop, waiting[0])
    tasks: set[asyncio.Task[socket.socket]] = set()
    won: socket.socket | None = None
    first: BaseException | None = None
    try:
        try:
            while won is None and (waiting or tasks):
                if waiting:
                    tasks.add(loop.create_task(_connect(loop, waiting.pop(0))))
                done, _ = await asyncio.wait(
                    tasks,
                    timeout=STAGGER if waiting else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done:
                    if (error := task.exception()) is not None:
                        tasks.discard(task)
                        first = first or error
                    elif won is None:
                        tasks.discard(task)
                        won = task.result()
        finally:
            await _give_up(tasks)
    except BaseException:
        if won is not None:
            won.close()
        raise
    if won is None:
        raise first or OSError(f"{host} has no address")
    return won


async def _give_up(tasks: set[asyncio.Task[socket.socket]]) -> None:
    try:
        await end_tasks(tasks)
    finally:
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result().close()  # it lost by a hair


async def _connect(loop: asyncio.AbstractEventLoop, info: Any) -> socket.socket:
    family, kind, protocol, _, target = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _through_http(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.Protocol,
    address: Address,
    proxy: Proxy,
    tls: ssl.SSLContext | None,
) -> None:
    talk = _TunnelProtocol(loop, Tunnel(address, proxy))
    try:
        transport = await _adopt(loop, talk, await race(loop, proxy.host, proxy.port))
    except OSError as error:
        raise proxy_failed(address, proxy, why(error)) from error
    try:
        try:
            await talk.opened
        except OSError as error:
            if isinstance(error, LMStudioError):
                raise
            raise proxy_failed(address, proxy, why(error)) from error
        if tls is None:
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            return
        secured = await loop.start_tls(
            transport, protocol, tls, server_hostname=server_name(address)
        )
        if secured is None:
            raise ConnectionAbortedError("the connection was closed")
        protocol.connection_made(secured)
    except BaseException:
        transport.abort()
        raise


async def _through_socks(
    loop: asyncio.AbstractEventLoop,
    protocol: asyncio.Protocol,
    address: Address,
    proxy: Proxy,
    tls: ssl.SSLContext | None,
) -> None:
    from python_socks.async_.asyncio import Proxy as SocksProxy

    try:
        way = SocksProxy(**socks_arguments(proxy))
        sock: Any = await way.connect(address.name, address.port)
    except Exception as error:
        raise proxy_failed(address, proxy, why(error)) from error
    await _adopt(loop, protocol, sock, tls, server_name(address) if tls else None)


class _TunnelProtocol(asyncio.Protocol):
    """Speaks with a proxy until the way to the server is open."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self.opened: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of ``asyncio.Protocol``."""
        cast("asyncio.WriteTransport", transport).write(self._tunnel.request)

    def data_received(self, data: bytes) -> None:
        """Part of ``asyncio.Protocol``."""
        if self.opened.done():
            return
        try:
            if self._tunnel.receive(data):
                self.opened.set_result(None)
        except LMStudioError as error:
            self.opened.set_exception(error)

    def eof_received(self) -> None:
        """Part of ``asyncio.Protocol``."""
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of ``asyncio.Protocol``."""
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("it closed the connection"))
