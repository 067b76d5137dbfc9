"""Who is not known costs nothing, and who is known costs no more than a set amount."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import socket
import sys
from contextlib import suppress
from http.client import HTTPResponse
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest
from http_client import HERE, ask, connected, get
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from wire_client import PATIENCE, Refused, client, fake_server, run

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.doors import connection as http_connection
from lmstudio_server.doors import guard
from lmstudio_server.limits import Connections, tell_exhaustion_once
from lmstudio_server.serving import socket as serving_socket
from lmstudio_server.testing import running_server
from lmstudio_server.wire import frames
from waiting import eventually_async, trickle

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_server.serving.server import RunningServer

POST = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"


async def ended(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection; fails if it does not."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("size", [9_000, 2_000_000])
def test_large_frames_of_unknown_clients_are_not_taken(size: int) -> None:
    async def test() -> None:
        async with fake_server() as server:
            async with connect(f"ws://{server.host}/llm", proxy=None) as stranger:
                with suppress(ConnectionClosed):
                    await stranger.send("[" + "[]," * (size // 3) + "[]]")
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(stranger.recv(), PATIENCE)
                assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
            async with client(server, "system") as known:  # a known one may send what it likes
                await known.send(type="unknown", content="x" * size)
                assert (await known.call("version"))["version"]

    run(test)


def test_first_frames_may_be_as_long_as_credentials() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm", "\N{SNOWMAN}" * 256, "ä" * 256):
            pass

    run(test)


def test_too_many_values_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_VALUES", 100)
    for many in ("[" + "[]," * 100 + "[]]", '[{"a":0}' + ',{"a":0}' * 50 + "]", "[" * 101):
        assert frames.has_too_many_values(many)
    for few in (
        json.dumps(["1,2,[3],{4" * 1000]),  # inside a string nothing counts
        json.dumps(['\\",' * 1000, "\n", 1]),
        json.dumps(list(range(99))),
        "[" * 100,
    ):
        assert not frames.has_too_many_values(few)
    call = {"type": "rpcCall", "endpoint": "version", "callId": 7, "parameter": list(range(101))}
    assert frames.parse(json.dumps(call)) == frames.Unreadable("rpcCall", 7)


def test_who_sends_too_many_values_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_VALUES", 1000)

    async def test() -> None:
        async with fake_server() as server:
            async with client(server, "system") as one:
                await one.send(type="rpcCall", endpoint="version", callId=1, parameter=[[]] * 2000)
                assert "1,000 values" in (await one.receive())["error"]["title"]
            crowd: Any = {"model": "pocket", "prompt": "a", "stop": [0] * 2000}
            answer = await ask(server, "POST", "/v1/completions", crowd)
            assert answer.status == 400
            assert "values" in answer.error["message"]
            inner = {"function": {"name": "f", "arguments": json.dumps([[]] * 2000)}}
            message = {"role": "assistant", "tool_calls": [inner]}
            body = {"model": "pocket", "messages": [message]}
            answer = await ask(server, "POST", "/v1/chat/completions", body)
            assert answer.status == 400
            assert "values" in answer.error["message"]

    run(test)


@pytest.mark.parametrize(
    "rest",
    [
        b"POST /v1/comp",  # a line that is half sent
        POST + b"Content-Le",  # a head that is
        b"GET /v1/models HTTP/1.1\r\n",
    ],
)
def test_later_requests_may_not_be_half_sent_either(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.05)

    async def test() -> None:
        async with fake_server() as server, connected(server) as one:
            await one.send("GET", "/v1/models")
            assert (await one.answer()).status == 200
            one.writer.write(rest)
            assert await ended(one.reader) == b""

    run(test)


def test_the_body_of_a_refused_request_may_not_be_half_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.05)

    async def test() -> None:
        token = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
        async with fake_server(api_tokens=(token,)) as server, connected(server) as one:
            one.writer.write(POST + b"Content-Length: 1000000\r\n\r\n{")
            assert b" 401 " in await ended(one.reader)

    run(test)


def test_bodies_that_come_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SILENCE_SECONDS", 0.2)

    async def test() -> None:
        async with fake_server() as server, connected(server) as one:
            one.writer.write(POST + b"Content-Length: 1000000\r\n\r\n")

            async def send_slowly() -> None:
                while not one.writer.is_closing():
                    one.writer.write(b" ")
                    await trickle(0.01)

            trickling = asyncio.ensure_future(send_slowly())
            try:
                # To its end it may not be read: a server that closes on unread bytes resets.
                line = await asyncio.wait_for(one.reader.readline(), PATIENCE)
                assert b" 408 " in line
            finally:
                trickling.cancel()

    run(test)


def test_where_nobody_has_to_say_who_asks_no_body_is_read() -> None:
    async def test() -> None:
        async with fake_server() as server:
            for path in sorted(guard.OPEN_PATHS):
                answer = await ask(server, "POST", path, b"x" * 5000)
                assert answer.status == 413, path

    run(test)


def test_connections_are_counted_in_all_and_by_peer() -> None:
    connections = Connections(8)
    assert [connections.enter("a") for _ in range(8)] == [True] * 6 + [False] * 2
    assert [connections.enter(peer) for peer in "bcd"] == [True, True, False]
    connections.leave("a")
    assert connections.enter("d")
    for peer in "aaaaabcd":
        connections.leave(peer)
    assert vars(connections)["_count"] == 0
    assert not vars(connections)["_peers"]


def test_too_many_connections_are_closed_and_make_room_again() -> None:
    async def test() -> None:
        async with fake_server() as server:
            server.services.connections = Connections(8)
            kept = [await asyncio.open_connection(HERE, server.port) for _ in range(6)]
            reader, writer = await asyncio.open_connection(HERE, server.port)
            assert await ended(reader) == b""
            writer.close()
            for reader, writer in kept:  # each kind of connection is given back
                writer.write(b"GET /lms-status HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b" 200 " in await ended(reader)
                writer.close()
            for _ in range(20):
                assert (await get(server, "/v1/models")).status == 200
                async with client(server, "llm"):
                    pass
            await _all_gone(server)

    run(test)


async def _all_gone(server: RunningServer) -> None:
    # Nothing tells when the server has noticed.
    await eventually_async(lambda: not vars(server.services.connections)["_count"])


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are limited by POSIX")
def test_descriptors_do_not_run_out(tmp_path: Path) -> None:
    """More clients than descriptors: the server lives, says so once, and answers those it has."""
    start = tmp_path / "sitecustomize.py"
    start.write_text("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with running_server(environment={"PYTHONPATH": path}) as server:
        first = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        many = [first]
        try:
            assert _models(first).status == 200
            many += [
                socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(600)
            ]
            assert _models(first).status == 200
        finally:
            for one in many:
                one.close()
        log = server.log.read_text()
        assert log.count("refused a connection") == 1
        assert "Too many open files" not in log


def _models(connection: socket.socket) -> HTTPResponse:
    connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer


def test_a_loop_that_cannot_accept_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        tell_exhaustion_once(loop)
        for number in (errno.EMFILE, errno.ENFILE) * 50:
            loop.call_exception_handler({"message": "?", "exception": OSError(number, "none left")})
        loop.call_exception_handler({"message": "something else"})

    run(test)
    assert [record.getMessage() for record in caplog.records] == [
        "the system gives this server no more connections: none left",
        "something else",
    ]


def test_unanswered_calls_of_one_socket_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_socket, "MAX_CALLS", 4)
    running: list[int] = []
    most, go = 0, asyncio.Event

    async def test() -> None:
        nonlocal most
        release = go()

        async def slow(_call: Any, _parameter: Any) -> Any:
            nonlocal most
            running.append(1)
            most = max(most, len(running))
            await release.wait()
            running.pop()
            return frames.ABSENT

        system = serving_socket.Endpoint("slow", "rpc", slow)
        monkeypatch.setitem(NAMESPACES["system"].endpoints, "slow", system)
        async with fake_server() as server, client(server, "system") as one:
            for number in range(20):
                await one.send(type="rpcCall", endpoint="slow", callId=number)
            async with client(server, "system") as other:  # all was read that will be read
                assert await other.call("version")
            release.set()
            answered = {(await one.receive())["callId"] for _ in range(20)}
            assert answered == set(range(20))
            assert most == 4

    run(test)


@pytest.mark.skipif(HERE != "127.0.0.1", reason="who is beyond is not shown the log")
def test_open_channels_of_one_socket_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_socket, "MAX_CHANNELS", 2)

    async def test() -> None:
        async with fake_server() as server, client(server, "diagnostics") as one:
            for _ in range(2):
                await one.open("streamLogs")
            with pytest.raises(Refused, match="2 channels"):
                await one.collect("streamLogs")
            await one.send(type="channelSend", channelId=1, message={"type": "stop"})
            assert (await one.receive())["type"] == "channelClose"
            for _ in range(3000):  # what nobody reads is not kept
                await one.send(type="channelSend", channelId=2, message={"type": "stop"})

    run(test)


MANY = [{"role": "user", "content": "x"}] * 10
NO_TOOL = [{"type": "function", "function": {"name": "f", "parameters": 7}}]
NO_IMAGE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,####"}}]
REFUSED: dict[str, Any] = {
    "no messages": {"model": "pocket", "messages": 7},
    "no model": {"model": "none", "messages": MANY, "prompt": "a", "input": ["a"]},
    "streamed": {"model": "none", "messages": MANY, "stream": True},
    "tools": {"model": "pocket", "messages": MANY, "tools": NO_TOOL},
    "image": {"model": "pocket", "messages": [*MANY, {"role": "user", "content": NO_IMAGE}]},
    "no JSON": b"[" * 5000,
}


@pytest.mark.parametrize("body", list(REFUSED.values()), ids=list(REFUSED))
def test_refused_bodies_are_freed_at_once(body: Any) -> None:
    """No error is left in a circle with its own frames, which hold what was sent."""

    async def test() -> None:
        async with fake_server() as server:
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
                gc.collect()
                await ask(server, "POST", path, body)
                await _all_gone(server)
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                gc.set_debug(0)
                held = [kept for kept in gc.garbage if isinstance(kept, TracebackType)]
                gc.garbage.clear()
                assert not [kept.tb_frame.f_code.co_name for kept in held], path

    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()
