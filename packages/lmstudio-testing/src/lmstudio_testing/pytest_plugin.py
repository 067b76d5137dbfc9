"""The pytest plugin: fixtures with a scripted server, or with a real one by a flag.

``lmstudio_server`` is a ``FakeServer``; ``lmstudio_client`` and ``lmstudio_async_client`` are clients
of it. ``pytest --lmstudio=embedded`` runs the same tests against the bundled server, and
``--lmstudio=HOST:PORT`` against any other. ``-p no:lmstudio`` turns the plugin off. It is loaded by
every pytest run, so nothing else is imported before a fixture is used.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import asyncio

    from lmstudio_core.client import AsyncClient, Client

    from .fake_server import FakeServer
    from .live_server import LiveSettings

__all__ = ["lmstudio_async_client", "lmstudio_client", "lmstudio_server"]

_SCRIPTED = "scripted"
_SERVER_VARIABLE = "LMSTUDIO_API_HOST"
_TOKEN_VARIABLES = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("lmstudio", "LM Studio")
    which = "the server of the lmstudio fixtures: scripted, embedded or HOST:PORT"
    group.addoption("--lmstudio", metavar="SERVER", help=f"{which} (default: scripted)")
    group.addoption(
        "--lmstudio-model", metavar="KEY", help="the model that stands for scripted ones elsewhere"
    )
    group.addoption(
        "--lmstudio-embedding-model",
        metavar="KEY",
        help="the embedding model that stands for scripted ones elsewhere",
    )
    group.addoption(
        "--lmstudio-record",
        action="store_true",
        help="with a real server: write the recordings that tests replay anew",
    )
    parser.addini("lmstudio", which, default=_SCRIPTED)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "lmstudio_scripted: needs the scripted server of the lmstudio fixtures; skipped with others",
    )


def _server(config: pytest.Config) -> str:
    return str(config.getoption("--lmstudio") or config.getini("lmstudio") or _SCRIPTED)


@pytest.fixture(scope="session")
def _lmstudio_live(pytestconfig: pytest.Config) -> Iterator[LiveSettings]:
    """Where the real server is; the bundled one is started for the session."""
    from .live_server import live_server

    with live_server(
        _server(pytestconfig),
        llm=pytestconfig.getoption("--lmstudio-model"),
        embedding=pytestconfig.getoption("--lmstudio-embedding-model"),
        record=bool(pytestconfig.getoption("--lmstudio-record")),
    ) as settings:
        yield settings


@pytest.fixture
def lmstudio_server(request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    """A scripted server, which ``lmstudio.llm()`` and clients without an address find.

    With ``--lmstudio`` it is a real one in its place, which ignores what it is told to say; its
    ``scripted`` is ``False``. A request that the test scripted no answer for fails the test, whatever
    the program made of the error.
    """
    scripted = _server(request.config) == _SCRIPTED
    if not scripted and request.node.get_closest_marker("lmstudio_scripted") is not None:
        pytest.skip("needs the scripted server")
    from lmstudio_core.client.default import reset_default_client

    server: Any
    if scripted:
        from .fake_server import FakeServer

        server = FakeServer(strict=True)
    else:
        from .live_server import LiveServer

        server = LiveServer(request.getfixturevalue("_lmstudio_live"))
    with pytest.MonkeyPatch.context() as patch, server:
        patch.setenv(_SERVER_VARIABLE, server.api_host)
        for variable in _TOKEN_VARIABLES if scripted else ():
            patch.delenv(variable, raising=False)
        reset_default_client()
        yield server
        reset_default_client()


@pytest.fixture
def lmstudio_client(lmstudio_server: FakeServer) -> Iterator[Client]:
    """A client of ``lmstudio_server``."""
    from lmstudio_core.client import Client

    with Client(lmstudio_server.api_host) as client:
        yield client


@pytest.fixture
def lmstudio_async_client(
    request: pytest.FixtureRequest, lmstudio_server: FakeServer
) -> Iterator[AsyncClient]:
    """A client of ``lmstudio_server`` for asyncio, open until the fixtures that depend on it end.

    It works with pytest-asyncio and with anyio's plugin. A test that is no coroutine function and
    runs a loop of its own closes it itself: ``async with lmstudio_async_client: ...``.
    """
    import asyncio

    from lmstudio_core.client import AsyncClient

    client = AsyncClient(lmstudio_server.api_host)
    loops: list[asyncio.AbstractEventLoop] = []
    test: Any = getattr(request.node, "obj", None)
    if inspect.iscoroutinefunction(test):
        # This fixture is no coroutine, since each plugin wants its own kind; so the test tells its loop.

        @functools.wraps(test)
        async def noting(*args: Any, **kwargs: Any) -> Any:
            loops.append(asyncio.get_running_loop())
            return await test(*args, **kwargs)

        request.node.obj = noting
    yield client
    if loops:
        _close(client, loops[0])


def _close(client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
    """Close the client where it was used; in a loop that is gone by now (anyio's) nothing is open."""
    import asyncio

    if not loop.is_closed():
        loop.run_until_complete(client.aclose())
        return
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()
