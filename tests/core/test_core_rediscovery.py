"""A server that was found and then went away is looked for anew."""

from __future__ import annotations

import pytest
from core_clients import echo

from lmstudio_core import errors
from lmstudio_core.protocol.operations import Call, Endpoint
from lmstudio_testing import FakeServer


@pytest.fixture
def found(connect, monkeypatch):
    """Makes a client that finds ``server``, and says where the next one is to be found."""

    def say(server):
        monkeypatch.setenv("LMSTUDIO_API_HOST", server.api_host)

    def make(server):
        say(server)
        return connect(None)

    make.say = say
    return make


def test_the_next_call_finds_the_new_server(found):
    with FakeServer() as first, FakeServer() as second:
        first.on("test.echo", "first")
        second.on("test.echo", "second")
        face = found(first)
        assert face.run(echo(1)) == "first"
        first.stop()
        found.say(second)
        assert face.run(echo(1)) == "second"
        assert face.client.api_host == second.api_host


def test_a_namespace_opened_later_finds_it_too(found):
    with FakeServer() as first, FakeServer() as second:
        first.on("test.echo", "first")
        face = found(first)
        assert face.run(echo(1)) == "first"
        first.stop()
        found.say(second)
        second.on("other.echo", "second")
        assert face.run(Call(Endpoint("other", "echo"))) == "second"


def test_where_nothing_else_is_found_the_refusal_is_what_is_raised(found):
    with FakeServer() as server:
        server.on("test.echo", 1)
        face = found(server)
        assert face.run(echo(1)) == 1
        server.stop()
        with pytest.raises(errors.LMStudioConnectionError, match=server.api_host):
            face.run(echo(1))


def test_a_server_that_was_named_is_never_exchanged(connect, found):
    with FakeServer() as named, FakeServer() as another:
        named.on("test.echo", 1)
        face = connect(named.api_host)
        assert face.run(echo(1)) == 1
        named.stop()
        found.say(another)
        with pytest.raises(errors.LMStudioConnectionError, match=named.api_host):
            face.run(echo(1))
        assert another.sockets == ()
