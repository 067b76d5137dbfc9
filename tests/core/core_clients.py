"""Both clients behind one face, so that what they share is tested by one test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

try:
    from uvloop import new_event_loop as new_uvloop
except ImportError:  # it does not exist for every system
    new_uvloop = None

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.protocol.operations import Call, Channel, Endpoint

ECHO = Endpoint("test", "echo")
COUNT = Endpoint("test", "count", "channel")


class Clock:
    """In place of ``time``: its monotonic clock is ahead of the real one by what a test says.

    With limits of many minutes, only what the test lets pass decides, however slow the machine.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def pass_by(self, seconds: float) -> None:
        self._ahead += seconds


def in_thread(function: Callable[..., Any], *args: Any) -> Future[Any]:
    """Run in a thread; a future."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(function, *args)
    pool.shutdown(wait=False)
    return future


def echo(value: Any, name: str = "echo") -> Call[Any]:
    return Call(Endpoint("test", name), value)


class Count(Channel[int, list[int]]):
    """Numbers until ``success``: ``{"n": 1}`` is one, ``{"n": [1, 2]}`` two at once."""

    endpoint = COUNT

    def __init__(self, parameter: Any = None, name: str = "count", cancel: Any = None) -> None:
        self.endpoint = Endpoint("test", name, "channel")
        self.parameter = parameter
        if cancel is not None:
            self.cancel_message = cancel
        self.seen: list[int] = []

    def feed(self, message: Any) -> Sequence[int]:
        if message.get("type") == "success":
            self.done = True
        new = message.get("n", [])
        new = new if isinstance(new, list) else [new]
        self.seen += new
        return new

    def result(self) -> list[int]:
        return self.seen


def numbers(*values: Any) -> list[dict[str, Any]]:
    """The packets of a channel that counts and ends well."""
    return [*({"type": "n", "n": value} for value in values), {"type": "success"}]


class SyncFace:
    kind = "sync"

    def __init__(self, host: str | None = None, token: str | None = None, **more: Any) -> None:
        self.client = Client(host, token, **more)

    def run(self, operation: Any, **limits: Any) -> Any:
        return self.client.run(operation, **limits)

    def run_all(self, operations: Sequence[Any]) -> list[Any]:
        """All at the same time; what they returned or raised."""

        def outcome(operation: Any) -> Any:
            try:
                return self.client.run(operation)
            except Exception as error:
                return error

        with ThreadPoolExecutor(len(operations)) as pool:
            return list(pool.map(outcome, operations))

    def open(self, channel: Any, **limits: Any) -> Any:
        return self.client.open(channel, **limits)

    def stream(self, batch: Any) -> Any:
        return self.client.stream(batch)

    def take(self, channel: Any, count: int) -> list[Any]:
        """Break out of the loop after ``count`` events."""
        taken = []
        for event in self.client.open(channel):
            taken.append(event)
            if len(taken) == count:
                break
        return taken

    def close(self) -> None:
        self.client.close()


class AsyncFace:
    kind = "async"

    def __init__(self, host: str | None = None, token: str | None = None, **more: Any) -> None:
        self.client = AsyncClient(host, token, **more)
        self.loop = self.new_loop()

    @staticmethod
    def new_loop() -> asyncio.AbstractEventLoop:
        return asyncio.new_event_loop()

    def _do(self, awaitable: Any) -> Any:
        async def wait() -> Any:
            return await asyncio.wait_for(awaitable, 60)

        return self.loop.run_until_complete(wait())

    def run(self, operation: Any, **limits: Any) -> Any:
        return self._do(self.client.run(operation, **limits))

    def run_all(self, operations: Sequence[Any]) -> list[Any]:
        return self._do(
            asyncio.wait_for(self._gathered(operations), 60),
        )

    async def _gathered(self, operations: Sequence[Any]) -> list[Any]:
        runs = (self.client.run(operation) for operation in operations)
        return await asyncio.gather(*runs, return_exceptions=True)

    def open(self, channel: Any, **limits: Any) -> Any:
        stream = _AsyncStream(self, self.client.open(channel, **limits))
        stream.start()
        return stream

    def stream(self, batch: Any) -> Any:
        return _AsyncStream(self, self.client.stream(batch))

    def take(self, channel: Any, count: int) -> list[Any]:
        async def run() -> list[Any]:
            taken = []
            async for event in self.client.open(channel):
                taken.append(event)
                if len(taken) == count:
                    break
            return taken

        return self._do(run())

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self._do(self.client.aclose())
        self._do(self.loop.shutdown_default_executor())
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        assert not left


class _AsyncStream:
    """An async stream, driven step by step."""

    def __init__(self, face: AsyncFace, stream: Any) -> None:
        self._face = face
        self._stream = stream

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            return self._face._do(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stream, {"close": "aclose"}.get(name, name))

        def call(*args: Any) -> Any:
            value = method(*args)
            return self._face._do(value) if asyncio.iscoroutine(value) else value

        return call


class UvloopFace(AsyncFace):
    @staticmethod
    def new_loop() -> asyncio.AbstractEventLoop:
        return new_uvloop()


FACES = {"sync": SyncFace, "async": AsyncFace, **({"uvloop": UvloopFace} if new_uvloop else {})}
