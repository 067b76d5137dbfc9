"""What is to be done with rows: asked of a host's model, and told to whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

__all__ = ["Delivered", "One", "Task", "Texts"]


class Delivered(Protocol):
    """Where a row's end came from."""

    @property
    def host(self) -> str:
        """The host's name; empty if none answered."""
        ...

    @property
    def attempts(self) -> int:
        """How often it was asked."""
        ...


Done = Callable[[Any, Any], None]


class Task(Protocol):
    """The work of one or more jobs. A row ends once: with a result or an exception."""

    async def run(self, handle: Any, rows: Sequence[Any], done: Done) -> None:
        """Ask a model; ``done(row, result)`` tells of each row that has an answer, or an error."""

    def deliver(self, row: Any, result: Any, host: str, attempts: int) -> None:
        """A row has ended."""

    def stop(self, error: Exception) -> None:
        """No host takes work; rows without an end get none."""


class One:
    """One call of a method of the model's handle, for one caller."""

    def __init__(self, call: Callable[[Any], Awaitable[Any]]) -> None:
        self._call = call
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def run(self, handle: Any, rows: Sequence[Any], done: Done) -> None:
        """Part of ``Task``."""
        done(rows[0], await self._call(handle))

    def deliver(self, row: Any, result: Any, host: str, attempts: int) -> None:
        """Part of ``Task``."""
        del row, host, attempts
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)

    def stop(self, error: Exception) -> None:
        """Part of ``Task``."""
        if not self.future.done():
            self.future.set_exception(error)


class Texts:
    """Texts to embed for one caller, in chunks; rows are ``(position, text)``."""

    def __init__(self, number: int, options: dict[str, Any], limits: dict[str, Any]) -> None:
        self.results: list[Any] = [None] * number
        self.left: int = number
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._options = {**options, **limits}

    async def run(self, handle: Any, rows: Sequence[Any], done: Done) -> None:
        """Part of ``Task``."""
        await embed_rows(handle, rows, [text for _, text in rows], done, self._options)

    def deliver(self, row: Any, result: Any, host: str, attempts: int) -> None:
        """Part of ``Task``."""
        del host, attempts
        self.results[row[0]] = result
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(None)

    def stop(self, error: Exception) -> None:
        """Part of ``Task``."""
        if not self.future.done():
            self.future.set_exception(error)


async def embed_rows(
    handle: Any, rows: Sequence[Any], texts: Sequence[str], done: Done, options: dict[str, Any]
) -> None:
    """Embed the texts of some rows in one stream, and tell of each."""
    stream = handle.embed_stream(texts, on_error="return", **options)
    async with stream:
        at = 0
        async for result in stream:
            done(rows[at], result)
            at += 1
