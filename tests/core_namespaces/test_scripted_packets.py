"""What the scripted models of ``FakeServer`` send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import packet_schemas
import pytest

import lmstudio as lms
from lmstudio_testing import BrokenToolCall, FakeChannel, FakeServer, Reasoning, ToolCall


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def client(server: FakeServer) -> Iterator[lms.Client]:
    with lms.Client(server.api_host) as client:
        yield client


def test_packets_of_scripted_models_are_those_of_the_protocol(server, client):
    """What scripted models send satisfies LM Studio's schemas, where these are at hand."""
    server.llm("m", loaded=False).respond(
        Reasoning("Hm."), "Hi", ToolCall("add", {"a": 1}), BrokenToolCall()
    )
    server.embedding("e")
    sent: list[tuple[str, Any]] = []
    _record_packets(server, sent)
    model = client.llm.model("m")
    model.respond("x", tools=[add])
    client.llm.load_new_instance("m")
    assert {endpoint for endpoint, _ in sent} == {"llm.getOrLoad", "llm.predict", "llm.loadModel"}
    for endpoint, packet in sent:
        packet_schemas.check(endpoint, "toClientPacket", packet)
    client.embedding.model("e")
    for endpoint in ("llm.listLoaded", "embedding.listLoaded", "system.listDownloadedModels"):
        namespace, _, name = endpoint.partition(".")
        found = client.capability(namespace).remote_call(name)
        packet_schemas.check(endpoint, "returns", found)


def _record_packets(server: FakeServer, sent: list[tuple[str, Any]]) -> None:
    for endpoint in ("llm.getOrLoad", "llm.predict", "llm.loadModel"):
        script = server._models.endpoints[endpoint]

        async def recorded(channel: FakeChannel, script: Any = script) -> None:
            send = channel.send

            def keep(*packets: Any) -> None:
                sent.extend((channel.endpoint, packet) for packet in packets)
                send(*packets)

            channel.send = keep  # type: ignore[method-assign]
            result = script(channel)
            if result is not None:
                await result

        server.on_channel(endpoint, recorded)
