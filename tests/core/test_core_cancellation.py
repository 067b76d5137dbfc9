"""Cancellation at every point where an operation of the asyncio driver waits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys

import anyio
import pytest
from core_async import each_loop, run, seen
from core_clients import Count, echo, numbers

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient
from lmstudio_core.protocol.operations import Batch, Invoke, InvokeMany
from lmstudio_testing import silent
from waiting import PATIENCE

pytestmark = pytest.mark.usefixtures(each_loop.__name__)


class Cancelling:
    """Awaits ``work``, and cancels it where it waits for the ``at``-th time, as tasks are cancelled.

    Args:
        late: Not before what it waits for has come, but in the same turn of the loop: the moment in
            which a cancellation can get lost.
    """

    def __init__(self, work, at, *, late):
        self.work, self.at, self.late = work, at, late
        self.waits = 0

    @property
    def struck(self):
        return self.waits >= self.at

    def __await__(self):
        def resume():
            return self.work.send(None)

        while True:
            try:
                awaited = resume()
            except StopIteration as stop:
                return stop.value
            self.waits += 1
            strike = self.waits == self.at
            error = None
            if strike and not self.late and awaited is not None:  # None: a bare turn of the loop
                awaited.cancel()
            try:
                yield awaited
            except BaseException as raised:
                error = raised
            if strike:
                error = asyncio.CancelledError()

            def resume(error=error):
                return self.work.send(None) if error is None else self.work.throw(error)


async def every_wait(operation, check):
    """Cancel ``operation`` at each of its waits, in turn; ``check`` what is left each time."""
    for late in (False, True):
        at = 0
        while True:
            at += 1
            work = Cancelling(operation(), at, late=late)
            try:
                result = await work
            except asyncio.CancelledError:
                assert work.struck, "nobody cancelled it"
            else:
                assert not work.struck, f"the cancellation at wait {at} was swallowed: {result!r}"
                break
            await check()


async def stream_of(client, **limits):
    stream = client.open(Count(), **limits)
    async with stream:
        await stream.cancel()
        async for _ in stream:
            pass
    return stream.result()


async def conversation(client):
    async with client.open(Count()) as stream:
        await stream.send({"type": "more"})
        while await stream.receive():
            pass


async def turn():
    await asyncio.sleep(0)


def op():
    first = yield echo(1)
    second = yield Invoke(lambda: first, blocking=True)
    third = yield InvokeMany([turn, lambda: second])
    return (yield Batch([echo(n) for n in range(3)])), third


OPERATIONS = {
    "call": lambda client: client.run(echo(1)),
    "call in time": lambda client: client.run(echo(1), timeout=PATIENCE),
    "call without silence": lambda client: client.run(echo(1), idle_timeout=PATIENCE),
    "large call": lambda client: client.run(echo("x" * 4_000_000), timeout=PATIENCE),
    "channel": lambda client: client.run(Count(), timeout=PATIENCE),
    "stream": stream_of,
    "stream in time": lambda client: stream_of(client, timeout=PATIENCE),
    "conversation": conversation,
    "batch": lambda client: client.run(Batch([echo(n) for n in range(8)], max_in_flight=2)),
    "batch in time": lambda client: client.run(
        Batch([echo(n) for n in range(8)]), timeout=PATIENCE
    ),
    "op": lambda client: client.run(op()),
    "op in time": lambda client: client.run(op(), timeout=PATIENCE),
    "functions in time": lambda client: client.run(InvokeMany([turn, turn]), timeout=PATIENCE),
    "connect": lambda client: client.connect("test"),
    "disconnect": lambda client: client.disconnect("test"),
    "close what is idle": lambda client: client.close_idle(),
}


def prepared(server):
    server.on("test.echo", lambda n: n if isinstance(n, int) else len(n))
    server.on_channel("test.count", numbers(1, 2, 3))


class Checks:
    """That nothing is left of what was cancelled, and that the client works on."""

    def __init__(self, client):
        self.client = client
        self.tasks = asyncio.all_tasks()

    async def __call__(self):
        driver = self.client._driver
        assert not driver._opening
        assert asyncio.all_tasks() == self.tasks
        assert all(c.mux.idle or not c.usable for c in driver._connections.values())
        assert await self.client.run(echo(7)) == 7


@pytest.mark.parametrize("name", OPERATIONS)
def test_at_every_wait_of_a_connected_client(server, name):
    async def test():
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")
            await every_wait(lambda: OPERATIONS[name](client), Checks(client))
        await seen(server.wait_until_closed)

    prepared(server)
    run(test)


@pytest.mark.parametrize("name", OPERATIONS)
def test_at_every_wait_of_a_client_that_has_to_connect(server, name):
    async def test():
        async with AsyncClient(server.api_host) as client:

            async def afresh():
                await Checks(client)()
                await client.disconnect("test")

            await every_wait(lambda: OPERATIONS[name](client), afresh)
        await seen(server.wait_until_closed)

    prepared(server)
    run(test)


@pytest.mark.parametrize("limits", [{}, {"timeout": PATIENCE}, {"idle_timeout": PATIENCE}])
def test_in_every_turn_of_the_loop_while_connecting(server, limits):
    """The task that connects may wait in several places at a time, behind one that is waited for."""

    async def test():
        async with AsyncClient(server.api_host) as client:
            check = Checks(client)
            for turns in range(200):
                task = asyncio.ensure_future(client.run(echo(1), **limits))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if task.done():
                    break
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await check()
                await client.disconnect("test")
            await task

    prepared(server)
    run(test)


@pytest.mark.parametrize("late", [False, True])
def test_at_every_wait_of_leaving(server, late):
    async def test():
        for at in range(1, 10):
            client = AsyncClient(server.api_host)
            await client.run(echo(1))
            leaving = Cancelling(client.aclose(), at, late=late)
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            with pytest.raises(errors.LMStudioRuntimeError, match="closed"):
                await client.run(echo(1))
            await seen(server.wait_until_closed)
            if not leaving.struck:
                return

    prepared(server)
    run(test)


# -- scopes and groups -----------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{}, {"timeout": PATIENCE}, {"idle_timeout": PATIENCE}])
def test_a_task_group_does_not_wait_for_one_that_connects(server, limits):
    """anyio's, on every Python; it cancels again in each turn until the task has ended."""

    async def test():
        server.auth = silent
        async with AsyncClient(server.api_host) as client:
            async with anyio.create_task_group() as group:
                for n in range(3):
                    group.start_soon(lambda n=n: client.run(echo(n), **limits))
                await seen(server.wait_for_socket, "test")
                group.cancel_scope.cancel()
            assert not client._driver._opening
        await seen(server.wait_until_closed)

    run(test)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
