"""A peer that vanishes without a word, one that is merely silent, and one that is slow."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from core_async import run, seen
from core_clients import Count, echo, in_thread
from core_proxy import Link, Proxy
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient
from lmstudio_core.protocol.liveness import Liveness
from lmstudio_core.timeouts import clock, set_sync_api_timeout
from lmstudio_testing import NO_ANSWER
from waiting import PATIENCE, eventually, stand_still

QUICK = "0.1"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Clients ask after a tenth of a second, and no other limit holds."""
    monkeypatch.setenv("LMSTUDIO_PING_INTERVAL", QUICK)
    monkeypatch.setenv("LMSTUDIO_PING_TIMEOUT", QUICK)
    set_sync_api_timeout(None)


@pytest.fixture
def pings(monkeypatch):
    """The pings that reach any server of this process."""
    got = []
    take = ServerProtocol.recv_frame

    def recv_frame(self, frame):
        if frame.opcode is Opcode.PING:
            got.append(frame)
        take(self, frame)

    monkeypatch.setattr(ServerProtocol, "recv_frame", recv_frame)
    return got


@pytest.fixture
def proxy(server):
    with Proxy(server.api_host) as proxy:
        yield proxy


def connection_of(face):
    return face.client._driver._connections["test"]


def long_ago(face):
    """As if the socket had been left alone for a day."""
    connection_of(face)._alive.heard(clock() - 86400)


# -- gone ------------------------------------------------------------------------------------------


def test_all_who_wait_for_a_vanished_server_hear_of_it(connect, server, proxy):
    server.on("test.echo", lambda parameter: parameter)
    server.on("test.slow", NO_ANSWER)
    server.on_channel("test.count", NO_ANSWER)
    face = connect(proxy.host)
    assert face.run(echo(1)) == 1
    proxy.blacken()
    outcomes = face.run_all([echo(1, "slow"), Count(), echo(2, "slow"), echo(3)])
    assert [type(o) for o in outcomes] == [errors.LMStudioConnectionError] * 4
    assert "not even an answer to a ping" in str(outcomes[0])
    assert len({id(o) for o in outcomes}) == 4
    assert face.run(echo(2)) == 2
    assert len(server.sockets) == 2


def test_a_vanished_server_in_the_middle_of_a_stream(connect, server, proxy):
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    stream = connect(proxy.host).open(Count())
    assert next(stream) == 1
    proxy.blacken()
    with pytest.raises(errors.LMStudioConnectionError, match="not even an answer"):
        next(stream)


def test_a_server_that_never_answers_the_handshake(connect, server):
    class Black(Link):
        black = True

    with (
        Proxy(server.api_host, Black) as proxy,
        pytest.raises(errors.LMStudioConnectionError, match="not even an answer"),
    ):
        connect(proxy.host).run(echo(1))


def test_a_server_that_hangs_while_it_is_sent_to(connect, server, monkeypatch):
    server.on("test.echo", lambda parameter: parameter)
    face = connect(server.api_host)
    assert face.run(echo(1)) == 1
    # A busy machine may be slower than ping_interval here; the socket would be replaced before its use.
    monkeypatch.setattr(Liveness, "doubtful", lambda *_: False)
    server.sockets[0].pause_reading()
    with pytest.raises(errors.LMStudioConnectionError, match="not even an answer"):
        face.run(echo("x" * 20_000_000))
    server.sockets[0].resume_reading()
    assert face.run(echo(2)) == 2


# -- there, but silent -----------------------------------------------------------------------------


