"""The blocking driver when nobody waits: dropped streams, pings, the keeper."""

from __future__ import annotations

import gc
import socket
import threading
import weakref

import pytest
from core_clients import Count, echo, in_thread

from lmstudio_core import errors
from lmstudio_core.client import Client
from lmstudio_core.drivers.keeper import Keeper
from lmstudio_core.timeouts import set_sync_api_timeout
from lmstudio_testing import NO_ANSWER
from waiting import PATIENCE

# -- streams that are dropped ----------------------------------------------------------------------


def test_a_dropped_stream_is_cancelled(client, server):
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    stream = client.open(Count())
    assert next(stream) == 1
    del stream
    gc.collect()
    server.requests[0].wait_for_message("cancel")


def test_a_stream_dropped_inside_the_locks_is_cancelled_soon(client, server):
    """A collection may run anywhere, even where this very thread holds the locks."""
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    server.on("test.echo", 1)
    stream = client.open(Count())
    assert next(stream) == 1
    connection = stream._connection
    with connection._write_lock, connection._lock:
        del stream
        gc.collect()
    assert server.requests[0].messages == []
    assert client.run(echo(1)) == 1
    server.requests[0].wait_for_message("cancel")


def test_a_stream_dropped_while_another_thread_leads(client, server):
    server.on("test.lead", NO_ANSWER)
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    leader = in_thread(client.run, echo(1, "lead"))
    lead = server.wait_for_request("test.lead")
    for event in client.open(Count()):
        assert event == 1
        break
    server.requests_to("test.count")[0].wait_for_message("cancel")
    lead.reply(1)
    assert leader.result(PATIENCE) == 1


def test_an_exception_in_the_loop_cancels(client, server):
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))

    def fail():
        for _ in client.open(Count()):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    server.requests[0].wait_for_message("cancel")


def test_with_closes_a_stream(client, server):
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    with client.open(Count()) as stream:
        assert next(stream) == 1
    server.requests[0].wait_for_message("cancel")


# -- between calls ---------------------------------------------------------------------------------


def test_pings_are_answered_while_idle(client, server):
    server.on("test.echo", 1)
    client.run(echo(1))
    peer = server.sockets[0]
    pong = peer.ping()
    (connection,) = client._driver._open_connections()
    assert connection._socket.wait(PATIENCE, reading=True, writing=False)[0]
    assert not pong.done()
    client._driver._keeper.look()
    assert pong.result(PATIENCE) >= 0


def test_the_keeper_leaves_alone_what_is_being_read(client, server):
    server.on("test.echo", NO_ANSWER)
    waiting = in_thread(client.run, echo(1))
    request = server.wait_for_request("test.echo")
    for _ in range(3):
        client._driver._keeper.look()
    request.reply(1)
    assert waiting.result(PATIENCE) == 1


def test_pings_are_answered_while_waiting(client, server):
    server.on("test.echo", NO_ANSWER)
    waiting = in_thread(client.run, echo(1))
    request = server.wait_for_request("test.echo")
    assert server.sockets[0].ping().result(PATIENCE) >= 0
    request.reply(1)
    assert waiting.result(PATIENCE) == 1


def test_the_keeper_runs_by_itself_and_ends(server, monkeypatch):
    looked = threading.Event()
    monkeypatch.setattr(Keeper, "interval", 0.001)
    look = Keeper.look
    monkeypatch.setattr(Keeper, "look", lambda self: (looked.set(), look(self))[1])
    server.on("test.echo", 1)
    client = Client(server.api_host)
    client.run(echo(1))
    assert looked.wait(PATIENCE)
    thread = client._driver._keeper._thread
    client.close()
    assert not thread.is_alive()
    client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_that_is_dropped_goes_away(server, monkeypatch):
    monkeypatch.setattr(Keeper, "interval", 0.001)
    server.on("test.echo", 1)
    client = Client(server.api_host)
    client.run(echo(1))
    thread = client._driver._keeper._thread
    gone = weakref.ref(client._driver)
    del client
    gc.collect()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    gc.collect()
    assert gone() is None
    server.wait_until_closed()


def test_no_thread_can_start_at_the_end_of_the_interpreter(server, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    server.on("test.echo", 1)
    with Client(server.api_host) as client:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert client.run(echo(1)) == 1
        monkeypatch.undo()


def test_a_listening_program_that_never_accepts_times_out():
    set_sync_api_timeout(0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        with Client(host) as client, pytest.raises(errors.LMStudioTimeoutError):
            client.run(echo(1))
