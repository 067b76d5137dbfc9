"""The fast path of frames does what ``websockets`` alone would do, whatever a server sends."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from lmstudio_core.drivers import framing
from lmstudio_core.drivers.framing import LARGE, Framer, Masker, Other
from lmstudio_core.drivers.wire import Wire
from lmstudio_core.errors import LMStudioConnectionError
from lmstudio_core.protocol.address import Address
from lmstudio_core.protocol.auth import credentials

STREAMS = 20_000 if os.environ.get("LMSTUDIO_TEST_DEEP") else 1000


@dataclass
class Seen:
    """What a client has made of what came: the messages, and what it said."""

    texts: list[bytes] = field(default_factory=list)
    pongs: int = 0
    said: bytes = b""
    over: bool = False


class Alone:
    """``websockets`` without a fast path, as the wire used it before there was one."""

    def __init__(self) -> None:
        self.protocol = ClientProtocol(parse_uri("ws://h:1/llm"), max_size=None)
        self.protocol.send_request(self.protocol.connect())
        self.server = ServerProtocol()
        self.server.receive_data(b"".join(self.protocol.data_to_send()))
        [request] = self.server.events_received()
        self.server.send_response(self.server.accept(request))
        self.protocol.receive_data(b"".join(self.server.data_to_send()))
        self.protocol.events_received()
        self.seen = Seen()
        self.parts: list[bytes] = []

    def receive(self, data: bytes) -> None:
        if self.seen.over:
            return
        self.protocol.receive_data(data)
        for frame in self.protocol.events_received():
            self.take(frame)
        self.seen.said += masked_away(b"".join(self.protocol.data_to_send()))
        self.seen.over = self.protocol.state is not State.OPEN

    def take(self, frame: Any) -> None:
        self.seen.pongs += frame.opcode is Opcode.PONG
        if frame.opcode is Opcode.TEXT:
            self.parts = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT and self.parts:
            self.parts.append(bytes(frame.data))
        else:
            return
        if frame.fin:
            self.seen.texts.append(b"".join(self.parts))
            self.parts = []


class Fast:
    """The wire, authenticated; its mux only notes what it gets."""

    def __init__(self) -> None:
        self.wire = Wire(Address("h", 1), "llm", credentials(None, {}))
        server = ServerProtocol()
        server.receive_data(self.wire.outgoing())
        [request] = server.events_received()
        server.send_response(server.accept(request))
        server.send_text(b'{"success":true}')
        self.wire.receive(b"".join(server.data_to_send()))
        assert self.wire.ready
        self.wire.outgoing()
        self.seen = Seen()
        self.wire.mux.receive = self.file  # type: ignore[method-assign]

    def file(self, data: bytes | str) -> None:
        assert not isinstance(data, str)
        self.seen.texts.append(bytes(data))

    def receive(self, data: bytes) -> None:
        if self.seen.over:
            return
        self.wire.receive(data)
        self.seen.said += masked_away(self.wire.outgoing())
        self.seen.pongs = self.wire.pongs
        self.seen.over = self.wire.closed


def masked_away(data: bytes) -> bytes:
    """What a client says, without its random masks."""
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(data)
    frames = [event for event in server.events_received() if isinstance(event, Frame)]
    return b"".join(frame.serialize(mask=False) for frame in frames)


def head(chance: random.Random, first: int, size: int, *, masked: bool) -> bytes:
    """The head of a frame; the length may be told in more bytes than it needs."""
    mask = 0x80 if masked else 0
    forms = [form for form, most in ((1, 125), (2, 65535), (8, 2**63)) if size <= most]
    form = forms[0] if chance.random() < 0.9 else chance.choice(forms)
    if form == 1:
        return bytes((first, mask | size))
    return bytes((first, mask | (126 if form == 2 else 127))) + size.to_bytes(form, "big")


def frame(chance: random.Random, opcode: int, *, fin: bool = True) -> bytes:
    sizes = (
        [0, 1, 30, 124, 125] if opcode >= 8 else [0, 1, 30, 125, 126, 127, 4092, 4093, 65535, 65536]
    )
    weights = [1] * len(sizes) if opcode >= 8 else [2, 2, 9, 4, 4, 4, 1, 1, 0.2, 0.2]
    [size] = chance.choices(sizes, weights)
    broken = chance.random() < 0.01
    first = (0x80 if fin else 0) | opcode
    if broken:
        first = chance.randrange(256)
    masked = chance.random() < 0.005
    payload = chance.randbytes(size) if opcode in (2, 9, 10) else b"t" * size
    if opcode == 8:
        payload = chance.choice([b"", (1000).to_bytes(2, "big") + b"bye", b"x"])
    told = len(payload) if chance.random() < 0.99 else len(payload) + 1
    return head(chance, first, told, masked=masked) + payload


def message(chance: random.Random) -> bytes:
    """A text, mostly; else something of all that there is, in or out of order."""
    what = chance.random()
    if what < 0.7:
        return frame(chance, 1)
    if what < 0.85:
        return frame(chance, chance.choice([9, 10, 2]))
    if what < 0.86:
        return frame(chance, chance.choice([0, 8]))
    parts = [frame(chance, chance.choice([1, 2]), fin=False)]
    for _ in range(chance.randrange(3)):
        parts.append(frame(chance, 0, fin=False))
        parts += [frame(chance, chance.choice([9, 10]))] * chance.randrange(2)
    parts += [frame(chance, 1)] * (chance.random() < 0.05)
    return b"".join([*parts, frame(chance, 0)])


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    """``data`` as a network may cut it."""
    most = chance.choice([1 if len(data) < 2000 else 900, 7 if len(data) < 9000 else 4000, 65536])
    cut = [0]
    while cut[-1] < len(data):
        cut.append(cut[-1] + chance.randint(1, most))
    return [data[a:b] for a, b in itertools.pairwise(cut)]


@pytest.mark.timeout(900)
def test_random_streams_as_websockets_takes_them() -> None:
    taken = whole = 0
    for seed in range(STREAMS):
        chance = random.Random(seed)
        data = b"".join(message(chance) for _ in range(chance.randrange(1, 12)))
        fast, alone = Fast(), Alone()
        for piece in pieces(chance, data):
            fast.receive(piece)
            alone.receive(piece)
            assert fast.seen == alone.seen, f"seed {seed}"
        taken += len(fast.seen.texts)
        whole += not fast.seen.over
    assert taken > 2 * STREAMS  # or this would compare nothing with nothing
    assert STREAMS * 0.5 < whole < STREAMS * 0.98


def test_texts_do_not_reach_websockets_and_all_else_does() -> None:
    text, large = b'{"a":1}', b"l" * LARGE
    small = bytes((0x81, len(text))) + text
    framer = Framer()
    assert [*framer.feed(small * 3)] == [text] * 3
    ping = b"\x89\x01p"
    big = b"\x81\x7f" + LARGE.to_bytes(8, "big") + large
    found = [*framer.feed(small + ping + small + big + small)]
    assert found == [text, ping, text, big, text]
    assert [type(piece) is Other for piece in found] == [False, True, False, True, False]


def test_texts_that_are_cut() -> None:
    """Small ones are put together; large ones go to ``websockets``, which does that in linear time."""
    for size in (126, 6000):
        data = b"\x81\x7e" + size.to_bytes(2, "big") + b"x" * size
        for at in [*range(1, 130), len(data) - 1]:
            framer = Framer()
            found = [*framer.feed(data[:at]), *framer.feed(data[at:])]
            if at < 4 or size == 126:
                assert found == [b"x" * size]
            else:
                assert b"".join(found) == data
                assert {type(piece) for piece in found} == {Other}


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_messages_are_framed_as_websockets_does(size: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(framing, "_POOL", 8)  # two masks, so that it runs out
    fast = Fast()
    payloads = [bytes([65 + n]) * size for n in range(5)]
    server = ServerProtocol(state=State.OPEN, max_size=None)
    server.receive_data(b"".join(map(fast.wire.frame, payloads)))
    frames: Any = server.events_received()
    assert [bytes(frame.data) for frame in frames] == payloads
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)


def test_no_mask_is_used_twice() -> None:
    masker = Masker()
    masks = [masker.frame(b"1234")[2:6] for _ in range(2000)]
    assert len(set(masks)) > 1990  # 32 random bits each


def test_what_waits_is_written_before_a_message() -> None:
    fast = Fast()
    fast.wire.receive(b"\x89\x01p")
    assert fast.wire.pending
    pong, text = masked_frames(fast.wire.frame(b"{}"))
    assert (pong.opcode, text.opcode) == (Opcode.PONG, Opcode.TEXT)


def masked_frames(data: bytes) -> list[Frame]:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(data)
    return [event for event in server.events_received() if isinstance(event, Frame)]


def test_the_end_within_a_head() -> None:
    fast = Fast()
    fast.wire.receive(b"\x81")
    fast.wire.receive_eof()
    assert isinstance(fast.wire.failure, LMStudioConnectionError)
    assert str(fast.wire._protocol.parser_exc) == "stream ends after 1 bytes, expected 2 bytes"


def test_text_that_is_no_utf8_on_either_path() -> None:
    for data in (b"\x81\x02\xff\xfe", b"\x81\x02\xff", b"\x01\x01\xff\x80\x01\xfe"):
        wire = Fast().wire
        del wire.mux.receive  # type: ignore[attr-defined]
        wire.receive(data)
        wire.receive(b"\xfe")
        assert "not UTF-8" in str(wire.failure)
        assert b"\x03\xef" in masked_away(wire.outgoing())  # 1007, as RFC 6455 wants it
