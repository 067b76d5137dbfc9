"""A server for plugins, and plugins that run in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from plugin_running import PROGRAMS, Running

from lmstudio_core.client import Client
from lmstudio_server.testing import running_server


@pytest.fixture(scope="session")
def host() -> Iterator[str]:
    """The embedded server."""
    with running_server() as server:
        yield server.host


@pytest.fixture
def client(host: str) -> Iterator[Client]:
    with Client(host) as client:
        yield client


@pytest.fixture
def run(host: str) -> Iterator[Callable[..., Running]]:
    """Runs a command of Python's; what still runs at the end is ended."""
    started: list[Running] = []

    def start(*command: str, host: str = host, **environment: str) -> Running:
        started.append(Running(list(command), host, environment))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def program(run: Callable[..., Running]) -> Callable[..., Running]:
    """Runs one of the programs as the official documentation says, until it is ready."""

    def start(name: str, **environment: str) -> Running:
        one = run("-m", "lmstudio.plugin", "--dev", str(PROGRAMS / name), **environment)
        one.wait_for("is running")
        return one

    return start
