"""The blocking driver: timeouts, threads, closing, abandoned streams, pings."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from core_clients import Count, SyncFace, echo, in_thread, numbers

from lmstudio_core import errors
from lmstudio_core.client import Client
from lmstudio_core.drivers import sync_connection
from lmstudio_core.protocol.operations import Batch
from lmstudio_core.timeouts import get_sync_api_timeout, set_sync_api_timeout
from lmstudio_testing import NO_ANSWER, silent
from waiting import PATIENCE, eventually

# -- timeouts --------------------------------------------------------------------------------------


def test_a_call_without_an_answer_times_out(client, server):
    server.on("test.echo", NO_ANSWER)
    server.on("test.other", 5)
    client.connect("test")
    set_sync_api_timeout(0.05)
    with pytest.raises(errors.LMStudioTimeoutError, match=r"test\.echo in 0\.05 seconds") as caught:
        client.run(echo(1))
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.seconds, caught.value.endpoint) == (0.05, "test.echo")
    set_sync_api_timeout(PATIENCE)
    server.wait_for_request("test.echo").reply("too late")
    assert client.run(echo(1, "other")) == 5
    assert len(server.sockets) == 1


def test_a_stream_that_times_out_is_cancelled_on_the_server(client, server):
    server.on_channel("test.count", NO_ANSWER)
    client.connect("test")
    set_sync_api_timeout(0.05)
    with pytest.raises(errors.LMStudioTimeoutError):
        client.run(Count())
    server.wait_for_request("test.count").wait_for_message("cancel")


def test_other_traffic_is_no_activity_of_this_call(client, server):
    """A thread that leads and is kept busy reading for another still notices its own timeout."""
    server.on("test.silent", NO_ANSWER)
    stop = threading.Event()

    async def chatter(channel):
        while not stop.is_set():  # each packet is asked for by whoever has read the last one
            channel.send({"type": "n", "n": 1})
            await channel.next_message()

    server.on_channel("test.count", chatter)

    def chat():
        try:
            stream = client.open(Count())
            for _ in stream:
                stream.send({"type": "more"})
        except errors.LMStudioRuntimeError:
            return

    client.connect("test")
    set_sync_api_timeout(1)
    quiet = in_thread(client.run, echo(1, "silent"))
    server.wait_for_request("test.silent")
    listener = in_thread(chat)
    assert isinstance(quiet.exception(PATIENCE), errors.LMStudioTimeoutError)
    stop.set()
    client.close()
    listener.exception(PATIENCE)


def test_followers_time_out_while_another_thread_leads(client, server):
    server.on("test.lead", NO_ANSWER)
    server.on("test.echo", NO_ANSWER)
    leader = in_thread(client.run, echo(1, "lead"))
    request = server.wait_for_request("test.lead")
    eventually(lambda: client._driver._connections["test"]._leader)
    set_sync_api_timeout(0.05)
    with pytest.raises(errors.LMStudioTimeoutError):
        client.run(echo(2))
    request.reply("done")
    assert leader.result(PATIENCE) == "done"


@pytest.mark.parametrize("limit", [None, float("inf"), 1e300, 3e6])
def test_no_timeout_and_very_long_ones(client, server, limit):
    set_sync_api_timeout(limit)
    server.on("test.echo", NO_ANSWER)
    server.on("test.other", 2)
    waiting = [in_thread(client.run, echo(n)) for n in range(2)]
    requests = [server.wait_for_request("test.echo", n + 1) for n in range(2)]
    for request in requests:
        request.reply(request.parameter)
    assert [w.result(PATIENCE) for w in waiting] == [0, 1]


@pytest.mark.parametrize("wrong", [-1, "5", True, float("nan"), [1]])
def test_what_is_no_timeout(wrong):
    with pytest.raises(errors.LMStudioValueError, match="positive number of seconds"):
        set_sync_api_timeout(wrong)
    assert get_sync_api_timeout() == 60.0


def test_authentication_times_out(server):
    server.auth = silent
    set_sync_api_timeout(0.05)
    with Client(server.api_host) as client, pytest.raises(errors.LMStudioTimeoutError):
        client.run(echo(1))
    server.wait_until_closed()


def test_a_handshake_without_an_answer_times_out(server):
    server.handshake = "silent"
    set_sync_api_timeout(0.05)
    with Client(server.api_host) as client, pytest.raises(errors.LMStudioTimeoutError):
        client.run(echo(1))


def test_a_server_that_takes_nothing_times_out(client, server):
    server.on("test.echo", 1)
    client.run(echo(1))
    server.sockets[0].pause_reading()
    set_sync_api_timeout(0.1)
    with pytest.raises(errors.LMStudioConnectionError, match="took no data"):
        client.run(echo("x" * 20_000_000))
    set_sync_api_timeout(PATIENCE)
    assert client.run(echo(1)) == 1
    assert len(server.sockets) == 2


# -- threads ---------------------------------------------------------------------------------------


def test_many_threads_get_their_own_answers(client, server):
    server.on("test.echo", lambda parameter: parameter)

    def count(channel):
        start = channel.parameter
        channel.send(*numbers(*range(start, start + 20)))
        channel.close()

    async def endless(channel):
        channel.send({"type": "n", "n": channel.parameter})
        assert await channel.next_message() == {"type": "cancel"}
        channel.close()

    server.on_channel("test.count", count)
    server.on_channel("test.endless", endless)
    barrier = threading.Barrier(64)

    def work(thread):
        choose = random.Random(thread)
        barrier.wait(PATIENCE)
        for step in range(50):
            value = thread * 1000 + step
            kind = choose.random()
            if kind < 0.75:
                assert client.run(echo(value)) == value
            elif kind < 0.85:
                batch = Batch([echo(value + n) for n in range(5)], max_in_flight=3)
                assert client.run(batch) == list(range(value, value + 5))
            elif kind < 0.95:
                assert client.run(Count(value)) == list(range(value, value + 20))
            else:
                for event in client.open(Count(value, name="endless")):
                    assert event == value
                    break
        return thread

    with ThreadPoolExecutor(64) as pool:
        assert sorted(pool.map(work, range(64))) == list(range(64))
    assert len(server.sockets) == 1
    assert not server.sockets[0].closed
    (connection,) = client._driver._open_connections()
    assert not connection._parked
    assert connection._leader is None


def test_the_lead_is_handed_over_when_the_leader_is_done(client, server):
    server.on("test.echo", NO_ANSWER)
    waiting = []
    for n in range(4):
        waiting.append(in_thread(client.run, echo(n)))
        server.wait_for_request("test.echo", n + 1)
    for n in range(4):  # the first one leads, then whoever it hands over to
        server.requests[n].reply(n)
        assert waiting[n].result(PATIENCE) == n


def test_two_threads_cannot_wait_for_one_stream(client, server):
    server.on_channel("test.count", NO_ANSWER)
    stream = client.open(Count())
    first = in_thread(next, stream)
    eventually(lambda: stream._waiting)
    with pytest.raises(errors.LMStudioRuntimeError, match="Another thread"):
        next(stream)
    server.wait_for_request("test.count").send({"type": "n", "n": 1})
    assert first.result(PATIENCE) == 1
    stream.close()


def test_cancel_from_another_thread(client, server):
    async def script(channel):
        await channel.next_message()
        channel.send(*numbers(9))
        channel.close()

    server.on_channel("test.count", script)
    stream = client.open(Count())
    events = in_thread(list, stream)
    server.wait_for_request("test.count")
    stream.cancel()
    assert events.result(PATIENCE) == [9]


def test_closing_a_stream_that_a_parked_thread_waits_for(client, server):
    server.on("test.lead", NO_ANSWER)
    server.on_channel("test.count", NO_ANSWER)
    leader = in_thread(client.run, echo(1, "lead"))
    lead = server.wait_for_request("test.lead")
    stream = client.open(Count())
    events = in_thread(list, stream)
    channel = server.wait_for_request("test.count")
    channel.send({"type": "n", "n": 1})
    connection = stream._connection
    eventually(lambda: len(stream._reader.channel.seen) == 1 and connection._parked)
    stream.close()
    assert events.result(PATIENCE) == [1]
    lead.reply(2)
    assert leader.result(PATIENCE) == 2


@pytest.mark.parametrize("waiters", [1, 5])
def test_close_wakes_whoever_waits(server, waiters):
    server.on("test.echo", NO_ANSWER)
    client = Client(server.api_host)
    waiting = [in_thread(client.run, echo(n)) for n in range(waiters)]
    server.wait_for_request("test.echo", waiters)
    client.close()
    for future in waiting:
        assert isinstance(future.exception(PATIENCE), errors.LMStudioRuntimeError)
    server.wait_until_closed()


def test_close_wakes_a_thread_that_is_connecting(server):
    server.auth = silent
    client = Client(server.api_host)
    waiting = in_thread(client.run, echo(1))
    server.wait_for(lambda: server.sockets and server.sockets[0].auth, "the authentication")
    client.close()
    assert isinstance(waiting.exception(PATIENCE), errors.LMStudioRuntimeError)
    server.wait_until_closed()


def test_close_while_a_thread_is_stuck_in_writing(server):
    server.on("test.echo", 1)
    set_sync_api_timeout(None)
    client = Client(server.api_host)
    client.run(echo(1))
    server.sockets[0].pause_reading()
    waiting = in_thread(client.run, echo("x" * 20_000_000))
    (connection,) = client._driver._open_connections()
    eventually(lambda: connection._full)
    client.close()
    assert isinstance(waiting.exception(PATIENCE), errors.LMStudioRuntimeError)
    server.sockets[0].resume_reading()
    server.wait_until_closed()


def test_disconnect_while_another_thread_waits(client, server):
    server.on("test.echo", NO_ANSWER)
    waiting = in_thread(client.run, echo(1))
    server.wait_for_request("test.echo")
    client.disconnect("test")
    assert "disconnected" in str(waiting.exception(PATIENCE))
    server.on("test.echo", 4)
    assert client.run(echo(1)) == 4


def test_threads_that_connect_at_the_same_time_share_the_socket(client, server):
    server.on("test.echo", lambda parameter: parameter)
    face = SyncFace.__new__(SyncFace)
    face.client = client
    assert face.run_all([echo(n) for n in range(20)]) == list(range(20))
    assert len(server.sockets) == 1


def test_who_is_to_lead_next_and_has_no_time_left_leaves_it_to_another(
    client, server, clock, monkeypatch
):
    """Three threads wait; the second is chosen to read, and its time is over before it does."""
    for name in ("test.lead", "test.late", "test.echo"):
        server.on(name, NO_ANSWER)
    client.connect("test")
    connection = client._driver._connections["test"]
    set_sync_api_timeout(None)
    real = sync_connection.sleep_until_released

    def oversleep(lock, deadline):
        real(lock, deadline)
        if deadline is not None:  # only the second one has a limit
            clock.pass_by(2000)

    monkeypatch.setattr(sync_connection, "sleep_until_released", oversleep)
    leader = in_thread(client.run, echo(1, "lead"))
    server.wait_for_request("test.lead")
    eventually(lambda: connection._leader)
    late = in_thread(lambda: client.run(echo(2, "late"), timeout=1000))
    eventually(lambda: len(connection._parked) == 1)
    last = in_thread(client.run, echo(3))
    eventually(lambda: len(connection._parked) == 2)
    server.wait_for_request("test.lead").reply("led")
    assert leader.result(PATIENCE) == "led"
    assert isinstance(late.exception(PATIENCE), errors.LMStudioTimeoutError)
    server.wait_for_request("test.echo").reply("done")
    assert last.result(PATIENCE) == "done"
    assert connection._leader is None


def test_a_timeout_of_nothing_fails_every_call(client, server):
    server.on("test.echo", 1)
    for _ in range(2):  # without a connection, and with one
        set_sync_api_timeout(0)
        assert get_sync_api_timeout() == 0
        with pytest.raises(errors.LMStudioTimeoutError, match="in 0 seconds"):
            client.run(echo(1))
        set_sync_api_timeout(PATIENCE)
        client.run(echo(1))
    server.on("test.echo", NO_ANSWER)
    set_sync_api_timeout(0)
    with pytest.raises(errors.LMStudioTimeoutError, match="in 0 seconds"):
        client.run(echo(1))
    set_sync_api_timeout(PATIENCE)
    server.on("test.echo", 1)
    assert client.run(echo(1)) == 1
