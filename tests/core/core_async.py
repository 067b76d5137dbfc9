"""What the tests of the asyncio driver have in common."""

from __future__ import annotations

import asyncio
import gc

import anyio
import pytest
from core_clients import PATIENCE


def run(test):
    """Run a test in a loop of its own; it must leave no task behind."""

    async def main():
        before = asyncio.all_tasks()
        await asyncio.wait_for(test(), PATIENCE * 2)
        assert asyncio.all_tasks() == before

    asyncio.run(main(), debug=True)
    gc.collect()


async def seen(function, *args):
    """Wait for the server in a thread, so that the loop goes on."""
    return await asyncio.to_thread(function, *args)


async def by_wait_for(operation):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(operation, 0.05)


async def by_move_on_after(operation):
    with anyio.move_on_after(0.05) as scope:
        await operation
    assert scope.cancelled_caught


async def by_cancelling_the_task(operation):
    task = asyncio.ensure_future(operation)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


WAYS = [by_wait_for, by_move_on_after, by_cancelling_the_task]
