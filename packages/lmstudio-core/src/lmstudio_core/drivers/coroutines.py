"""Running what a user's function returned, which may be a coroutine, from synchronous code."""

from __future__ import annotations

import inspect
import sys
from typing import Any

__all__ = ["run_coroutine"]


def run_coroutine(value: Any) -> Any:
    """``value`` itself, or what it gives when awaited in an event loop made for it.

    In a thread whose event loop is running (a notebook), the coroutine runs in another thread.
    """
    if not inspect.isawaitable(value):
        return value
    import asyncio

    async def wait() -> Any:
        return await value

    if "asyncio" in sys.modules and _loop_is_running(asyncio):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, wait()).result()
    return asyncio.run(wait())


def _loop_is_running(asyncio: Any) -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
