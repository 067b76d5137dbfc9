"""Functions of the user's, run by the drivers: in this thread or loop, or several at a time."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from ..protocol.operations import Invoke, InvokeMany
from ..timeouts import Limits
from .coroutines import run_coroutine
from .loops import end_tasks, running_loop

__all__ = ["invoke_async", "invoke_many", "invoke_many_async", "off_loop"]

R = TypeVar("R")


def _workers(many: InvokeMany[Any]) -> int:
    return many.max_parallel or (os.cpu_count() or 1) + 4


def invoke_many(many: InvokeMany[R], limits: Limits | None) -> Sequence[R | BaseException]:
    """Run the functions: in this thread if only one may run at a time, else in threads."""

    def outcome(function: Callable[[], Any]) -> Any:
        try:
            return run_coroutine(function())
        except Exception as error:  # noqa: BLE001 - the op decides what an error means
            return error

    functions = list(many.functions)
    contexts = [contextvars.copy_context() for _ in functions]
    workers = min(len(functions), _workers(many))
    if workers <= 1:
        return [outcome(function) for function in functions]
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lmstudio-tool")
    pairs = zip(contexts, functions, strict=True)
    try:
        running = [pool.submit(context.run, outcome, f) for context, f in pairs]
        results = [_result(future, limits) for future in running]
    except BaseException:  # after Ctrl-C nobody waits for the tools that still run
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return results


def _result(future: Future[R], limits: Limits | None) -> R:
    try:
        return future.result(None if limits is None else limits.left)
    except FutureTimeoutError:  # none of the function's own: those are results
        if limits is None:
            raise
        raise limits.error("a tool") from None


async def invoke_async(invoke: Invoke[R]) -> Any:
    """Call the function, in a thread if it blocks, and await what it returns if need be."""
    if invoke.blocking:
        running_loop()  # its error tells what to do where there is none
        value: Any = await asyncio.to_thread(invoke.function)
    else:
        value = invoke.function()
    return await value if inspect.isawaitable(value) else value


async def off_loop(function: Callable[[], R]) -> R:
    """Call the function in a thread of its own; for what would hold up the loop, such as imports.

    A cancelled caller does not wait for it. The thread is none of the loop's executor, which would
    be there from then on, and no daemon: a program that ends meanwhile lets it finish, since an
    import that is cut off in the middle can crash the interpreter.
    """
    ended: Future[R] = Future()
    ended.set_running_or_notify_cancel()  # from here on a cancelled caller cannot cancel it

    def work() -> None:
        try:
            ended.set_result(function())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            ended.set_exception(error)

    thread = threading.Thread(target=work, name="lmstudio-import")
    thread.start()
    result = await asyncio.wrap_future(ended)
    thread.join()  # it has nothing left to do but to end, and callers may count threads
    return result


async def invoke_many_async(
    many: InvokeMany[R], limits: Limits | None
) -> Sequence[R | BaseException]:
    """Run the functions: coroutine functions in this loop, all others in threads."""
    running_loop()
    limit = asyncio.Semaphore(_workers(many))

    async def outcome(function: Callable[[], Any]) -> Any:
        async with limit:
            try:
                value: Any
                if inspect.iscoroutinefunction(function):
                    value = function()
                else:
                    value = await asyncio.to_thread(function)
                return await value if inspect.isawaitable(value) else value
            except Exception as error:  # noqa: BLE001 - the op decides what an error means
                return error

    tasks = [asyncio.ensure_future(outcome(function)) for function in many.functions]
    if not tasks:
        return []
    left = None if limits is None else limits.left
    try:
        # Neither wait_for nor gather: see in_time. A task fails by what is no Exception: Ctrl-C.
        done, late = await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if late and limits is not None:
            raise limits.error("a tool")
        return [task.result() for task in tasks]
    finally:  # none of them goes on
        await end_tasks(tasks)
