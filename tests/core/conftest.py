"""Fixtures for the tests of core."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from core_clients import FACES, Clock

from lmstudio_core import timeouts
from lmstudio_core.client import Client
from lmstudio_core.drivers import locks, sync_connection
from lmstudio_testing import FakeServer


@pytest.fixture(params=list(FACES))
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients of either kind, and closes them."""
    made: list[Any] = []

    def make(host: str, token: str | None = None, **more: Any) -> Any:
        made.append(FACES[request.param](host, token, **more))
        return made[-1]

    yield make
    for face in made:
        face.close()
    made.clear()
    gc.collect()  # a socket that was forgotten shows here, as a ResourceWarning


@pytest.fixture
def face(connect: Callable[..., Any], server: FakeServer) -> Any:
    """A client of either kind, connected to the scripted server."""
    return connect(server.api_host)


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    """A synchronous client, connected to the scripted server."""
    with Client(server.api_host) as client:
        yield client
    del client
    gc.collect()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that limits of calls go by."""
    clock = Clock()
    for module in (timeouts, sync_connection, locks):
        monkeypatch.setattr(module, "time", clock)
    return clock
