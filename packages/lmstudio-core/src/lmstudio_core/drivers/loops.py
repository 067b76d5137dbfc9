"""Event loops as programs bring them: asyncio's own, uvloop's, eager tasks, and what is none."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from typing import Any, TypeVar

from ..errors import LMStudioRuntimeError
from ..timeouts import Limits

__all__ = ["at_loop_end", "end_tasks", "in_time", "running_loop"]

R = TypeVar("R")


def running_loop() -> asyncio.AbstractEventLoop:  # api
    """The asyncio event loop of the code that runs.

    Raises:
        LMStudioRuntimeError: There is none; trio runs, say, or nothing does.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError as error:
        raise _no_loop(_library()) from error
    # Trio can be a guest in the thread of an asyncio loop.
    if "trio" in sys.modules and (library := _library()) not in {None, "asyncio"}:
        raise _no_loop(library)
    return loop


def _library() -> str | None:
    """The asynchronous library that runs, as it says itself by ``sniffio``, which it then loaded."""
    sniffio = sys.modules.get("sniffio")
    if sniffio is None:
        return None
    try:
        return str(sniffio.current_async_library())
    except sniffio.AsyncLibraryNotFoundError:
        return None


def _no_loop(library: str | None) -> LMStudioRuntimeError:
    if library in {None, "asyncio"}:
        return LMStudioRuntimeError(
            "AsyncClient needs a running asyncio event loop, and none runs in this thread. Await "
            "it inside asyncio.run(main()). Without a loop, or with that of another library, use "
            "the synchronous Client, in threads if need be."
        )
    ways = [f"use the synchronous Client in threads ({library}.to_thread.run_sync, say)"]
    if library == "trio":
        ways.append("run AsyncClient's calls with the package trio_asyncio (aio_as_trio)")
    return LMStudioRuntimeError(
        f"AsyncClient needs an asyncio event loop, and this is {library}: {', or '.join(ways)}."
    )


async def in_time(work: Coroutine[Any, Any, R], limits: Limits | None, what: object) -> R:
    """What ``work`` returns, if it does so within the limits; else it is cancelled.

    Not ``asyncio.wait_for``: before Python 3.12 it returns the result where a cancellation comes
    in the same turn of the loop, so that the cancelled task goes on.

    Raises:
        LMStudioTimeoutError: It took longer than the limits allow; ``what`` is what was waited for.
    """
    longest = None if limits is None else limits.longest_wait
    if limits is None or longest is None:
        return await work
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait((task,), timeout=longest)
    finally:
        await end_tasks((task,))
    if done:
        return task.result()
    raise limits.error(what)


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel those that are not done, and wait until they are.

    As a task group does: nothing of ours outlives its caller, even if that one is cancelled
    meanwhile (``anyio`` does so in every turn of the loop).
    """
    interrupt: asyncio.CancelledError | None = None
    unfinished = {task for task in tasks if task.cancel()}
    while unfinished := {task for task in unfinished if not task.done()}:
        try:
            await asyncio.wait(unfinished)
        except asyncio.CancelledError as cancelled:
            interrupt = cancelled
    for task in tasks:
        if not task.cancelled():
            task.exception()  # has been seen, so that nobody logs it
    if interrupt is not None:
        raise interrupt


async def _until_the_end(callback: Callable[[], None]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        callback()


def at_loop_end(callback: Callable[[], None]) -> Callable[[], None]:
    """Let ``callback`` be called while the running loop is about to end, and is not closed yet.

    Loops have no such event, but whoever ends one (``asyncio.run``, uvloop, pytest's plugins) first
    closes the asynchronous generators that began in it. So this is one.

    Returns:
        A function that takes it back; ``callback`` is called then, unless it was before.
    """
    generator = _until_the_end(callback)
    # A loop that is ending already warns that this one comes too late.
    with contextlib.suppress(StopIteration, ResourceWarning):
        generator.__anext__().send(None)

    def take_back() -> None:
        with contextlib.suppress(StopIteration, RuntimeError):  # RuntimeError: it ends right now
            generator.aclose().send(None)

    return take_back
