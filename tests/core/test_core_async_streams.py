"""Streams of the asyncio driver: started, shared, dropped; functions and pings."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from core_async import each_loop, run, seen
from core_clients import Count, echo, numbers

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient
from lmstudio_core.protocol.operations import InvokeMany
from lmstudio_testing import NO_ANSWER, silent
from waiting import PATIENCE

pytestmark = pytest.mark.usefixtures(each_loop.__name__)

# -- streams ---------------------------------------------------------------------------------------


def test_a_dropped_stream_is_cancelled(server):
    async def test():
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())
            assert await stream.__anext__() == 1
            del stream
            gc.collect()
            await seen(server.requests[0].wait_for_message, "cancel")

    run(test)


def test_a_stream_dropped_in_another_thread(server):
    async def test():
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        async with AsyncClient(server.api_host) as client:
            held = [client.open(Count())]
            assert await held[0].__anext__() == 1
            thread = threading.Thread(target=held.clear)
            thread.start()
            thread.join()
            await seen(server.requests[0].wait_for_message, "cancel")

    run(test)


def test_a_stream_that_was_never_used(server):
    async def test():
        async with AsyncClient(server.api_host) as client:
            client.open(Count())
            stream = client.open(Count())
            await stream.aclose()
            assert [n async for n in stream] == []
            await stream.cancel()
        assert not server.sockets

    run(test)


def test_two_tasks_start_a_stream_once(server):
    async def test():
        server.on_channel("test.count", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())
            await asyncio.gather(stream.start(), stream.send({"type": "hello"}), stream.start())
            channel = await seen(server.wait_for_request, "test.count")
            await seen(channel.wait_for_message, "hello")
            await stream.aclose()
        assert len(server.requests) == 1

    run(test)


def test_a_stream_closed_while_it_starts(server):
    async def test():
        server.auth = silent
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())
            starting = asyncio.ensure_future(stream.start())
            socket = await seen(server.wait_for_socket, "test")
            await stream.aclose()
            socket.send_frame({"success": True})
            await starting
        assert not server.requests

    run(test)


def test_a_stream_closed_by_another_task_ends_for_the_waiting_one(server):
    async def test():
        server.on_channel("test.count", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())

            async def consume():
                return [n async for n in stream]

            waiting = asyncio.ensure_future(consume())
            channel = await seen(server.wait_for_request, "test.count")
            await stream.aclose()
            assert await asyncio.wait_for(waiting, PATIENCE) == []
            await seen(channel.wait_for_message, "cancel")

    run(test)


def test_two_tasks_cannot_wait_for_one_stream(server):
    async def test():
        server.on_channel("test.count", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())
            first = asyncio.ensure_future(stream.__anext__())
            channel = await seen(server.wait_for_request, "test.count")
            with pytest.raises(errors.LMStudioRuntimeError, match="Another task"):
                await stream.__anext__()
            channel.send({"type": "n", "n": 1})
            assert await first == 1
            await stream.aclose()

    run(test)


def test_many_tasks(server):
    async def test():
        server.on("test.echo", lambda n: n)

        def count(channel):
            channel.send(*numbers(*range(channel.parameter, channel.parameter + 10)))
            channel.close()

        server.on_channel("test.count", count)
        async with AsyncClient(server.api_host) as client:

            async def work(n):
                for step in range(20):
                    assert await client.run(echo(n * 100 + step)) == n * 100 + step
                assert await client.run(Count(n)) == list(range(n, n + 10))

            await asyncio.gather(*(work(n) for n in range(50)))
        assert len(server.sockets) == 1

    run(test)


# -- functions and pings ---------------------------------------------------------------------------


def test_a_function_that_is_interrupted_leaves_no_other_running(server):
    class Interrupt(BaseException):
        pass

    async def test():
        stopped = []

        async def endless():
            try:
                await asyncio.Event().wait()
            finally:
                stopped.append(True)

        async def strike():
            await asyncio.sleep(0)
            raise Interrupt

        client = AsyncClient(server.api_host)
        with pytest.raises(Interrupt):
            await client.run(InvokeMany([endless, strike, endless], max_parallel=3))
        assert stopped == [True, True]

    run(test)


def test_pings_are_answered(server):
    async def test():
        server.on("test.echo", 1)
        async with AsyncClient(server.api_host) as client:
            await client.run(echo(1))
            pong = server.sockets[0].ping()
            assert await asyncio.wrap_future(pong) >= 0

    run(test)
