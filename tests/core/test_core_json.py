"""Every legal JSON text is read, and whoever waits for one that is not hears of it."""

from __future__ import annotations

import json
import logging

import pytest
from core_clients import Count, echo, numbers
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core import errors
from lmstudio_core.lenient import HalfJoiner, joined, json_text, mend, readable
from lmstudio_core.protocol import frames
from lmstudio_core.protocol.mux import Mux
from lmstudio_core.protocol.operations import Endpoint
from lmstudio_testing import NO_ANSWER

HALF = "\ud83d"
ECHO = Endpoint("test", "echo")

LEGAL = {
    "half": r'"\ud83d"',
    "second half": r'"\ude00 and text"',
    "key": r'{"\udce9": {"\ud83d": 1}}',
    "pair": r'"\ud83d\ude00"',
    "nesting": "[" * 250 + "]" * 250,
    "nesting of objects": '{"a":' * 300 + "1" + "}" * 300,
    "long number": "9" * 5000,
    "long fraction": "0." + "3" * 5000,
    "large exponent": "1e999",
    "twice": '{"a": 1, "a": 2}',
    "null character": r'"\u0000"',
    "spaces": " \t\r\n[ 1 , 2 ]\n",
    "raw": '"ü 😀 \u2028"',
}


def expected(text):
    if text == LEGAL["long number"]:
        return float("inf")
    return json.loads(text)


@pytest.mark.parametrize("name", LEGAL)
def test_legal_json_is_an_answer(face, server, name):
    def answer(parameter):
        server.sockets[0].send_text(f'{{"type":"rpcResult","callId":1,"result":{LEGAL[name]}}}')
        return NO_ANSWER

    server.on("test.echo", answer)
    assert face.run(echo(1)) == expected(LEGAL[name])


@pytest.mark.parametrize(
    "value",
    [HALF, {HALF: [HALF]}, "caf\udce9", {"\udce9": float("nan")}],
    ids=["text", "nested", "name", "key"],  # what runs tests in parallel could not send the values
)
def test_halves_are_sent_as_characters(face, server, value):
    server.on("test.echo", lambda parameter: parameter)
    sent = json.dumps(value).replace("\\ud83d", "\\ufffd").replace("\\udce9", "\\ufffd")
    assert face.run(echo(value)) == json.loads(sent.replace("NaN", "null"))


def test_what_is_nested_deeply_is_sent(face, server):
    server.on("test.echo", lambda parameter: len(json.dumps(parameter)))
    assert face.run(echo(json.loads(LEGAL["nesting"]))) == 500


BROKEN = ["nothing", "}", "[" * 100_000, "'", '"\\u12"', "nul"]


@pytest.mark.parametrize("broken", BROKEN)
def test_an_answer_that_cannot_be_read_fails_its_caller(face, server, broken):
    def answer(parameter):
        server.sockets[0].send_text(f'{{"type":"rpcResult","callId":1,"result":{broken}}}')
        return NO_ANSWER

    server.on("test.echo", answer)
    server.on("test.other", lambda parameter: parameter)
    with pytest.raises(errors.LMStudioServerError, match=r"test\.echo could not be read"):
        face.run(echo(1))
    assert face.run(echo(5, "other")) == 5
    assert len(server.sockets) == 1


@pytest.mark.parametrize("broken", BROKEN)
def test_a_packet_that_cannot_be_read_fails_its_channel(face, server, broken):
    def packets(channel):
        channel.send({"n": 1})
        server.sockets[0].send_text(f'{{"type":"channelSend","channelId":1,"message":{broken}}}')

    server.on_channel("test.count", packets)
    server.on_channel("test.more", numbers(1, 2))
    with pytest.raises(errors.LMStudioServerError, match=r"test\.count could not be read"):
        face.run(Count())
    assert face.run(Count(name="more")) == [1, 2]


