"""The fast path of what the server says: frames made here, writes joined."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from lmstudio_server.engines.base import Embedding
from lmstudio_server.serving.outgoing import JoinedWrites, plain_frame
from lmstudio_server.wire.frames import dump


class Transport:
    """Notes what is done to it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def get_write_buffer_size(self) -> int:
        return 5

    def is_closing(self) -> bool:
        return False


def connection(**changes: Any) -> Any:
    protocol = SimpleNamespace(
        state=changes.pop("state", State.OPEN), writes=changes.pop("writes", [])
    )
    return SimpleNamespace(protocol=protocol, paused=changes.pop("paused", False))


def read(data: bytes) -> list[Any]:
    client = ClientProtocol(parse_uri("ws://h/"), max_size=None)
    client.state = State.OPEN
    client.parser = client.parse()  # past the handshake
    next(client.parser)
    client.receive_data(data)
    return client.events_received()


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 62, "x" * 125, "x" * 126, "é" * 32767, "x" * 65535]
)
def test_a_frame_is_what_websockets_reads(text: str) -> None:
    data = plain_frame(connection(), text)
    assert data is not None
    [frame] = read(data)
    assert (frame.opcode, frame.fin, bytes(frame.data).decode()) == (Opcode.TEXT, True, text)


@pytest.mark.parametrize(
    "given",
    [{"state": State.CLOSING}, {"state": State.CLOSED}, {"writes": [b"pong"]}, {"paused": True}],
)
def test_what_websockets_has_to_see_to(given: Any) -> None:
    assert plain_frame(connection(**given), "x") is None
    assert plain_frame(connection(), "é" * 32768) is None


def test_one_turn_is_one_write() -> None:
    async def main() -> None:
        transport = Transport()
        joined = JoinedWrites(transport)  # type: ignore[arg-type]
        joined.write(b"a")
        joined.write(b"b")
        assert transport.done == []
        assert joined.get_write_buffer_size() == 7
        await asyncio.sleep(0)
        assert transport.done == [b"ab"]
        await asyncio.sleep(0)
        joined.write(b"c")
        await asyncio.sleep(0)
        assert transport.done == [b"ab", b"c"]
        assert not joined.is_closing()  # all else is the transport's

    asyncio.run(main())


def test_much_is_written_at_once_and_nothing_is_lost_at_the_end() -> None:
    async def main() -> None:
        for end in ("close", "write_eof", "abort"):
            transport = Transport()
            joined = JoinedWrites(transport)  # type: ignore[arg-type]
            joined.write(b"x" * 65536)
            assert transport.done == []
            joined.write(b"y")  # a client that does not read is to be noticed in this turn
            assert transport.done == [b"x" * 65536 + b"y"]
            joined.write(b"z")
            getattr(joined, end)()
            await asyncio.sleep(0)
            rest = ["abort"] if end == "abort" else [b"z", end.removeprefix("write_")]
            assert transport.done[1:] == rest

    asyncio.run(main())


def test_packets_are_written_as_before() -> None:
    assert dump({"a": "é\ud83d", "b": [1, None]}) == '{"a":"é\\ud83d","b":[1,null]}'
    with pytest.raises(ValueError, match="JSON"):
        dump({"a": float("nan")})


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3}, 3),
        ({"prompt_tokens": 0}, None),
        ({"prompt_tokens": True}, None),
        (None, None),
    ],
)
def test_an_embedding_knows_its_tokens_where_the_engine_tells(
    usage: Any, tokens: int | None
) -> None:
    found = Embedding.of_answer({"data": [{"embedding": [1, 0.5]}], "usage": usage})
    assert found == [1.0, 0.5]
    assert found.tokens == tokens
