"""Both clients behind one face, for tests that are written once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lmstudio_core import AsyncClient, Client


class Api:
    """One of the two clients; calling this gives the result of a call of either.

    ``api(api.client.system.version())`` is the version, whichever client it is.
    """

    def __init__(self, client: Any, finish: Callable[[Any], Any]) -> None:
        self.client = client
        self.is_async = isinstance(client, AsyncClient)
        self._finish = finish

    def __call__(self, result: Any) -> Any:
        return self._finish(result) if inspect.isawaitable(result) else result


@contextmanager
def opened(kind: str, host: str) -> Iterator[Api]:
    """A client of that kind (``"sync"`` or ``"async"``), closed at the end."""
    if kind == "sync":
        with Client(host) as client:
            yield Api(client, lambda result: result)
        return
    loop = asyncio.new_event_loop()
    aio = AsyncClient(host)

    async def awaited(result: Any) -> Any:
        return await result

    try:
        yield Api(aio, lambda result: loop.run_until_complete(awaited(result)))
    finally:
        loop.run_until_complete(aio.aclose())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
