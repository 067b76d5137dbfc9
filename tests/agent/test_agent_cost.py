"""What a fragment, a call and a round cost, as calls of functions: the same on any machine.

The ceilings are what was measured when they were recorded. Whoever raises one says why.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.server import ServerProtocol

from counting import calls_of
from lmstudio_core.client import Client
from lmstudio_core.drivers.aio_stream import AsyncChannelStream
from lmstudio_core.drivers.sync_stream import SyncChannelStream
from lmstudio_core.drivers.wire import Wire
from lmstudio_core.protocol.address import Address
from lmstudio_core.protocol.auth import credentials
from lmstudio_core.protocol.conversations import ChannelState
from lmstudio_llm import LLM
from lmstudio_llm.chat import Chat
from lmstudio_llm.operations import respond
from lmstudio_llm.streams import AsyncPredictionStream, PredictionStream
from lmstudio_testing import FakeServer

FAMILY = ("lmstudio_core", "lmstudio_llm", "lmstudio_agent")
MANY = 500
RECEIVED = 3
"""Framing, filing, decoding."""
READ = {"sync": 7, "async": 8}
"""Two iterations, then: the fold, the fragment (twice), the splitter (twice)."""
CALL = 77
ROUND = 250

FRAGMENT = {
    "type": "fragment",
    "fragment": {
        "content": " word",
        "tokensCount": 1,
        "containsDrafted": False,
        "reasoningType": "none",
        "isStructural": False,
    },
}
SUCCESS = {"type": "success", "stats": {"stopReason": "eosFound"}, "modelInfo": {}}


def test_a_fragment_that_is_received() -> None:
    wire = Wire(Address("h", 1), "llm", credentials(None, {}))
    server = ServerProtocol()
    server.receive_data(wire.outgoing())
    [request] = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]
    server.send_text(b'{"success":true}')
    wire.receive(b"".join(server.data_to_send()))
    channel = respond("m", "Hi").channel
    state, _ = wire.mux.open_channel(channel.endpoint, {})
    frame = {"type": "channelSend", "channelId": state.id, "message": FRAGMENT}
    for _ in range(MANY):
        server.send_text(json.dumps(frame).encode())
    data = b"".join(server.data_to_send())
    assert calls_of(lambda: wire.receive(data), *FAMILY) <= MANY * RECEIVED + 100
    assert len(state.inbox) == MANY


class Filled:
    """A driver and its connection on which all of a prediction has come already."""

    address = Address("h", 1)

    def connection(self, _namespace: str) -> Filled:
        return self

    async def reach(self, _endpoint: Any, _limits: Any) -> Filled:
        return self

    async def drain(self, _limits: Any) -> None:
        pass

    def open_channel(self, endpoint: Any, _parameter: Any) -> ChannelState:
        state = ChannelState(1, endpoint)
        state.inbox.extend([*[FRAGMENT] * MANY, SUCCESS])
        state.closed = True
        return state

    def observe(self, *_: Any) -> None:
        pass


class Runner:
    """What opens a stream for a facade."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def open(self, channel: Any) -> Any:
        return self.kind(Filled(), channel)


def test_a_fragment_that_is_read() -> None:
    client: Any = Runner(SyncChannelStream)
    list(PredictionStream[Any](client, respond("m", "Hi")))  # imports what is used first
    stream = PredictionStream[Any](client, respond("m", "Hi"))
    seen: list[Any] = []
    used = calls_of(lambda: seen.extend(stream), *FAMILY)
    assert len(seen) == MANY
    assert used <= MANY * READ["sync"] + 100


def test_a_fragment_that_is_read_in_a_loop() -> None:
    client: Any = Runner(AsyncChannelStream)
    seen: list[Any] = []

    async def main() -> None:
        stream = AsyncPredictionStream[Any](client, respond("m", "Hi"))
        seen.extend([fragment async for fragment in stream])

    asyncio.run(main())
    seen.clear()
    used = calls_of(lambda: asyncio.run(main()), *FAMILY)
    assert len(seen) == MANY
    assert used <= MANY * READ["async"] + 150


@pytest.fixture
def model() -> Iterator[LLM]:
    with FakeServer() as server:
        server.on("llm.countTokens", {"tokenCount": 3})
        server.on_channel("llm.predict", predict)
        with Client(server.api_host) as client:
            yield LLM("m", client)


def predict(channel: Any) -> None:
    """As many rounds as the first message says."""
    messages = channel.parameter["history"]["messages"]
    rounds = int(messages[0]["content"][0]["text"])
    done = sum(message["role"] == "tool" for message in messages)
    channel.send(FRAGMENT)
    if done + 1 < rounds:
        call = {
            "type": "function",
            "id": str(done),
            "name": "add",
            "arguments": {"a": done, "b": 1},
        }
        channel.send({"type": "toolCallGenerationStart", "toolCallId": str(done)})
        channel.send({"type": "toolCallGenerationEnd", "toolCallRequest": call})
    channel.send(SUCCESS)
    channel.close()


def test_a_call(model: LLM) -> None:
    model.count_tokens("some text")
    # The least of several, since an answer may come in two pieces, or late.
    assert (
        min(calls_of(lambda: model.count_tokens("some text"), *FAMILY) for _ in range(20)) <= CALL
    )


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("heard", [False, True], ids=["quiet", "on_message"])
def test_a_round_costs_what_the_first_did(model: LLM, heard: bool) -> None:
    # Of the drivers' functions those that wait are called as often as something comes.
    parts = ("lmstudio_llm", "lmstudio_agent")

    def act(rounds: int) -> int:
        messages: list[Any] = []
        told = {"on_message": messages.append} if heard else {}
        return calls_of(lambda: model.act(str(rounds), [add], **told), *parts)

    act(2)
    few, some, more = act(5), act(25), act(45)
    early, late = (some - few) / 20, (more - some) / 20
    assert early <= ROUND
    assert late <= early * 1.05


def test_copies_and_writing_grow_with_the_chat() -> None:
    def used(messages: int) -> int:
        chat = Chat("Be brief.")
        for number in range(messages // 2):
            chat.add_user_message(str(number))
            chat.add_assistant_response("Yes.")
        return calls_of(lambda: (chat.copy(), chat.to_dict()), *FAMILY)

    assert used(2000) <= used(200) * 10.5
