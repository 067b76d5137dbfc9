"""Sessions are recorded through a proxy and replayed by ``FakeServer``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lmstudio as lms
from lmstudio_testing import (
    FakeServer,
    Gate,
    Reasoning,
    Recording,
    RecordingProxy,
    ReplayMismatchError,
    ServerFailure,
    require_token,
)
from lmstudio_testing.recordings import Scrubber, differences


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def session(client: lms.Client) -> list[Any]:
    """What a program does; its answers."""
    model = client.llm.model("qwen")
    answers: list[Any] = [model.respond("Hi").content, model.act("1 + 2?", [add]).final]
    with pytest.raises(lms.LMStudioPredictionError, match="Too much") as raised:
        model.respond("Write a novel")
    embedding = client.embedding.model("nomic")
    return [*answers, str(raised.value), embedding.embed(["a", "b"]), model.count_tokens("a b c")]


def scripted(server: FakeServer) -> None:
    server.llm().respond(Reasoning("Hm."), "Hello!")
    server.llm().call_tool("add", {"a": 1, "b": 2}).respond("It is 3.").fail("Too much", after="It")
    server.embedding()


def record(
    server: FakeServer, path: Path, program: Callable[[lms.Client], Any], token: str | None = None
) -> Any:
    with (
        RecordingProxy(server.api_host, path) as proxy,
        lms.Client(proxy.api_host, token) as client,
    ):
        return program(client)


def replay(path: Path, program: Callable[[lms.Client], Any]) -> Any:
    with FakeServer() as server, lms.Client(server.api_host) as client:
        server.replay(path)
        result = program(client)
        server.assert_all_used()
        return result


def test_a_replay_answers_as_the_server_did(server: FakeServer, tmp_path: Path) -> None:
    scripted(server)
    path = tmp_path / "session.jsonl"
    answers = record(server, path, session)
    assert answers[:2] == ["Hello!", "It is 3."]
    assert replay(path, session) == answers


def test_two_recordings_of_one_session_are_the_same_file(tmp_path: Path) -> None:
    written: list[str] = []
    for name in ("a", "b"):
        path = tmp_path / name
        with FakeServer() as server:
            scripted(server)
            record(server, path, session)
        written.append(path.read_text("utf-8"))
    assert written[0] == written[1]
    first, second, *_ = [json.loads(line) for line in written[0].splitlines()]
    assert first == {"lmstudio_recording": 1}
    assert (second["request"], second["endpoint"], second["kind"]) == (
        1,
        "llm.getOrLoad",
        "channel",
    )
    assert "totalTimeSec" not in written[0]


def test_the_recorder_answers_a_tests_questions(server: FakeServer) -> None:
    scripted(server)
    with RecordingProxy(server.api_host) as proxy, lms.Client(proxy.api_host) as client:
        client.llm.model("qwen").respond("Hi", config={"temperature": 0.5})
        assert proxy.last_prediction.prompt == "Hi"
        assert proxy.last_prediction.config == {"temperature": 0.5}
        assert [one.endpoint for one in proxy.recording.requests] == [
            "llm.getOrLoad",
            "llm.predict",
        ]


def test_credentials_are_not_kept(server: FakeServer, tmp_path: Path) -> None:
    passkey = "b" * 20
    token = f"sk-lm-aaaaaaaa:{passkey}"
    server.auth = require_token(token)
    server.on("repository.loginWithPreAuthenticatedKeys", {"userName": "me"})
    server.llm().respond(f"Your token is {token}, your passkey {passkey}.")

    def program(client: lms.Client) -> str:
        client.repository.remote_call(
            "loginWithPreAuthenticatedKeys",
            {"keyId": "the-key-id", "publicKey": "public", "privateKey": "very-private"},
        )
        return client.llm.model("qwen").respond("Authorization: Bearer abc.def").content

    path = tmp_path / "session.jsonl"
    assert passkey in record(server, path, program, token)
    text = path.read_text("utf-8")
    for secret in (passkey, token, "aaaaaaaa", "very-private", "the-key-id", "abc.def"):
        assert secret not in text
    assert "public" in text
    assert replay(path, program) == "Your token is ***, your passkey ***."


def test_what_is_hidden_and_what_changes() -> None:
    scrubber = Scrubber(["hush"])
    assert scrubber.clean(
        {
            "a": ["hush now", "hf_abcdefghijklmnopqrstuv"],
            "instanceReference": "x1",
            "b": {"instanceReference": "x2", "c": {"instanceReference": "x1"}},
            "request": {"type": "function", "id": "x7", "arguments": {"id": "mine"}},
            "result": {"toolCallId": "x7", "content": "42"},
            "tokens": [1],
            "apiToken": "y",
            "stats": {"totalTimeSec": 1.0, "stopReason": "eosFound"},
        }
    ) == {
        "a": ["*** now", "***"],
        "instanceReference": "instance-1",
        "b": {"instanceReference": "instance-2", "c": {"instanceReference": "instance-1"}},
        "request": {"type": "function", "id": "tool-call-1", "arguments": {"id": "mine"}},
        "result": {"toolCallId": "tool-call-1", "content": "42"},
        "tokens": [1],
        "apiToken": "***",
        "stats": {"stopReason": "eosFound"},
    }
    assert Scrubber(keep_timings=True).clean({"totalTimeSec": 1.0}) == {"totalTimeSec": 1.0}


def test_a_mismatch_says_what_differs(server: FakeServer, tmp_path: Path) -> None:
    scripted(server)
    path = tmp_path / "session.jsonl"
    record(server, path, lambda client: client.llm.model("qwen").respond("Hi"))
    with FakeServer() as other, lms.Client(other.api_host) as client:
        other.replay(path)
        model = client.llm.model("qwen")
        expected = r"content\[0\]\.text: recorded \"Hi\", asked \"Ho\""
        with pytest.raises(lms.LMStudioPredictionError, match=expected):
            model.respond("Ho")
        with pytest.raises(lms.LMStudioServerError, match="never asked in the recording"):
            model.count_tokens("x")
        with pytest.raises(AssertionError, match=r"nobody asked for: llm\.predict"):
            other.assert_all_used()
        model.respond("Hi")
        with pytest.raises(lms.LMStudioPredictionError, match="once more than in the recording"):
            model.respond("Hi")
        with pytest.raises(ReplayMismatchError, match="recorded"):
            other.check()
        assert len(other.failures) == 3
        other.failures.clear()


def test_cancelling_is_replayed(server: FakeServer, tmp_path: Path) -> None:
    server.llm().respond("a b", Gate(), "never")

    def program(client: lms.Client) -> Any:
        stream = client.llm.model("qwen").respond_stream("x")
        got = []
        for fragment in stream:
            got.append(fragment.content)
            if len(got) == 2:
                stream.cancel()
        return got, stream.result().stats.stop_reason

    path = tmp_path / "session.jsonl"
    answer = record(server, path, program)
    assert answer == (["a", " b"], "userStopped")
    assert replay(path, program) == answer


def test_lost_connections_and_rejections_are_replayed(server: FakeServer, tmp_path: Path) -> None:
    server.llm().drop(after="a").respond("b")

    def program(client: lms.Client) -> str:
        with pytest.raises(lms.LMStudioRequestRejectedError):
            client.runtime.list_engines()
        model = client.llm.model("qwen")
        with pytest.raises(lms.LMStudioConnectionError):
            model.respond("x")
        return model.respond("x").content

    path = tmp_path / "session.jsonl"
    assert record(server, path, program) == "b"
    assert replay(path, program) == "b"


def test_async_programs_are_recorded(server: FakeServer, tmp_path: Path) -> None:
    scripted(server)
    path = tmp_path / "session.jsonl"

    async def program(host: str) -> str:
        async with lms.AsyncClient(host) as client:
            return (await (await client.llm.model("qwen")).respond("Hi")).content

    with RecordingProxy(server.api_host, path) as proxy:
        assert asyncio.run(program(proxy.api_host)) == "Hello!"
    with FakeServer() as other:
        other.replay(Recording.load(path))
        assert asyncio.run(program(other.api_host)) == "Hello!"


def test_scripts_go_before_the_recording(server: FakeServer, tmp_path: Path) -> None:
    scripted(server)
    path = tmp_path / "session.jsonl"
    record(server, path, lambda client: client.llm.model("qwen").respond("Hi"))
    with FakeServer() as other, lms.Client(other.api_host) as client:
        other.replay(path)
        other.on_channel("llm.predict", ServerFailure("by hand"))
        with pytest.raises(lms.LMStudioPredictionError, match="by hand"):
            client.llm.model("qwen").respond("Hi")


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for text, says in (
        ("", "is empty"),
        ("{}\n", "first line"),
        ('{"lmstudio_recording": 2}\n', "first line"),
        ('{"lmstudio_recording": 1}\n{"request": 1}\n', "line 2"),
        ('{"lmstudio_recording": 1}\nnonsense\n', "line 2"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(ValueError, match=says):
            Recording.load(path)


def test_nobody_at_the_target() -> None:
    with (
        pytest.raises(ConnectionError, match="nothing answers at 127"),
        RecordingProxy("127.0.0.1:9") as proxy,
        lms.Client(proxy.api_host) as client,
        pytest.raises(lms.LMStudioConnectionError),
    ):
        client.system.version()


def test_differences() -> None:
    old = {"a": [1, {"b": 2}], "c": None, "d": 1}
    assert differences(old, {"a": [1, {"b": 2}], "c": None, "d": 1.0}) == []
    assert differences(old, {"a": [1], "c": False, "d": True}) == [
        'parameter.a[1]: recorded {"b": 2}, asked nothing',
        "parameter.c: recorded null, asked false",
        "parameter.d: recorded 1, asked true",
    ]
