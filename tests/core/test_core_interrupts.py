"""Ctrl-C while the blocking driver waits or writes: the client stays usable, the server is told."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from core_clients import Count, echo

from lmstudio_core.client import Client
from lmstudio_core.protocol.operations import Batch
from lmstudio_core.timeouts import set_sync_api_timeout
from lmstudio_testing import NO_ANSWER, silent
from waiting import eventually

pytestmark = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="this system cannot send itself a Ctrl-C"
)
PATIENCE = 20


@pytest.fixture
def client(server):
    with Client(server.api_host) as client:
        yield client


def interrupt():
    """Press Ctrl-C."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@contextlib.contextmanager
def interrupted(condition):
    """The block gets a Ctrl-C once the condition is met."""
    striker = threading.Thread(target=lambda: (eventually(condition), interrupt()))
    striker.start()
    with pytest.raises(KeyboardInterrupt):
        yield
    striker.join()


def leading(client):
    """Whether a thread reads; it does so only when it has sent what it had to say."""
    connection = client._driver._connections.get("test")
    return connection is not None and connection._leader


@pytest.mark.parametrize("limit", [None, 60])
def test_ctrl_c_while_a_call_waits(client, server, limit):
    set_sync_api_timeout(limit)
    server.on("test.echo", NO_ANSWER)
    with interrupted(lambda: server.requests and leading(client)):
        client.run(echo(1))
    server.on("test.echo", 2)
    assert client.run(echo(1)) == 2
    assert len(server.sockets) == 1


def test_ctrl_c_in_a_batch(client, server):
    server.on("test.echo", lambda n: NO_ANSWER if n == 5 else n)
    with interrupted(lambda: len(server.requests) == 10 and leading(client)):
        client.run(Batch([echo(n) for n in range(10)]))
    server.on("test.echo", 2)
    assert client.run(echo(1)) == 2


def test_ctrl_c_in_a_stream_cancels_it(client, server):
    server.on_channel("test.count", NO_ANSWER)
    with interrupted(lambda: server.requests and leading(client)):
        for _ in client.open(Count()):
            pass
    server.requests[0].wait_for_message("cancel")
    server.on("test.echo", 2)
    assert client.run(echo(1)) == 2
    assert len(server.sockets) == 1


def test_ctrl_c_while_parked_behind_another_thread(client, server):
    server.on("test.lead", NO_ANSWER)
    server.on("test.echo", NO_ANSWER)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(client.run, echo(1, "lead"))
        lead = server.wait_for_request("test.lead")
        connection = client._driver._connections["test"]
        eventually(lambda: connection._leader)
        with interrupted(lambda: connection._parked):
            client.run(echo(2))
        assert not connection._parked
        lead.reply("led")
        assert leader.result(PATIENCE) == "led"


def test_ctrl_c_in_the_leader_passes_the_lead_on(client, server):
    server.on("test.lead", NO_ANSWER)
    server.on("test.echo", NO_ANSWER)
    follower = []

    def follow():
        connection = client._driver._connections["test"]
        eventually(lambda: connection._leader)
        pool = ThreadPoolExecutor(1)
        follower.append(pool.submit(client.run, echo(2)))
        pool.shutdown(wait=False)
        eventually(lambda: connection._parked)
        interrupt()

    client.connect("test")
    helper = threading.Thread(target=follow)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        client.run(echo(1, "lead"))
    helper.join()
    server.wait_for_request("test.echo").reply("followed")
    assert follower[0].result(PATIENCE) == "followed"


def test_ctrl_c_while_a_large_frame_is_being_written(client, server):
    server.on("test.echo", 1)
    client.run(echo(1))
    server.sockets[0].pause_reading()
    connection = client._driver._connections["test"]
    with interrupted(lambda: connection._full and leading(client)):  # a stuck writer reads, too
        client.run(echo("x" * 20_000_000))
    server.sockets[0].resume_reading()
    server.sockets[0].wait_until_closed()  # half a frame cannot be taken back
    assert client.run(echo(1)) == 1


def test_ctrl_c_during_the_authentication(client, server):
    server.auth = silent
    with interrupted(lambda: server.sockets and server.sockets[0].auth):
        client.run(echo(1))
    server.wait_until_closed()


def test_ctrl_c_at_any_moment():
    """In a process of its own: an interrupt inside a finalizer is only printed by Python."""
    script = Path(__file__).with_name("core_interrupt_hammer.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE * 3
    )
    assert done.stdout == "well\n", done.stdout + done.stderr
    assert done.returncode == 0
