"""A controller as functions see it that are not async: what is awaited elsewhere waits here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

from lmstudio_core.errors import LMStudioCancelledError

__all__ = ["Blocking"]


class Blocking:
    """Stands for an object of an event loop in a thread: its async methods block.

    What they return is stood for likewise where it has async methods of its own.
    """

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        return _blocking(getattr(self._inner, name), self._loop)

    def __iter__(self) -> Iterator[Any]:
        iterator: AsyncIterator[Any] = aiter(self._inner)
        while True:
            try:
                yield _blocking(_wait(anext(iterator), self._loop), self._loop)
            except StopAsyncIteration:
                return

    def __enter__(self) -> Any:
        return _blocking(_wait(self._inner.__aenter__(), self._loop), self._loop)

    def __exit__(self, *error: object) -> Any:
        return _wait(self._inner.__aexit__(*error), self._loop)

    def __repr__(self) -> str:
        return repr(self._inner)


def _blocking(value: Any, loop: asyncio.AbstractEventLoop) -> Any:
    if inspect.isroutine(value):
        return _method(cast("Callable[..., Any]", value), loop)
    kind = cast("type[Any]", type(value))
    own = kind.__module__.startswith(("lmstudio_plugin", "lmstudio_llm", "lmstudio_agent"))
    if own and (hasattr(value, "__aiter__") or _has_coroutines(kind)):
        return Blocking(value, loop)
    return value


def _has_coroutines(kind: type) -> bool:
    members = (getattr(kind, name, None) for name in dir(kind) if not name.startswith("_"))
    return any(inspect.iscoroutinefunction(member) for member in members)


def _method(method: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        plain = [vars(v)["_inner"] if isinstance(v, Blocking) else v for v in args]
        value = method(*plain, **kwargs)
        if inspect.iscoroutine(value):
            value = _wait(value, loop)
        return _blocking(value, loop)

    return call


async def _settled(awaitable: Any) -> Any:
    return await awaitable


def _wait(awaitable: Any, loop: asyncio.AbstractEventLoop) -> Any:
    future = asyncio.run_coroutine_threadsafe(_settled(awaitable), loop)
    try:
        return future.result()
    except asyncio.CancelledError as error:
        raise LMStudioCancelledError("The server has aborted this, or the plugin ends.") from error
