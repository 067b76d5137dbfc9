"""Half a surrogate pair in what users send: it goes out as U+FFFD, and a line says so."""

from __future__ import annotations

import asyncio
import json

import pytest

import lmstudio as lms
from lmstudio_core.lenient import sendable
from lmstudio_core.protocol import frames
from lmstudio_core.protocol.mux import Mux
from lmstudio_core.protocol.operations import Endpoint

HALF = "a \ud83d b"
SENT = "a \ufffd b"
PAIR = "\ud83d\ude00"
ECHO = Endpoint("llm", "echo")


def lines(caplog):
    return [r.getMessage() for r in caplog.records if "surrogate" in r.getMessage()]


def test_every_text_in_a_frame_is_whole():
    mended = []
    value = {HALF: [HALF, PAIR, (1, HALF)], "plain": "a"}
    assert sendable(value, mended) == {SENT: [SENT, "\U0001f600", [1, SENT]], "plain": "a"}
    assert SENT in mended
    data, told = frames.encode_sendable({"a": HALF, "b": float("nan")})
    assert json.loads(data) == {"a": SENT, "b": None}
    assert told == [SENT]
    assert frames.encode_sendable({"a": "\\ud83d"})[1] == []  # the text of an escape is a text
    deep = value = []
    for _ in range(100_000):
        deep.append(deep := [])
    with pytest.raises(ValueError, match="nested too deeply"):
        frames.encode_sendable({"a": value, "b": HALF})


def test_one_line_for_what_is_sent_together(caplog):
    mux = Mux()
    for number in range(3):
        mux.call(ECHO, f"{number} {HALF}")
    _, data = mux.call(ECHO, HALF)
    assert json.loads(data)["parameter"] == SENT
    assert len(lines(caplog)) == 1
    assert "llm.echo" in lines(caplog)[0]


def test_the_same_text_is_told_of_once(caplog):
    mux = Mux()
    for _ in range(2):
        call, _ = mux.call(ECHO, HALF)
        mux.receive(json.dumps({"type": "rpcResult", "callId": call.id, "result": 1}))
    other, _ = mux.call(ECHO, f"other {HALF}")
    assert other is not None
    assert len(lines(caplog)) == 2


def multiply(text: str) -> str:
    """Return it."""
    return HALF


TOOL = {
    "name": "multiply",
    "description": HALF,
    "parameters": {"type": "object", "properties": {HALF: {"type": "string"}}},
    "implementation": lambda **_: HALF,
}
SCHEMA = {"type": "object", "properties": {HALF: {"type": "string"}}}
CHAT = {"messages": [{"role": "system", "content": HALF}, {"role": "user", "content": "x"}]}
SENDS = {
    "prompt": lambda m, e: m.respond(HALF),
    "system prompt": lambda m, e: m.respond(CHAT),
    "completion": lambda m, e: m.complete(HALF),
    "config": lambda m, e: m.respond("x", config={"stop_strings": [HALF]}),
    "config by the wire's name": lambda m, e: m.respond("x", config={"stopStrings": [HALF]}),
    "schema": lambda m, e: m.respond("x", response_format=SCHEMA),
    "tool": lambda m, e: m.act("x", [TOOL]),
    "tokens": lambda m, e: m.tokenize(HALF),
    "count": lambda m, e: m.count_tokens(HALF),
    "template": lambda m, e: m.apply_prompt_template(HALF),
    "embedding": lambda m, e: e.embed(["a", HALF, "b"]),
    "embedding's tokens": lambda m, e: e.tokenize(HALF),
}


def scripted(server):
    server.llm("llm").respond('{"a \ufffd b": "c"}', times=2)
    server.embedding("embedding")


@pytest.mark.parametrize("what", SENDS)
def test_every_text_that_goes_out(server, caplog, what):
    scripted(server)
    with lms.Client(server.api_host) as client:
        assert SENDS[what](client.llm.model("llm"), client.embedding.model("embedding"))
    asked = str([request.parameter for request in server.requests])
    assert SENT in asked
    assert "\\ud83d" not in asked
    assert len(lines(caplog)) == 1


def test_every_text_that_goes_out_of_asyncio(server, caplog):
    scripted(server)

    async def ask():
        async with lms.AsyncClient(server.api_host) as client:
            model = await client.llm.model("llm")
            await model.respond(HALF)

    asyncio.run(ask())
    assert SENT in str(server.last_prediction.parameter)
    assert len(lines(caplog)) == 1


def test_names_of_files(server, caplog):
    scripted(server)
    with lms.Client(server.api_host) as client:
        client.files.prepare_file(b"text", "a\udce9.txt")
    assert "a\ufffd.txt" in str([request.parameter for request in server.requests])
    assert len(lines(caplog)) == 1


def test_what_is_wrong_otherwise_is_still_said(caplog):
    with pytest.raises(lms.LMStudioValueError, match="temperature"):
        lms.LlmPredictionConfig(stop_strings=[HALF], temperature="hot")
    config = lms.LlmPredictionConfig(stop_strings=["a"])
    config.stop_strings = [HALF]
    assert config.stop_strings == [SENT]
