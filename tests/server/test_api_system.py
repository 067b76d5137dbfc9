"""The server itself: HTTP, who may enter, the system and files namespaces, what is not offered."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from wire_client import Refused, client, fake_server, load, prediction, run
from wire_schema import SCHEMAS

from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.config import ServerConfig, is_loopback
from lmstudio_server.serving import socket as socket_module
from lmstudio_server.serving.http import refusal
from lmstudio_server.serving.server import ListenError
from lmstudio_server.wire.auth import CONTROL_IDENTIFIER

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


async def get(port: int, path: str, **headers: str) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", f"Host: {headers.pop('host', '127.0.0.1')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), json.loads(body)


class TestHttp:
    def test_greeting_and_status(self) -> None:
        async def test() -> None:
            async with fake_server() as server:
                assert await get(server.port, "/lmstudio-greeting") == (200, {"lmstudio": True})
                code, status = await get(server.port, "/lms-status")
                assert code == 200
                assert status["package"] == "lmstudio-server"
                assert status["instanceId"] == server.services.config.instance_id
                assert status["loadedModels"] == []

        run(test)

    def test_unknown_paths(self) -> None:
        async def test() -> None:
            async with fake_server() as server:
                code, body = await get(server.port, "/elsewhere")
                assert code == 404
                assert "llm" in body["error"]
                with pytest.raises(InvalidStatus) as caught:
                    async with connect(f"ws://{server.host}/nope", proxy=None):
                        pass
                assert caught.value.response.status_code == 404

        run(test)

    def test_strange_hosts_and_origins(self) -> None:
        async def test() -> None:
            async with fake_server(allowed_origins=("https://ours.example",)) as server:
                assert (await get(server.port, "/lms-status", host="evil.example"))[0] == 403
                assert (await get(server.port, "/lms-status", host="localhost:5"))[0] == 200
                origin = {"Origin": "https://evil.example"}
                assert (await get(server.port, "/lmstudio-greeting", **origin))[0] == 403
                with pytest.raises(InvalidStatus):
                    async with connect(
                        f"ws://{server.host}/llm", origin="https://evil.example", proxy=None
                    ):
                        pass
                for fine in ("https://ours.example", "http://localhost:3000"):
                    async with connect(f"ws://{server.host}/llm", origin=fine, proxy=None):
                        pass

        run(test)

    @pytest.mark.parametrize(
        ("host", "hosts", "origins", "refused"),
        [
            ("127.0.0.1", ["127.0.0.1:1234"], [], False),
            ("127.0.0.1", ["[::1]:1234"], [], False),
            ("127.0.0.1", ["LOCALHOST"], [], False),
            ("127.0.0.1", ["127.0.0.1.evil.example"], [], True),
            ("127.0.0.1", ["[broken"], [], True),
            ("0.0.0.0", ["10.0.0.1:80"], [], False),
            ("0.0.0.0", ["10.0.0.1"], ["http://evil.example"], True),
            ("0.0.0.0", ["myserver.lan"], [], True),
            ("127.0.0.1", [], ["null"], True),
            ("127.0.0.1", [], ["http://127.0.0.1:8080"], False),
        ],
    )
    def test_rules(self, host: str, hosts: list[str], origins: list[str], refused: bool) -> None:
        assert (refusal(ServerConfig(host=host), hosts, origins) is not None) is refused

    def test_loopback(self) -> None:
        assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost")))
        assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "evil", "")))


class TestEntering:
    def test_tokens(self, caplog: pytest.LogCaptureFixture) -> None:
        async def refused(server: Any, identifier: str, passkey: str) -> str:
            async with connect(f"ws://{server.host}/llm", proxy=None) as socket:
                await socket.send(
                    json.dumps(
                        {
                            "authVersion": 1,
                            "clientIdentifier": identifier,
                            "clientPasskey": passkey,
                        }
                    )
                )
                answer = json.loads(await socket.recv())
                assert answer["success"] is False
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            return answer["error"]

        async def test() -> None:
            async with fake_server(api_tokens=(TOKEN,)) as server:
                assert "LM_API_TOKEN" in await refused(server, "guest:1", "x")
                assert "not valid" in await refused(server, "abcdefgh", "WRONGWRONGWRONGWRONG")
                async with client(server, "llm", "abcdefgh", "ABCDEFGHIJKLMNOPQRST") as llm:
                    await load(llm)
                _, status = await get(server.port, "/lms-status")
                assert status["requiresToken"] is True
                assert "loadedModels" not in status

        with caplog.at_level(logging.DEBUG):
            run(test)
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("lmstudio_server")]
        assert ours
        assert not any("WRONGWRONG" in line or "ABCDEFGHIJ" in line for line in ours)

    def test_a_client_that_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket_module, "AUTH_TIMEOUT_SECONDS", 0.01)

        async def test() -> None:
            async with fake_server() as server, connect(f"ws://{server.host}/llm", proxy=None) as s:
                assert json.loads(await s.recv())["error"] == "Authentication timed out"

        run(test)

    def test_binary_frames_are_ignored(self) -> None:
        async def test() -> None:
            async with fake_server() as server, client(server, "llm") as llm:
                await llm.socket.send(b'{"type":"keepAlive"}')
                await llm.send(type="keepAlive")
                assert await llm.receive() == {"type": "keepAliveAck"}

        run(test)


class TestSystem:
    def test_models_on_disk(self) -> None:
        async def test() -> None:
            async with fake_server() as server, client(server, "system") as system:
                models = await system.call("listDownloadedModels")
                assert [m["modelKey"] for m in models] == [
                    "pocket", "pocket-embedding", "slow", "corrupt", "seeing",
                ]  # fmt: skip
                assert {m["type"] for m in models} == {"llm", "embedding"}
                [variant] = await system.call("listDownloadedModelVariants", modelKey="pocket")
                assert variant["modelKey"] == "pocket"
                assert await system.call("listDownloadedModelVariants", modelKey="no") == []

        run(test)

    def test_about_the_server(self, caplog: pytest.LogCaptureFixture) -> None:
        async def test() -> None:
            async with fake_server() as server, client(server, "system") as system:
                assert (await system.call("version"))["version"] == "2.0.0"
                assert (await system.call("info"))["isDaemon"] is False
                assert await system.call("notify", title="t", description="hello there") is None
                await system.call("setExperimentFlag", code="x", value=True)
                assert await system.call("getExperimentFlags") == ["x"]
                await system.call("setExperimentFlag", code="x", value=False)
                assert await system.call("getExperimentFlags") == []

        with caplog.at_level(logging.INFO):
            run(test)
        assert "hello there" in caplog.text

    def test_shutdown_is_answered_and_watched(self) -> None:
        async def test() -> None:
            async with (
                fake_server() as server,
                client(server, "system") as system,
                client(server, "system") as watcher,
            ):
                alive = await watcher.open("alive")
                await watcher.send(type="keepAlive")
                assert await watcher.receive() == {"type": "keepAliveAck"}
                assert await system.call("requestShutdown") is None
                assert [packet async for packet in alive] == []
                await server.wait_until_done()

        run(test)

    def test_a_stranger_may_not_shut_it_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(socket_module, "is_loopback", lambda _host: False)

        async def test() -> None:
            async with fake_server(control_key="key") as server:
                async with client(server, "system") as system:
                    with pytest.raises(Refused, match="may not"):
                        await system.call("requestShutdown")
                async with client(server, "system", CONTROL_IDENTIFIER, "key") as system:
                    await system.call("requestShutdown")

        run(test)


class TestFiles:
    def test_uploads_belong_to_their_client(self) -> None:
        async def test() -> None:
            content = base64.b64encode(b"hello").decode()
            async with fake_server() as server:
                async with (
                    client(server, "files", "guest:a") as files,
                    client(server, "files", "guest:b") as others,
                ):
                    up = await files.call(
                        "uploadFileBase64", name="../n.txt", contentBase64=content
                    )
                    again = await files.call("uploadFileBase64", name="n", contentBase64=content)
                    assert up["fileType"] == "text/plain"
                    assert up["identifier"] != again["identifier"]
                    found = await files.call("getLocalFileAbsolutePath", fileName=up["identifier"])
                    path = Path(found["path"])
                    assert await asyncio.to_thread(path.read_bytes) == b"hello"
                    with pytest.raises(Refused, match="No file"):
                        await others.call("getLocalFileAbsolutePath", fileName=up["identifier"])
                    with pytest.raises(Refused, match="base64"):
                        await files.call("uploadFileBase64", name="n", contentBase64="!")
                async with client(server, "files", "guest:a") as files:
                    while await asyncio.to_thread(path.exists):
                        await files.send(type="keepAlive")
                        await files.receive()
            assert not await asyncio.to_thread(path.parent.exists)

        run(test)

    def test_large_frames(self) -> None:
        async def test() -> None:
            content = base64.b64encode(bytes(8 * 1024 * 1024)).decode()
            async with fake_server() as server, client(server, "files") as files:
                up = await files.call("uploadFileBase64", name="big", contentBase64=content)
                assert up["sizeBytes"] == 8 * 1024 * 1024

        run(test)


class TestNotOffered:
    @pytest.mark.parametrize("name", sorted(NAMESPACES))
    def test_every_endpoint_of_the_protocol_answers(self, name: str) -> None:
        path = SCHEMAS / "_index.json"
        if not path.exists():
            pytest.skip("the protocol's schemas are not here")
        known = json.loads(path.read_text())["namespaces"][name]
        endpoints = NAMESPACES[name].endpoints
        assert {n for n, e in endpoints.items() if e.kind == "rpc"} == set(known["rpc"])
        assert {n for n, e in endpoints.items() if e.kind == "channel"} == set(known["channel"])

    def test_the_answer_is_an_error(self) -> None:
        async def test() -> None:
            async with (
                fake_server() as server,
                client(server, "repository") as repository,
            ):
                await repository.send(type="rpcCall", endpoint="getModelCatalog", callId=1)
                frame = await repository.receive()
                assert frame["type"] == "rpcError"
                assert "not offered by lmstudio-server 2.0.0" in frame["error"]["title"]
                with pytest.raises(Refused, match="not offered"):
                    await repository.collect("ensureAuthenticated")
                await repository.send(type="rpcCall", endpoint="nope", callId=2)
                frame = await repository.receive()
                assert (frame["type"], frame["kind"]) == (
                    "communicationWarning",
                    "rpcEndpointUnknown",
                )
                _, status = await get(server.port, "/lms-status")
                assert status["communicationWarnings"] == {"sent": 1, "received": 0}

        run(test)


def test_a_mistake_of_the_server_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine) as server, client(server, "llm") as llm:
            await load(llm)
            monkeypatch.setattr(engine.models[0], "tokenize", lambda _text: 1 / 0)
            with pytest.raises(Refused, match=r"failed in llm\.tokenize") as caught:
                await llm.call(
                    "tokenize", specifier={"type": "query", "query": {}}, inputString="x"
                )
            assert "ZeroDivisionError" in caught.value.error["cause"]
            assert (await llm.collect("predict", **prediction("say: a")))[-1]["type"] == "success"

    run(test)


def test_a_port_that_is_taken() -> None:
    async def test() -> None:
        async with fake_server() as server:
            from lmstudio_server.serving.server import serve

            with pytest.raises(ListenError, match=str(server.port)):
                async with serve(
                    ServerConfig(port=server.port),
                    engine=FakeEngine(),
                    library=server.services.library,
                ):
                    pass

    run(test)


def test_the_end_of_the_server_ends_everything() -> None:
    async def test() -> None:
        engine = FakeEngine()
        async with fake_server(engine, shutdown_grace=0.01) as server:
            socket = await connect(f"ws://{server.host}/llm", proxy=None)
            await socket.send(
                json.dumps({"authVersion": 1, "clientIdentifier": "g", "clientPasskey": "p"})
            )
            await socket.recv()
            from wire_client import Client

            llm = Client(socket, "llm")
            await load(llm)
            packets = await llm.open("predict", **prediction("wait"))
            await engine.waiting.wait()
        # What was generated so far is told, and why it ended.
        last = [packet async for packet in packets][-1]
        assert last["stats"]["stopReason"] == "modelUnloaded"
        assert engine.closed_generations == 1
        assert engine.models[0].unloaded
        await socket.close()

    run(test)


def test_idleness() -> None:
    async def test() -> None:
        async with fake_server(idle_timeout=0.05) as server:
            async with client(server, "llm"):
                assert server.services.presence.sockets == 1
                assert not server.services.shutdown.is_set()
            await server.wait_until_done()

    run(test)