def test_text_that_is_not_utf8_ends_the_connection(face, server):
    def answer(parameter):
        if len(server.sockets) == 1:
            server.sockets[0].send_text(b'{"type":"rpcResult","callId":1,"result":"\xed\xa0\xbd"}')
            return NO_ANSWER
        return parameter

    server.on("test.echo", answer)
    with pytest.raises(errors.LMStudioConnectionError, match="text that is not UTF-8"):
        face.run(echo(1))
    assert face.run(echo(2)) == 2
    assert len(server.sockets) == 2


def test_what_is_filed_before_the_broken_text_is_not_lost(face, server):
    """Both come in one piece: the first caller has its answer."""

    def answer(parameter):
        if parameter == "second":
            peer = server.sockets[0]
            peer.send_frame({"type": "rpcResult", "callId": 1, "result": "one"})
            peer.send_text(b"\xff")
        return NO_ANSWER

    server.on("test.echo", answer)
    outcomes = face.run_all([echo("first"), echo("second")])
    failed = [one for one in outcomes if isinstance(one, errors.LMStudioConnectionError)]
    assert len(failed) == 1
    assert [one for one in outcomes if one not in failed] == ["one"]


def test_frames_for_nobody_are_warnings(caplog):
    mux = Mux()
    for text in ("no json", "[1]", '{"callId": "x"', '{"a": 1}', '{"callId": 7, broken'):
        caplog.clear()
        assert mux.receive(text) is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING], text
    caplog.clear()
    for kind in ("rpcResult", "channelSend", "rpcError"):
        assert mux.receive(json.dumps({"type": kind, "callId": "1"})) is None
    assert len(caplog.records) == 3
    caplog.clear()
    assert mux.receive('{"type": "news"}') is None  # a newer server's
    assert mux.receive('{"type": "rpcResult", "callId": 99}') is None  # late: nobody waits any more
    assert not caplog.records


def test_an_id_within_a_text_is_not_taken_for_the_frames():
    mux = Mux()
    call, _ = mux.call(ECHO)
    assert mux.receive(r'{"type":"x","text":"{\"callId\":1}" broken') is None
    assert not call.closed
    assert mux.receive('{"type":"rpcResult","callId" : 1, broken') is call
    assert isinstance(call.failure, errors.LMStudioServerError)
    assert mux.idle


def test_ids_that_a_server_writes_as_fractions():
    mux = Mux()
    call, _ = mux.call(ECHO)
    assert mux.receive('{"type":"rpcResult","callId":1.0,"result":5}') is call
    assert call.value == 5


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()) | st.text(st.sampled_from("\ud83d\ude00a\udce9")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=10,
))  # fmt: skip
def test_whatever_is_written_is_read_again(value):
    data = frames.encode_frame({"value": value})
    data.decode("utf-8")
    assert frames.decode_frame(data) == {"value": json.loads(json.dumps(value))}
    assert json.loads(json_text(value)) == json.loads(json.dumps(value))
    json_text(value).encode("utf-8")


# -- halves ----------------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab😀ü\ud83d\ude00\udce9"))


@given(st.lists(TEXTS))
def test_the_pieces_make_the_whole(pieces):
    joiner = HalfJoiner()
    got = [joiner.feed(piece) for piece in pieces]
    whole = "".join(got) + joiner.flush()
    assert whole == readable("".join(pieces))
    for text in (*got, whole):
        text.encode("utf-8")
    assert joiner.flush() == ""


@given(TEXTS)
def test_what_is_readable(text):
    assert readable(text).encode("utf-16", "surrogatepass").decode("utf-16") == readable(text)
    assert len(readable(text)) == len(joined(text))
    assert readable(readable(text)) == readable(text)
    assert mend({text: [text, 1]}) == {text: [readable(text), 1]}


def test_warnings_and_errors_of_a_server_can_be_printed(face, server):
    def fail(parameter):
        server.sockets[0].send_text(
            r'{"type":"rpcError","callId":1,"error":{"title":"no \ud83d model"}}'
        )
        return NO_ANSWER

    server.on("test.echo", fail)
    with pytest.raises(errors.LMStudioServerError) as caught:
        face.run(echo(1))
    assert str(caught.value) == "no \ufffd model\nEndpoint: test.echo"
