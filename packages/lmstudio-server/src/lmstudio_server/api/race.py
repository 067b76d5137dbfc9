"""Doing several things until the first of them is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["first_of"]


async def first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Run all until one returns or raises; the others are cancelled and have ended afterwards.

    If several end at the same time, the error of one of them is raised.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        _cancel(tasks)
        await asyncio.wait(tasks)
    ended, tasks = [task for task in tasks if not task.cancelled()], []
    try:
        while ended:
            # What is raised holds this frame; it must not hold what was raised, and with it all that
            # a client sent, until the collector comes by.
            ended.pop(0).result()
    finally:
        ended.clear()


def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
