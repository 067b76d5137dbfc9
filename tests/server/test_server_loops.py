"""The server in event loops other than asyncio's own, as programs that hold it in-process have them."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import FakeLibrary, fake_file
from wire_client import PATIENCE, fake_server

from lmstudio_core.client import AsyncClient

try:
    import uvloop
except ImportError:
    uvloop = None

if TYPE_CHECKING:
    from collections.abc import Callable


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
if uvloop is not None:
    LOOPS["uvloop"] = uvloop.new_event_loop
if sys.version_info >= (3, 12):
    LOOPS["eager"] = eager_loop


async def get(host: str, path: str) -> Any:
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("kind", LOOPS)
def test_sockets_and_http_in_every_kind_of_loop(kind: str) -> None:
    failures: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        async with fake_server(library=FakeLibrary(fake_file("pocket"))) as server:
            async with AsyncClient(server.host) as client:
                model = await client.llm.model("pocket")
                assert (await model.respond("Hi")).content
                assert await model.count_tokens("some words") > 0
            assert "pocket" in json.dumps(await get(server.host, "/v1/models"))
            # The first line in two pieces, and one that never comes to its end.
            name, _, port = server.host.rpartition(":")
            reader, writer = await asyncio.open_connection(name, int(port))
            writer.write(b"GET /lmstudio-")
            await writer.drain()
            await get(server.host, "/lms-status")
            writer.write(b"greeting HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert b"200" in await reader.readline()
            writer.close()
            _, unfinished = await asyncio.open_connection(name, int(port))
            unfinished.write(b"GET /")
            await unfinished.drain()
        unfinished.close()

    loop = LOOPS[kind]()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert not failures
