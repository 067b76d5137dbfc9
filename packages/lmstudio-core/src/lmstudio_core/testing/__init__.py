"""For tests of programs and plugins: a scripted server that says exactly what a test wants said.

::

    from lmstudio_core import Client
    from lmstudio_core.testing import FakeServer

    def test_greeting():
        with FakeServer() as server, Client(server.api_host) as client:
            server.on("system.version", {"version": "0.4.0", "build": 7})
            assert client.system.version().build == 7
            assert server.requests[0].endpoint == "system.version"

As a pytest fixture::

    @pytest.fixture
    def server():
        with FakeServer() as server:
            yield server
"""

from __future__ import annotations

from .fake_server import FakeServer
from .fake_socket import (
    NO_ANSWER,
    FakeCall,
    FakeChannel,
    FakeRequest,
    FakeSocket,
    FakeSubscription,
    ServerFailure,
)
from .rules import AuthRule, accept, refuse, require_token, silent

__all__ = [
    "NO_ANSWER",
    "AuthRule",
    "FakeCall",
    "FakeChannel",
    "FakeRequest",
    "FakeServer",
    "FakeSocket",
    "FakeSubscription",
    "ServerFailure",
    "accept",
    "refuse",
    "require_token",
    "silent",
]
