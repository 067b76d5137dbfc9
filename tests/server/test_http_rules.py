"""Who may ask by HTTP, what is refused and how, and what happens when a client goes away."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fake_engine import FakeEngine
from http_client import HERE, ask, connected, get, post, user
from wire_client import Refused, client, fake_server, load, prediction, run, stack

from lmstudio_server.doors import app, guard
from lmstudio_server.doors import connection as http_connection
from lmstudio_server.doors.guard import MAX_BODY_BYTES
from lmstudio_server.serving.front import goes_to_http

if TYPE_CHECKING:
    from lmstudio_server.serving.server import RunningServer

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
PICTURE = "data:image/png;base64,iVBORw0KGgo="
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"", None),
        (b"GET /llm HT", None),
        (b"GET /llm HTTP/1.1\r\n", False),
        (b"GET /lms-status?claim HTTP/1.1\r\nHost: x", False),
        (b"GET /v1/models HTTP/1.1\r\n", True),
        (b"GET /v1x HTTP/1.1\r\n", False),
        (b"GET /api/v1/models HTTP/1.0\n", True),
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET /?x HTTP/1.1\r\n", True),
        (b"POST /llm HTTP/1.1\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\n", True),
        (b"GET http://localhost:1234/v1/models HTTP/1.1\r\n", True),
        (b"GET http://localhost:1234 HTTP/1.1\r\n", True),
        (b"GET http://localhost:1234/llm HTTP/1.1\r\n", False),
        (b"GET /v1?x HTTP/1.1\r\n", True),
        (b"\x16\x03\x01\x02\x00\n", False),
        (b"x" * 8192, False),
    ],
)
def test_whose_a_connection_is(received: bytes, expected: bool | None) -> None:
    assert goes_to_http(received) is expected


def test_a_connection_that_says_nothing_useful() -> None:
    async def test() -> None:
        async with fake_server() as server:
            reader, writer = await asyncio.open_connection(HERE, server.port)
            for piece in (
                b"PO",
                b"ST /v1/completions HTTP/1.1\r\nHost: localhost\r\n",
                b"x\r\n\r\n",
            ):
                writer.write(piece)
                await writer.drain()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            for said in (b"", b"GET"):
                reader, writer = await asyncio.open_connection(HERE, server.port)
                writer.write(said)
                writer.write_eof()
                assert await reader.read() == b""
                writer.close()
            # One is left open: the server ends all the same.
            reader, writer = await asyncio.open_connection(HERE, server.port)
        assert await reader.read() == b""
        writer.close()

    run(test)


def test_tokens() -> None:
    async def test() -> None:
        async with fake_server(api_tokens=(TOKEN,)) as server:
            for headers in (
                {},
                {"authorization": "Bearer lm-studio"},
                {"authorization": f"Basic {TOKEN}"},
                {"authorization": "Bearer " + TOKEN.replace("Q", "R")},
                {"authorization": "Bearer sk-lm-zzzzzzzz:ABCDEFGHIJKLMNOPQRST"},
            ):
                for path in ("/v1/models", "/api/v1/models", "/status.json", "/v1/nothing"):
                    answer = await ask(server, "GET", path, headers=headers)
                    assert answer.status == 401
                    assert answer.headers["www-authenticate"] == "Bearer"
                    assert "pocket" not in answer.body.decode()
                    assert "ABCDEFGHIJKLMNOPQRST" not in answer.body.decode()
            answer = await ask(server, "GET", "/v1/models", headers=BEARER)
            assert answer.status == 200
            assert (await get(server, "/")).status == 200
            assert "loadedModels" not in (await get(server, "/lms-status")).json

    run(test)


def test_without_tokens_any_header_is_welcome() -> None:
    async def test() -> None:
        async with fake_server() as server:
            assert (await get(server, "/v1/models", authorization="Bearer lm-studio")).status == 200

    run(test)


def test_hosts_and_origins() -> None:
    async def test() -> None:
        async with fake_server(allowed_origins=("https://ours.example",)) as server:
            assert (await get(server, "/v1/models", host="evil.example")).status == 403
            evil = await get(server, "/v1/models", origin="https://evil.example")
            assert evil.status == 403
            assert "access-control-allow-origin" not in evil.headers
            for origin in ("https://ours.example", "http://localhost:3000"):
                ours = await get(server, "/v1/models", origin=origin)
                assert ours.status == 200
                assert ours.headers["access-control-allow-origin"] == origin
                assert ours.headers["vary"] == "Origin"

    run(test)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("http://[::1/llm", {}, 403),
        ("http://[::1/v1/models", {}, 403),
        ("http://evil.example/llm", {}, 403),
        ("//[x", {}, 404),
        ("//v1/models", {}, 404),
        ("/llm", {"host": "[x"}, 403),
        ("/llm", {"origin": "http://[x"}, 403),
        ("/v1/models", {"origin": "http://[x"}, 403),
        ("/v1/models", {"origin": "null"}, 403),
    ],
)
def test_what_makes_no_sense_is_refused(
    target: str, headers: dict[str, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with fake_server() as server:
            answer = await ask(server, "GET", target, headers=headers)
            assert (answer.status, "error" in answer.json) == (status, True)

    run(test)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_path_may_be_a_whole_url_or_end_with_a_slash() -> None:
    async def test() -> None:
        async with fake_server() as server:
            listed = (await get(server, "/v1/models")).json
            whole = f"http://127.0.0.1:{server.port}"
            assert (await get(server, f"{whole}/v1/models")).json == listed
            assert (await get(server, f"{whole}/v1/models/pocket")).json["id"] == "pocket"
            assert (await get(server, "/v1/models/")).json == listed
            assert (await get(server, whole)).headers["content-type"].startswith("text/html")
            assert (await get(server, f"{whole}/lms-status")).json["package"] == "lmstudio-server"
            answer = await ask(
                server, "POST", f"{whole}/v1/completions/", {"model": "pocket", "prompt": "say: a"}
            )
            assert answer.json["choices"][0]["text"] == "a "
            assert (await get(server, "http://evil.example/v1/models")).status == 403

    run(test)


def test_preflight() -> None:
    async def test() -> None:
        wanted = {
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        }
        async with fake_server(allowed_origins=("https://ours.example",), api_tokens=(TOKEN,)) as s:
            path = "/v1/chat/completions"
            ours = {**wanted, "origin": "https://ours.example"}
            answer = await ask(s, "OPTIONS", path, headers=ours)
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == "https://ours.example"
            assert "authorization" in answer.headers["access-control-allow-headers"]
            evil = {**wanted, "origin": "https://evil.example"}
            answer = await ask(s, "OPTIONS", path, headers=evil)
            assert answer.status == 400
            assert "access-control-allow-origin" not in answer.headers
            rebound = {**ours, "host": "evil.example"}
            answer = await ask(s, "OPTIONS", path, headers=rebound)
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.headers
            # The refusal of a token is an answer that the page may read.
            unknown = await ask(s, "POST", path, {}, {"origin": "https://ours.example"})
            assert unknown.status == 401
            assert unknown.headers["access-control-allow-origin"] == "https://ours.example"

    run(test)


def test_errors_by_status() -> None:
    async def test() -> None:
        async with fake_server() as server:
            missing = await post(
                server, "/v1/chat/completions", model="pockets", messages=user("a")
            )
            assert missing.status == 404
            assert missing.error["code"] == "model_not_found"
            assert missing.error["type"] == "invalid_request_error"
            assert 'Did you mean "pocket"' in missing.error["message"]
            wrong = await post(
                server, "/v1/chat/completions", model="pocket-embedding", messages=user("a")
            )
            assert (wrong.status, wrong.error["code"]) == (400, "wrong_kind_of_model")
            nothing = await get(server, "/v1/nothing")
            assert (nothing.status, nothing.error["code"]) == (404, "not_found")
            method = await get(server, "/v1/chat/completions")
            assert (method.status, method.error["code"]) == (405, "wrong_method")
            rest = await post(server, "/api/v1/chat", model="nope", input="a")
            assert (rest.status, rest.error["type"]) == (404, "model_not_found")
            for path in ("/v1/responses", "/v1/messages"):
                answer = await post(server, path)
                assert answer.status == 501
                assert answer.headers["x-should-retry"] == "false"

    run(test)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"messages": 1}'])
def test_bodies_that_are_none(body: bytes) -> None:
    async def test() -> None:
        async with fake_server() as server:
            answer = await ask(server, "POST", "/v1/chat/completions", body)
            assert answer.status == 400
            assert answer.error["message"]

    run(test)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/chat/completions", "model"),
        ("/v1/embeddings", "model"),
        ("/api/v1/models/load", "model"),
        ("/api/v1/models/unload", "instance_id"),
        ("/api/v1/models/download", "model"),
    ],
)
def test_a_name_of_any_length_has_a_short_answer(path: str, field: str) -> None:
    async def test() -> None:
        async with fake_server() as server:
            body = {"messages": user("a"), "input": "a", field: "pocket/" + "x" * 100_000}
            answer = await ask(server, "POST", path, body)
            assert answer.status in (400, 404)
            assert len(answer.body) < 1000

    run(test)


def test_bodies_that_are_too_large() -> None:
    async def test() -> None:
        async with fake_server() as server:
            async with connected(server) as connection:
                length = str(MAX_BODY_BYTES + 1)
                connection.writer.write(
                    b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                    b"Content-Length: " + length.encode() + b"\r\n\r\n"
                )
                head = await connection.reader.readuntil(b"\r\n")
                assert b" 413 " in head
            assert (await get(server, "/v1/models")).status == 200

    run(test)


async def wait_for_generation(engine: FakeEngine, server: RunningServer) -> None:
    await engine.waiting.wait()
    assert server.services.registry.instances()[0].activities


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - what happens inside the server sets no event
        await asyncio.sleep(0)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": user("wait")}),
        ("/v1/completions", {"prompt": "wait"}),
        ("/api/v1/chat", {"input": "wait"}),
    ],
)
def test_a_client_that_goes_away_ends_its_generation(
    path: str, body: dict[str, Any], stream: bool
) -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:
            async with connected(server) as connection:
                await connection.send("POST", path, {"model": "pocket", "stream": stream, **body})
                await wait_for_generation(engine, server)
            await until(lambda: engine.closed_generations == 1)
            await until(lambda: not server.services.registry.instances()[0].activities)
            await until(lambda: server.services.presence.sockets == 0)

    run(test)


def test_a_client_that_goes_away_ends_its_load() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:
            async with connected(server) as connection:
                await connection.send("POST", "/v1/completions", {"model": "slow", "prompt": "a"})
                await until(lambda: server.services.registry.loading() == ["slow"])
            await until(lambda: engine.cancelled_loads == 1)

    run(test)


def test_failures_before_and_in_a_stream() -> None:
    async def test() -> None:
        async with fake_server() as server:
            body = {"model": "pocket", "stream": True}
            long = " ".join(["word"] * 5000)
            early = await post(server, "/v1/completions", prompt=long, **body)
            assert early.status in (200, 400)
            late = await post(server, "/v1/chat/completions", messages=user("raise"), **body)
            assert late.status == 200
            assert "It did not work." in late.events[-1]["error"]["message"]
            rest = await post(server, "/api/v1/chat", model="pocket", input="raise", stream=True)
            assert rest.events[-1]["type"] == "error"
            assert rest.events[-1]["error"]["type"] == "invalid_request"
            crash = await post(
                server, "/v1/chat/completions", model="pocket", messages=user("crash")
            )
            assert crash.status == 500
            assert crash.headers["x-should-retry"] == "true"
            # The model is loaded again for the next one.
            answer = await post(
                server, "/v1/chat/completions", model="pocket", messages=user("say: a")
            )
            assert answer.json["choices"][0]["message"]["content"] == "a "

    run(test)


def test_many_requests_on_one_connection() -> None:
    async def test() -> None:
        async with fake_server() as server, connected(server) as connection:
            for path in ("/v1/models", "/lms-status", "/lmstudio-greeting", "/", "/v1/models"):
                await connection.send("GET", path)
                assert (await connection.answer()).status == 200

    run(test)


def test_both_doors_share_the_models() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            answer = await post(
                server, "/v1/chat/completions", model="pocket", messages=user("say: hi")
            )
            assert answer.json["choices"][0]["message"]["content"] == "hi "
            assert len(server.services.registry.instances()) == 1
            assert server.services.record.predictions == 1
            await llm.collect("predict", **prediction("say: a b"))
            assert server.services.record.predicted_tokens == 3

    run(test)


def test_a_model_is_loaded_when_it_is_named_and_goes_after_a_while() -> None:
    async def test() -> None:
        async with fake_server(jit_ttl=7.0) as server:
            await post(server, "/v1/completions", model="pocket", prompt="a")
            await post(server, "/v1/embeddings", model="pocket-embedding", input="a", ttl=1.5)
            pocket, embedding = server.services.registry.instances()
            assert (pocket.ttl_ms, embedding.ttl_ms) == (7000, 1500)
            unnamed = await post(server, "/v1/completions", prompt="say: hi")
            assert unnamed.json["model"] == "pocket"
        async with fake_server() as server:
            unnamed = await post(server, "/v1/completions", prompt="say: hi")
            assert (unnamed.status, unnamed.error["param"]) == (400, "model")

    run(test)


def test_a_request_keeps_an_idle_server_alive() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with (
            fake_server(engine, idle_timeout=1000) as server,
            connected(server) as connection,
        ):
            await connection.send("POST", "/v1/completions", {"model": "pocket", "prompt": "wait"})
            await engine.waiting.wait()
            assert server.services.presence.sockets == 1
            assert json.loads((await get(server, "/status.json")).body)["connections"] == 1

    run(test)


async def shut_down(server: RunningServer) -> None:
    server.services.shutdown.set()
    await server.services.registry.drain(0)


def test_no_new_work_while_shutting_down() -> None:
    async def test() -> None:
        async with fake_server() as server, client(server, "llm") as llm:
            await load(llm)
            await shut_down(server)
            for path in ("/v1/models", "/api/v1/models", "/status.json"):
                answer = await get(server, path)
                assert (answer.status, answer.error["code"]) == (503, "shutting_down")
            assert (await get(server, "/lms-status")).status == 200
            with pytest.raises(Refused, match="shutting down"):
                await llm.collect("predict", **prediction("say: a"))

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_the_end_of_the_server_ends_loads(stream: bool) -> None:
    async def test() -> None:
        engine = FakeEngine()
        body = {"model": "slow", "messages": user("say: a"), "stream": stream}
        async with fake_server(engine, shutdown_grace=1000) as server:
            asking = asyncio.create_task(ask(server, "POST", "/v1/chat/completions", body))
            async with client(server, "llm") as llm:
                packets = await llm.open("loadModel", modelKey="slow", loadConfigStack=stack())
                assert (await packets.__anext__())["type"] == "resolved"
                while len(engine.loads) < 2:
                    await llm.call("listLoaded")
                await server.services.loads.close()
                with pytest.raises(Refused, match="shutting down"):
                    _ = [packet async for packet in packets]
                with pytest.raises(Refused, match="shutting down"):
                    await llm.collect("loadModel", modelKey="slow", loadConfigStack=stack())
        answer = await asking
        assert (answer.status, answer.error["code"]) == (503, "shutting_down")
        assert engine.cancelled_loads == 2

    run(test)


def test_the_end_of_the_server_cuts_a_request_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        asked = asyncio.Event()

        async def offers(_self: Any, _repository: str) -> None:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("lmstudio_server.hub.service.HubService.offers", offers)
        monkeypatch.setattr(app, "CLOSE_SECONDS", 0.0)
        async with fake_server() as server:
            path = "/api/v1/models/download"
            asking = asyncio.create_task(ask(server, "POST", path, {"model": "a/b"}))
            await asked.wait()
        answer = await asking
        assert (answer.status, answer.error["code"]) == (503, "shutting_down")

    run(test)


@pytest.mark.parametrize("stream", [True, False])
def test_the_end_of_the_server_ends_what_takes_too_long(stream: bool) -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine, shutdown_grace=0.01) as server, connected(server) as one:
            body = {"model": "pocket", "messages": user("wait"), "stream": stream}
            await one.send("POST", "/v1/chat/completions", body)
            await engine.waiting.wait()
            answering = asyncio.create_task(one.answer())
            server.services.shutdown.set()
            ending = asyncio.create_task(server.services.registry.drain(0.01))
            await ending
            await server.services.registry.close()
            answer = await answering
            error = answer.events[-1]["error"] if stream else answer.error
            assert error["code"] == "model_unloaded"
            assert answer.status == (200 if stream else 503)

    run(test)


def test_the_server_waits_for_predictions() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:
            registry = server.services.registry
            await post(server, "/v1/completions", model="pocket", prompt="a")
            [instance] = registry.instances()
            async with registry.use(instance, "generating"):
                draining = asyncio.create_task(registry.drain(1000))
                done, _ = await asyncio.wait({draining}, timeout=0)
                assert not done
            await asyncio.wait_for(draining, 30)

    run(test)


def test_the_http_stack_is_loaded_when_it_is_needed() -> None:
    code = (
        "import sys, lmstudio_server.cli, lmstudio_server.daemon.run;"
        "print({'starlette', 'uvicorn', 'anyio'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"


def test_a_request_writes_no_lines_of_its_own_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with fake_server() as server:
            await post(server, "/v1/a%0Aforged", model="pocket")
            await post(server, "/v1/completions", model="a\nforged\0", prompt="a")

    caplog.set_level("DEBUG", logger="lmstudio_server")
    run(test)
    said = [record.getMessage() for record in caplog.records]
    assert any("forged" in line for line in said)
    assert not any("\n" in line or "\0" in line for line in said)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"POST /v1/completions HTTP/1.1\r\nHost: loc", b""),
        (
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
            b" 408 ",
        ),
    ],
)
def test_clients_that_fall_silent(
    said: bytes, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.01)
    monkeypatch.setattr(guard, "SILENCE_SECONDS", 0.01)

    async def test() -> None:
        async with fake_server() as server:
            reader, writer = await asyncio.open_connection(HERE, server.port)
            writer.write(said)
            try:
                heard = await reader.read()
            except ConnectionResetError:
                heard = b""
            assert answer in heard
            writer.close()

    run(test)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v1/chat/completions",
            {"messages": user([{"type": "image_url", "image_url": {"url": PICTURE}}])},
        ),
        ("/api/v1/chat", {"input": [{"type": "image", "data_url": PICTURE}]}),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_pictures_reach_the_engine_and_are_not_kept(
    path: str, body: dict[str, Any], stream: bool
) -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server:
            answer = await post(server, path, model="seeing", stream=stream, **body)
            assert answer.status == 200
            [part] = engine.requests[-1].messages[-1]["content"]
            assert part == {"type": "image_url", "image_url": {"url": PICTURE}}
            assert server.services.files._uploads == {}
            # Loaded first: a load is told of in the stream, and then so is what fails after it.
            await post(server, "/v1/completions", model="pocket", prompt="say: a")
            blind = await post(server, path, model="pocket", stream=stream, **body)
            assert blind.status == 400
            assert "cannot see images" in blind.error["message"]

    run(test)
