"""``startHttpServer``: one more port, under rules of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wire_client import Refused, client, fake_server, load, run

from lmstudio_core.client import Client
from lmstudio_core.errors import LMStudioServerError
from lmstudio_server.serving import socket as socket_module
from lmstudio_server.testing import running_server
from ports import free_port

STRANGE = "https://page.example"


def page(port: int, origin: str | None = None) -> Any:
    return connect(f"ws://127.0.0.1:{port}/llm", origin=origin, proxy=None)


async def enter(port: int, origin: str | None = None) -> Any:
    async with page(port, origin) as found:
        await found.send(
            json.dumps({"authVersion": 1, "clientIdentifier": "a", "clientPasskey": "b"})
        )
        return json.loads(await found.recv())


def test_it_has_all_that_the_first_one_has() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "system") as system:
            port = free_port()
            await system.call("startHttpServer", port=server.port)  # that one is open
            assert await system.call("startHttpServer", port=port) is None
            assert await enter(port) == {"success": True}
            async with client(server, "llm") as llm:
                await load(llm)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /lms-status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b'"loadedModels": ["pocket"]' in await reader.read()
            writer.close()
            await writer.wait_closed()
            async with page(port) as left:
                assert await system.call("stopHttpServer") is None
                with pytest.raises(ConnectionClosed):
                    await left.recv()
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await enter(port)
            with pytest.raises(Refused, match="No HTTP server"):
                await system.call("stopHttpServer")
            assert (await system.call("version"))["build"] == 1

    run(test)


def test_who_may_connect() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "system") as system:
            port, other = free_port(), free_port()
            await system.call("startHttpServer", port=port)
            with pytest.raises(InvalidStatus):
                await enter(port, STRANGE)
            await system.call("startHttpServer", port=other, cors=True)
            assert await enter(other, STRANGE) == {"success": True}
            with pytest.raises(InvalidStatus):
                await enter(server.port, STRANGE)
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await enter(port)

    run(test)


def test_ports_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "system") as system:
            with pytest.raises(Refused, match="without a token"):
                await system.call("startHttpServer", port=free_port(), networkInterface="0.0.0.0")
        async with fake_server(insecure=True) as server, client(server, "system") as system:
            with socket.socket() as taken:
                taken.bind(("127.0.0.1", 0))
                taken.listen()
                with pytest.raises(Refused, match="could not be started"):
                    await system.call("startHttpServer", port=taken.getsockname()[1])
            with pytest.raises(Refused, match="could not be started"):
                await system.call("startHttpServer", port=free_port(), networkInterface="192.0.2.1")
        monkeypatch.setattr(socket_module, "is_loopback", lambda _host: False)
        async with fake_server() as server, client(server, "system") as system:
            for call in (system.call("startHttpServer", port=1), system.call("stopHttpServer")):
                with pytest.raises(Refused, match="may not"):
                    await call

    run(test)


def test_through_the_sdk() -> None:
    port = free_port()
    with running_server() as server, Client(server.host) as one:
        one.system.start_http_server(port=port)
        with Client(f"127.0.0.1:{port}") as two:
            assert two.system.info().pid == server.pid
            two.system.stop_http_server()  # the answer comes before the end
        with pytest.raises(LMStudioServerError, match="No HTTP server"):
            one.system.stop_http_server()
        one.system.start_http_server(port=port)
