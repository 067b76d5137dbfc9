"""Much at once, and ends in the middle: nothing is lost, nothing is left.

In the long mode (``LMSTUDIO_TEST_DEEP=1``) the numbers are those of the claims: ten thousand
connections, not five hundred. ``benchmarks/soak.py`` does all of it for as long as one likes.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from wire_client import Refused, client, load, prediction, query, run, stack

from lmstudio_server.config import ServerConfig
from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.serving.server import RunningServer, serve
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from wire_client import Client, Packets

    from lmstudio_server.registry import Instance

LONG = os.environ.get("LMSTUDIO_TEST_DEEP", "") not in ("", "0")
CONNECTIONS = 10_000 if LONG else 500
LOADS = 200 if LONG else 12
PREDICTIONS = 64

linux_only = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="counts descriptors and memory in /proc"
)
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals")

QUESTIONS = (
    "What is the meaning of life?",
    "What is the capital of France?",
    "What is the capital of Italy?",
    "Tell me a story.",
)
ENDLESS = {
    "llm__prediction__structured": {"type": "gbnf", "gbnfGrammar": 'root ::= "word " root'},
    # A pocket model fills its context in a second, which would be an end.
    "llm__prediction__contextOverflowPolicy": "rollingWindow",
}


@asynccontextmanager
async def server(folder: Path) -> AsyncGenerator[RunningServer, None]:
    """A server in this process, with real engines in theirs."""
    async with serve(ServerConfig(port=0, model_folders=(folder,))) as running:
        yield running


def asked(question: str, identifier: str = "pocket", **fields: Any) -> dict[str, Any]:
    return {**prediction(question, **fields), "modelSpecifier": query(identifier)}


def text(packets: list[dict[str, Any]]) -> str:
    return "".join(p["fragment"]["content"] for p in packets if p["type"] == "fragment")


def instance(running: RunningServer, identifier: str) -> Instance:
    found = running.services.registry.by_identifier(identifier)
    assert found is not None
    return found


def pid_of(running: RunningServer, identifier: str) -> int:
    pid = instance(running, identifier).model.pid
    assert pid is not None
    return pid


async def begun(one: Client, identifier: str) -> Packets:
    """A prediction without an end that has begun to generate."""
    packets = await one.open("predict", **asked("Go on.", identifier, **ENDLESS))
    async for packet in packets:
        if packet["type"] == "fragment":
            return packets
    raise AssertionError("it ended")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def test_64_predictions_at_once_are_all_right(tmp_path: Path) -> None:
    async def test() -> None:
        async with server(tmp_path) as running:
            async with client(running, "llm") as one:
                await load(one)
                right = {q: text(await one.collect("predict", **asked(q))) for q in QUESTIONS}
            assert right[QUESTIONS[0]] == "The meaning of life is 42."

            async def ask(number: int) -> None:
                question = QUESTIONS[number % len(QUESTIONS)]
                async with client(running, "llm", f"guest:{number}") as one:
                    # Packets carry no numbers: only in their order do they make the answer.
                    packets = await one.collect("predict", **asked(question))
                    assert text(packets) == right[question]
                    assert packets[-1]["type"] == "success"

            await asyncio.gather(*(ask(number) for number in range(PREDICTIONS)))
            assert instance(running, "pocket").activities == {}

    run(test)


def test_64_predictions_at_once_on_one_connection(tmp_path: Path) -> None:
    async def test() -> None:
        async with server(tmp_path) as running, client(running, "llm") as one:
            await load(one)
            right = {q: text(await one.collect("predict", **asked(q))) for q in QUESTIONS}
            open_channels: dict[int, tuple[str, list[str]]] = {}
            for number in range(PREDICTIONS):
                question = QUESTIONS[number % len(QUESTIONS)]
                packets = await one.open("predict", **asked(question))
                open_channels[packets.channel_id] = (question, [])
            while open_channels:
                frame = await one.receive()
                question, pieces = open_channels[frame["channelId"]]
                if frame["type"] == "channelClose":
                    assert "".join(pieces) == right[question]
                    del open_channels[frame["channelId"]]
                elif frame["message"]["type"] == "fragment":
                    pieces.append(frame["message"]["fragment"]["content"])

    run(test)


@posix_only
def test_a_killed_engine_fails_its_own_requests_and_no_others(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            server(tmp_path) as running,
            client(running, "llm") as one,
            client(running, "llm") as other,
        ):
            await load(one, identifier="doomed")
            await load(one, identifier="spared")
            doomed, spared = await begun(one, "doomed"), await begun(other, "spared")
            pid = pid_of(running, "doomed")
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(Refused, match="doomed") as caught:
                [packet async for packet in doomed]
            assert "SIGKILL" in caught.value.error["cause"]
            assert caught.value.error["suggestion"]
            # The other one goes on generating, and can be ended in good order.
            assert (await anext(spared))["type"] == "fragment"
            await spared.cancel()
            assert [p async for p in spared][-1]["stats"]["stopReason"] == "userStopped"
            # The next call for it says what is loaded; one by key loads it again.
            with pytest.raises(Refused, match="No loaded model"):
                await one.collect("predict", **asked("Hello", "doomed"))
            await one.call("unloadModel", identifier="spared")
            packets = await one.collect("getOrLoad", identifier="pocket", loadConfigStack=stack())
            assert packets[-1]["type"] == "loadSuccess"
            assert text(await one.collect("predict", **asked(QUESTIONS[0])))
            assert gone(pid)

    run(test)


CLIENT = """
import asyncio, base64, json, sys
from websockets.asyncio.client import connect

