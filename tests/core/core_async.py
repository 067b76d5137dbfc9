"""What the tests of the asyncio driver have in common."""

from __future__ import annotations

import asyncio
import gc
import sys

import anyio
import pytest
from core_clients import new_uvloop

from waiting import PATIENCE, eventually_async


def new_eager_loop():
    """A loop in which tasks run when they are made, not in the next turn."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    return loop


LOOPS = {"asyncio": asyncio.new_event_loop}
if new_uvloop:
    LOOPS["uvloop"] = new_uvloop
if sys.version_info >= (3, 12):
    LOOPS["eager"] = new_eager_loop

_new_loop = [asyncio.new_event_loop]


@pytest.fixture(params=LOOPS)
def each_loop(request):
    """Lets ``run`` use each kind of event loop in turn."""
    _new_loop.append(LOOPS[request.param])
    yield request.param
    _new_loop.pop()


def run(test):
    """Run a test in a loop of its own; it must leave no task behind."""

    async def main():
        before = asyncio.all_tasks()
        await asyncio.wait_for(test(), PATIENCE * 2)
        assert asyncio.all_tasks() == before

    run_loop(main(), debug=True)
    gc.collect()


def run_loop(main, *, debug=False):
    """``asyncio.run``, in a loop of the kind that is the test's."""
    loop = _new_loop[-1]()
    loop.set_debug(debug)
    loop.slow_callback_duration = PATIENCE  # a busy machine is nothing to log
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def seen(function, *args):
    """Wait for the server in a thread, so that the loop goes on."""
    return await asyncio.to_thread(function, *args)


# Ways to break off an operation once it has begun, which ``begun`` is awaited for. (What is broken off
# before it was sent is another test's subject, so no way goes by the time that has passed.)


async def by_wait_for(operation, begun):
    task = asyncio.ensure_future(operation)
    await begun  # so that the limit, however short, is over in the middle of it
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(task, 0.01)


async def by_cancelling_a_scope(operation, begun):
    with anyio.CancelScope() as scope:
        cancelling = asyncio.ensure_future(_then(begun, scope.cancel))
        await operation
    assert scope.cancelled_caught
    await cancelling


async def by_cancelling_the_task(operation, begun):
    task = asyncio.ensure_future(operation)
    await _then(begun, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def _then(begun, cancel):
    await begun
    cancel()


async def congested(client):
    """Wait until the client's socket takes no more of an upload."""
    connections = client._driver._connections
    await eventually_async(lambda: any(c.congested for c in connections.values()))


WAYS = [by_wait_for, by_cancelling_a_scope, by_cancelling_the_task]
