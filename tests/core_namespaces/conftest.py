"""A scripted server whose every packet, both ways, fits the protocol's schemas; both clients."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from packet_schemas import check, serialization

from lmstudio_core import AsyncClient, Client
from lmstudio_core.protocol.frames import decode_value
from lmstudio_core.protocol.operations import VOID
from lmstudio_core.testing import FakeChannel, FakeServer


class CheckedServer(FakeServer):
    """Checks what a test scripts at once, and what the client sent at the end."""

    def on(self, endpoint: str, reply: Any = VOID) -> None:
        if reply is VOID or isinstance(reply, (dict, list)):
            plain = decode_value(reply, serialization(*endpoint.split(".")))
            check(endpoint, "returns", [*map(list, plain.items())] if plain is not reply else reply)
        super().on(endpoint, reply)

    def on_channel(self, endpoint: str, script: Any = ()) -> None:
        if isinstance(script, (list, tuple)):
            for packet in script:
                check(endpoint, "toClientPacket", packet)
        super().on_channel(endpoint, script)

    def on_odd(self, endpoint: str, reply: Any) -> None:
        """A call answered with what the protocol does not allow, as a newer server may."""
        super().on(endpoint, reply)

    def on_odd_channel(self, endpoint: str, script: Any) -> None:
        """The same for a channel."""
        super().on_channel(endpoint, script)

    def check_requests(self) -> None:
        for request in self.requests:
            if isinstance(request, FakeChannel):
                check(request.endpoint, "creationParameter", request.parameter)
                for message in request.messages:
                    check(request.endpoint, "toServerPacket", message)
            else:
                namespace, _, name = request.endpoint.partition(".")
                wrapped = decode_value(request.parameter, serialization(namespace, name))
                check(request.endpoint, "parameter", wrapped)

    @property
    def parameters(self) -> list[Any]:
        """What the client asked for, in order."""
        return [request.parameter for request in self.requests]


class Api:
    """One of the two clients; calling this gives the result of a call of either.

    ``api(api.client.system.version())`` is the version, whichever client it is.
    """

    def __init__(self, client: Any, finish: Callable[[Any], Any]) -> None:
        self.client = client
        self.is_async = isinstance(client, AsyncClient)
        self._finish = finish

    def __call__(self, result: Any) -> Any:
        return self._finish(result) if inspect.isawaitable(result) else result


@pytest.fixture
def server() -> Iterator[CheckedServer]:
    with CheckedServer() as server:
        yield server
        server.check_requests()


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest, server: CheckedServer) -> Iterator[Api]:
    if request.param == "sync":
        with Client(server.api_host) as client:
            yield Api(client, lambda result: result)
        return
    loop = asyncio.new_event_loop()
    aio = AsyncClient(server.api_host)

    async def awaited(result: Any) -> Any:
        return await result

    try:
        yield Api(aio, lambda result: loop.run_until_complete(awaited(result)))
    finally:
        loop.run_until_complete(aio.aclose())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