def test_a_server_may_think_for_as_long_as_it_likes(connect, server, pings, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_PING_TIMEOUT", "2")  # a busy machine answers when it gets to it
    face = connect(server.api_host)

    def think(parameter):
        in_thread(lambda: (eventually(lambda: len(pings) >= 4), server.requests[0].reply("well")))
        return NO_ANSWER

    server.on("test.echo", think)
    assert face.run(echo(1)) == "well"
    assert len(server.sockets) == 1


def test_nobody_waits_so_nobody_asks(face, server, pings):
    server.on("test.echo", 1)
    assert face.run(echo(1)) == 1
    before = len(pings)
    if face.kind == "async":
        connection_of(face)._stop_watching()
        connection_of(face)._look(1.0)
        assert connection_of(face)._watcher is None  # nobody waits: it does not go on
    else:
        face.client._driver._keeper.look()
    assert len(pings) == before


def test_no_pings_where_they_are_turned_off(connect, server, pings, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_PING_INTERVAL", "off")
    server.on("test.echo", 1)
    face = connect(server.api_host)
    assert face.run(echo(1)) == 1
    long_ago(face)
    assert face.run(echo(1)) == 1
    assert not pings
    assert connection_of(face)._alive.patience is None


def test_a_large_upload_over_a_slow_line(connect, server, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_PING_INTERVAL", "0.3")  # more than what the proxy itself keeps
    monkeypatch.setenv("LMSTUDIO_PING_TIMEOUT", "0.3")

    class Slow(Link):
        pace = 0.01

    server.on("test.echo", lambda parameter: len(parameter))
    with Proxy(server.api_host, Slow, receive_buffer=262144) as proxy:
        face = connect(proxy.host)
        began = time.monotonic()
        assert face.run(echo("x" * 4_000_000)) == 4_000_000
        assert time.monotonic() - began > 0.9  # else the line was not slow


# -- before a socket is used -----------------------------------------------------------------------


def test_a_socket_left_alone_is_asked_first(face, server, pings):
    server.on("test.echo", 1)
    assert face.run(echo(1)) == 1
    long_ago(face)
    before = len(pings)
    assert face.run(echo(1)) == 1
    assert len(pings) > before
    assert len(server.sockets) == 1


def test_a_socket_left_alone_that_leads_nowhere_is_replaced(connect, server, proxy):
    server.on("test.echo", lambda parameter: parameter)
    face = connect(proxy.host)
    assert face.run(echo(1)) == 1
    proxy.blacken()
    long_ago(face)
    assert face.run_all([echo(n) for n in range(8)]) == list(range(8))
    assert len(server.sockets) == 2


def test_a_socket_on_which_a_call_timed_out_is_asked_first(connect, server, proxy, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_PING_INTERVAL", "60")
    server.on("test.echo", lambda parameter: parameter)
    face = connect(proxy.host)
    assert face.run(echo(1)) == 1
    proxy.blacken()
    call = face.client.run(echo(2), timeout=0.05) if face.kind == "async" else None
    with pytest.raises(errors.LMStudioTimeoutError):
        face._do(call) if call is not None else face.client.run(echo(2), timeout=0.05)
    assert face.run(echo(3)) == 3
    assert len(server.sockets) == 2


def test_a_doubtful_socket_is_left_to_those_who_still_wait(connect, server, proxy):
    """The server may be slow to answer a ping; that is no reason to fail other calls."""
    server.on("test.echo", lambda parameter: parameter)
    server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
    face = connect(proxy.host)
    stream = face.open(Count())
    assert next(stream) == 1
    (request,) = server.requests
    server.sockets[0].pause_reading()  # no answer to pings
    long_ago(face)
    assert face.run(echo(2)) == 2
    assert len(server.sockets) == 2
    request.send({"type": "n", "n": 2}, {"type": "success"})
    request.close()
    assert list(stream) == [2]
    server.sockets[0].resume_reading()


# -- a pause of this process -----------------------------------------------------------------------


def test_a_loop_that_stood_still_reads_before_it_judges(server):
    async def test():
        server.on("test.echo", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            call = asyncio.ensure_future(client.run(echo(1)))
            request = await seen(server.wait_for_request, "test.echo")
            for _ in range(3):
                await asyncio.sleep(0)
                stand_still(0.5)  # what is tested: a blocking call in the loop
            request.reply("there")
            assert await call == "there"
        assert len(server.sockets) == 1

    run(test)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_process_that_was_stopped_reads_before_it_judges(server):
    code = """
        import sys
        from lmstudio_core.client import Client
        from lmstudio_core.protocol.operations import Call, Endpoint
        with Client(sys.argv[1], ping_interval=0.2, ping_timeout=0.2) as client:
            print(client.run(Call(Endpoint("test", "echo"), 1)))
        """
    server.on("test.echo", NO_ANSWER)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), server.api_host],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        request = server.wait_for_request("test.echo")
        os.kill(child.pid, signal.SIGSTOP)
        stand_still(1.0)  # what is tested: a pause that is longer than both limits
        request.reply("there")
        os.kill(child.pid, signal.SIGCONT)
        assert child.communicate(timeout=PATIENCE)[0] == "there\n"
    assert len(server.sockets) == 1