async def main(host, parameter):
    async def opened(namespace):
        socket = await connect(f"ws://{host}/{namespace}", proxy=None)
        await socket.send(json.dumps(
            {"authVersion": 1, "clientIdentifier": "guest:killed", "clientPasskey": "k"}))
        await socket.recv()
        return socket

    files, llm = await opened("files"), await opened("llm")
    await files.send(json.dumps({"type": "rpcCall", "endpoint": "uploadFileBase64", "callId": 1,
        "parameter": {"name": "a.txt", "contentBase64": base64.b64encode(b"text").decode()}}))
    await files.recv()
    await llm.send(json.dumps({"type": "channelCreate", "endpoint": "predict", "channelId": 1,
        "creationParameter": json.loads(parameter)}))
    while '"fragment"' not in await llm.recv():
        pass
    print("generating", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@posix_only
def test_a_killed_client_leaves_nothing_behind(tmp_path: Path) -> None:
    import json

    async def test() -> None:
        async with server(tmp_path) as running, client(running, "llm") as one:
            config = stack(llm__load__numParallelSessions=1)
            await one.collect("loadModel", modelKey="pocket", loadConfigStack=config)
            parameter = json.dumps(asked("Go on.", **ENDLESS))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, running.host, parameter, stdout=subprocess.PIPE
            )
            try:
                assert process.stdout is not None
                assert (await process.stdout.readline()).strip() == b"generating"
                store = running.services.files
                released = asyncio.Event()
                (upload,) = [path for path in _uploads(running) if path.read_bytes() == b"text"]
                release = store.release

                def releasing(client_identifier: str) -> None:
                    release(client_identifier)
                    released.set()

                store.release = releasing  # type: ignore[method-assign] # tells when it happens
                used = instance(running, "pocket")
                assert len(used.activities) == 1
            finally:
                process.kill()
                await process.wait()
            await asyncio.wait_for(used.idle.wait(), 20)
            await asyncio.wait_for(released.wait(), 20)
            assert not upload.exists()
            # The engine's only slot is free: the endless generation has ended there too.
            assert text(await one.collect("predict", **asked(QUESTIONS[0])))

    run(test)


def _uploads(running: RunningServer) -> list[Path]:
    uploads = running.services.files._uploads  # pyright: ignore[reportPrivateUsage] - no other way to see them all
    return [upload.path for of_client in uploads.values() for upload in of_client.values()]


@linux_only
def test_connections_come_and_go_and_leave_nothing() -> None:
    async def visit(host: Any, number: int) -> None:
        namespace = ("llm", "system", "files", "embedding")[number % 4]
        async with client(host, namespace, f"guest:{number}") as one:
            if namespace == "system":
                await one.call("version")
            elif namespace == "files":
                content = base64.b64encode(b"x" * 1000).decode()
                await one.call("uploadFileBase64", name="x.txt", contentBase64=content)
            else:
                await one.call("listLoaded")

    async def visits(host: Any, count: int) -> None:
        numbers = iter(range(count))

        async def visitor() -> None:
            for number in numbers:
                await visit(host, number)

        await asyncio.gather(*(visitor() for _ in range(10)))

    with running_server() as process:
        # The first ones fill caches and make threads.
        asyncio.run(visits(process, 200))
        before = (descriptors(process.pid), resident_kilobytes(process.pid))
        asyncio.run(asyncio.wait_for(visits(process, CONNECTIONS), 100 if not LONG else 3000))
        # The server's own end of the last ones may come a moment later.
        limit = time.monotonic() + 10
        while descriptors(process.pid) > before[0] and time.monotonic() < limit:
            assert fetch_status("127.0.0.1", process.port) is not None
        after = (descriptors(process.pid), resident_kilobytes(process.pid))
        assert after[0] <= before[0]
        assert after[1] - before[1] < 8_000, f"grew from {before[1]} to {after[1]} kB"
        assert "Traceback" not in process.log.read_text()


@linux_only
def test_loading_and_unloading_gives_everything_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with server(tmp_path) as running, client(running, "llm") as one:

            async def once() -> None:
                await load(one)
                pid = pid_of(running, "pocket")
                assert resident_kilobytes(pid) > 20_000
                await one.collect("predict", **asked(QUESTIONS[0]))
                await one.call("unloadModel", identifier="pocket")
                assert gone(pid)

            for _ in range(3):
                await once()
            before = (descriptors(os.getpid()), resident_kilobytes(os.getpid()))
            for _ in range(LOADS):
                await once()
            after = (descriptors(os.getpid()), resident_kilobytes(os.getpid()))
            assert after[0] <= before[0]
            assert after[1] - before[1] < 8_000, f"grew from {before[1]} to {after[1]} kB"

    run(test) if not LONG else asyncio.run(test())
