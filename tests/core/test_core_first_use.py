"""The first use of a client holds up no event loop: imports and looking for plugins happen aside."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading

import pytest

from lmstudio_core.client import AsyncClient, base
from lmstudio_core.drivers.functions import off_loop
from lmstudio_core.errors import CapabilityNotInstalledError
from lmstudio_core.plugins.registry import Plugins
from lmstudio_testing import FakeServer

# Prints what was imported, and which entry points were read, in the thread of the event loop.
PROGRAM = """
import asyncio, json, sys, threading
import lmstudio as lms

told, phase = {"entering": [], "using": []}, "entering"

def hook(event, args):
    if threading.current_thread() is not threading.main_thread():
        return
    if event == "import" and args[0] not in sys.modules:
        told[phase].append(args[0])
    if event == "open" and str(args[0]).endswith(("entry_points.txt", "METADATA")):
        told[phase].append(str(args[0]))

def multiply(a: int, b: int) -> int:
    "Multiply two whole numbers."
    return a * b

async def main():
    global phase
    sys.addaudithook(hook)
    async with lms.AsyncClient(sys.argv[1]) as client:
        phase = "using"
        model = await client.llm.model("any")
        said = [str(await model.respond("Hello"))]
        async for fragment in model.respond_stream("Hello"):
            said.append(fragment.content)
        said.append((await model.act("What is 6 times 7?", [multiply])).final)
        embedder = await client.embedding.model("any")
        said.append(len(await embedder.embed("Hello")))
    for thread in threading.enumerate():  # an executor's would not end before the loop does
        if thread is not threading.main_thread():
            thread.join(10)
    print(json.dumps({"said": said, "threads": threading.active_count(), **told}))

asyncio.run(main())
"""

HEAVY = ("pydantic", "websockets", "importlib_metadata", "lmstudio_llm", "http", "rich", "click")


@pytest.fixture(scope="module")
def told():
    pytest.importorskip("lmstudio_agent")
    pytest.importorskip("lmstudio_embed")
    with FakeServer() as server:
        server.embedding()
        server.llm().respond("Hi.", times=2).call_tool("multiply", {"a": 6, "b": 7}).respond("42")
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, server.api_host],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_program_works_and_leaves_no_thread(told):
    assert told["said"] == ["Hi.", "Hi.", "42", 8]
    assert told["threads"] == 1


def test_what_makes_a_client_is_light(told):
    assert not [name for name in told["entering"] if name.startswith(HEAVY)]
    assert len(told["entering"]) < 100


def test_nothing_of_weight_is_imported_in_the_loop_afterwards(told):
    """A module or two that a library imports late is no stall."""
    ours = [name for name in told["using"] if name.startswith(("lmstudio", "websockets"))]
    assert ours == []
    assert len(told["using"]) < 10


def test_nothing_is_looked_for_in_the_loop(told):
    read = [name for name in (*told["entering"], *told["using"]) if "/" in name or "\\" in name]
    assert read == []


@pytest.fixture
def watched(monkeypatch):
    """Plugins that are not looked at yet, and the threads that look at them."""
    threads = []

    class Watched(Plugins):
        def preload(self):
            threads.append(threading.current_thread())
            super().preload()

    plugins = Watched([], {})
    monkeypatch.setattr(base, "plugins", plugins)
    return threads


@pytest.mark.parametrize("way", ["enter", "run", "connect", "is_valid_api_host"])
def test_every_way_to_begin_has_it_done_aside(watched, way):
    async def use(client, host):
        if way == "enter":
            async with client:
                pass
        elif way == "run":
            from lmstudio_core.protocol.operations import Invoke

            assert await client.run(Invoke(lambda: 3)) == 3
        elif way == "connect":
            await client.connect("system")
        else:
            assert await client.is_valid_api_host(host)
        await client.aclose()

    async def main(host):
        await use(AsyncClient(host), host)
        await use(AsyncClient(host), host)  # the second time there is nothing to do

    with FakeServer() as server:
        asyncio.run(main(server.api_host))
    (thread,) = watched
    assert thread is not threading.main_thread()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_missing_or_broken_is_said_when_it_is_used(watched):
    async def main(host):
        async with AsyncClient(host) as client:
            with pytest.raises(CapabilityNotInstalledError):
                _ = client.llm

    with FakeServer() as server:
        asyncio.run(main(server.api_host))


def test_a_cancelled_caller_does_not_wait(watched):
    begun, go = threading.Event(), threading.Event()

    def slow():
        begun.set()
        assert go.wait(10)
        raise ValueError("nobody hears of it")

    async def main():
        task = asyncio.ensure_future(off_loop(slow))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # ends, while the thread goes on
    (thread,) = (t for t in threading.enumerate() if t.name == "lmstudio-import")
    go.set()
    thread.join(10)


def test_an_error_reaches_the_caller():
    def broken():
        raise ValueError("broken")

    async def main():
        with pytest.raises(ValueError, match="broken"):
            await off_loop(broken)
        assert await off_loop(threading.get_ident) != threading.get_ident()

    asyncio.run(main())
