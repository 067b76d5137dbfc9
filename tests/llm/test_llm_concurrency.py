"""Many predictions at once over one client: each stream whole, in order, and by itself."""

from __future__ import annotations

import asyncio
import gc
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llm_scripts import HELLO, Caller, fragment, success

from lmstudio_core.client import AsyncClient, Client
from lmstudio_llm import LLM, AsyncLLM
from lmstudio_testing import FakeServer

PREDICT = "llm.predict"
MANY = 24
LENGTH = 60


def asked(channel: Any) -> str:
    text: str = channel.parameter["history"]["messages"][-1]["content"][0]["text"]
    return text


async def interleaved(channel: Any) -> None:
    """Says its own name and a number, again and again, taking turns with all the others."""
    for number in range(LENGTH):
        channel.send(fragment(f"{asked(channel)}:{number} "))
        await asyncio.sleep(0)
    channel.send(success())
    channel.close()


def expected(name: str) -> list[str]:
    return [f"{name}:{number} " for number in range(LENGTH)]


def test_many_threads(server: FakeServer) -> None:
    server.on_channel(PREDICT, interleaved)
    together = threading.Barrier(MANY)
    with Client(server.api_host) as client, ThreadPoolExecutor(MANY) as pool:
        model = LLM("scripted", client)

        def ask(number: int) -> tuple[list[str], str]:
            stream = model.respond_stream(f"m{number}")
            together.wait()
            return [piece.content for piece in stream], stream.result().content

        for number, (pieces, content) in enumerate(pool.map(ask, range(MANY))):
            assert pieces == expected(f"m{number}")
            assert content == "".join(pieces)
    assert len(server.sockets) == 1


def test_many_tasks(server: FakeServer) -> None:
    server.on_channel(PREDICT, interleaved)

    async def ask(model: AsyncLLM, number: int) -> tuple[list[str], str]:
        stream = model.respond_stream(f"m{number}")
        return [piece.content async for piece in stream], stream.result().content

    async def main() -> list[tuple[list[str], str]]:
        async with AsyncClient(server.api_host) as client:
            model = AsyncLLM("scripted", client)
            return await asyncio.gather(*(ask(model, number) for number in range(4 * MANY)))

    for number, (pieces, content) in enumerate(asyncio.run(main())):
        assert pieces == expected(f"m{number}")
        assert content == "".join(pieces)
    assert len(server.sockets) == 1


def test_streams_read_in_turns_by_one_reader(server: FakeServer) -> None:
    server.on_channel(PREDICT, interleaved)
    with Client(server.api_host) as client:
        model = LLM("scripted", client)
        streams = [iter(model.respond_stream(f"m{number}")) for number in range(5)]
        rounds = [[next(stream).content for stream in streams] for _ in range(LENGTH)]
        for number, stream in enumerate(streams):
            assert [turn[number] for turn in rounds] == expected(f"m{number}")
            assert next(stream, None) is None


def many_fragments(channel: Any) -> None:
    if asked(channel) == "long":
        channel.send(*(fragment(f"{number} ") for number in range(5000)))
        channel.send(success())
    else:
        channel.send(*HELLO)
    channel.close()


def test_a_slow_reader_delays_only_itself(server: FakeServer, caller: Caller) -> None:
    server.on_channel(PREDICT, many_fragments)
    model = caller.model
    slow = model.respond_stream("long")
    caller.run(slow.start())
    for _ in range(20):  # all of them come after what nobody reads yet
        assert caller.run(model.respond("short", timeout=20)).content == "Hello"
    pieces = [piece.content for piece in caller.take(slow)]
    assert pieces == [f"{number} " for number in range(5000)]
    assert caller.run(model.respond("short")).content == "Hello"


def test_leaving_one_of_many_leaves_the_others_alone(server: FakeServer, caller: Caller) -> None:
    server.on_channel(PREDICT, many_fragments)
    left = caller.model.respond_stream("long")
    kept = caller.model.respond_stream("long")
    caller.run(kept.start())
    assert len(caller.take(left, 3)) == 3
    assert len(caller.take(kept)) == 5000


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_waits_is_bounded_by_the_answer_and_gone_with_the_stream(
    server: FakeServer, is_async: bool
) -> None:
    server.on_channel(PREDICT, many_fragments)
    caller = Caller(server.api_host, is_async=is_async)
    caller.run(caller.model.respond("short"))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    slow = caller.model.respond_stream("long")
    caller.run(slow.start())
    caller.run(caller.model.respond("short"))
    waiting = tracemalloc.get_traced_memory()[0] - before
    caller.run(slow.aclose() if is_async else slow.close())
    del slow
    gc.collect()
    after = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    # The scripted server lives in this process: what it still holds counts as well.
    assert waiting < 5000 * 4096
    assert after < waiting / 2
    assert caller.run(caller.model.respond("short")).content == "Hello"
    caller.close()


def test_nothing_is_kept_of_streams_that_were_left(server: FakeServer, caller: Caller) -> None:
    server.on_channel(PREDICT, many_fragments)
    for _ in range(5):
        caller.take(caller.model.respond_stream("long"), 1)
    gc.collect()
    caller.run(caller.model.respond("short"))
    connection = caller.client._driver._connections["llm"]
    assert sum(len(state.inbox) for state in connection.mux._channels.values()) == 0
