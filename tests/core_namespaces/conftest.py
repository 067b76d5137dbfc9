"""A scripted server whose every packet, both ways, fits the protocol's schemas; both clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from apis import Api, opened
from packet_schemas import check, serialization

from lmstudio_core.protocol.frames import decode_value
from lmstudio_core.protocol.operations import VOID
from lmstudio_testing import FakeChannel, FakeServer


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


@pytest.fixture
def server() -> Iterator[CheckedServer]:
    with CheckedServer() as server:
        yield server
        server.check_requests()


@pytest.fixture(params=["sync", "async"])
def api(request: pytest.FixtureRequest, server: CheckedServer) -> Iterator[Api]:
    with opened(request.param, server.api_host) as api:
        yield api