@pytest.mark.parametrize("limits", [{}, {"timeout": PATIENCE}])
def test_timeouts_and_task_groups_of_asyncio(server, limits):
    async def test():
        server.auth = silent
        async with AsyncClient(server.api_host) as client:
            with pytest.raises(TimeoutError):  # noqa: PT012 - the limit is what raises
                async with asyncio.timeout(None) as limit:
                    asked = asyncio.ensure_future(seen(server.wait_for_socket, "test"))
                    asked.add_done_callback(lambda _: limit.reschedule(0))  # that is long over
                    await client.run(echo(1), **limits)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(client.run(echo(1), **limits))
                await seen(server.wait_for_socket, "test", 2)
                task.cancel()
            assert task.cancelled()
            assert asyncio.current_task().cancelling() == 0
        await seen(server.wait_until_closed)

    run(test)


def test_a_limit_around_connecting_leaves_nothing(server):
    async def test():
        server.auth = silent
        async with AsyncClient(server.api_host) as client:
            tasks = asyncio.all_tasks()
            with pytest.raises(errors.LMStudioTimeoutError, match=r"test\.echo"):
                await client.run(echo(1), timeout=0.05)
            assert asyncio.all_tasks() == tasks
            assert not client._driver._opening
            await seen(server.wait_until_closed)

    run(test)
    gc.collect()
