"""cancel, close and abandon in signal handlers, finalizers, log handlers; threads after an idle cut.

A signal handler runs between two steps of whatever the main thread is doing. So that timing decides
nothing, a trace function stands for the signal: it calls the handler at a chosen step, or at every
step, of the driver's own code.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from core_async import run, seen
from core_clients import Count, echo, in_thread, numbers

import lmstudio_core
from injection import Steps
from lmstudio_core import errors
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.protocol.conversations import ChannelState
from lmstudio_core.protocol.operations import Batch
from lmstudio_core.protocol.outcome import ChannelReader
from lmstudio_testing import NO_ANSWER
from waiting import PATIENCE, eventually

CORE = Path(lmstudio_core.__file__).parent
CODE = (str(CORE / "drivers"), str(CORE / "protocol"))
DEEP = bool(os.environ.get("LMSTUDIO_TEST_DEEP"))


def within(function: Callable[[], Any]) -> Any:
    """Run it in a thread, so that a deadlock fails the test instead of stopping it."""
    return in_thread(function).result(PATIENCE)


@pytest.fixture
def server(server):
    server.on("test.echo", lambda parameter: parameter)
    server.on_channel("test.count", numbers(1, 2, 3))
    server.on_channel("test.other", NO_ANSWER)
    return server


def work(client: Client) -> None:
    assert client.run(echo("a")) == "a"
    assert client.run(Batch([echo(n) for n in range(5)])) == list(range(5))
    assert client.run(Count()) == [1, 2, 3]
    with client.open(Count()) as left:
        assert next(left) == 1


# -- a handler at every step -----------------------------------------------------------------------


def test_a_cancel_at_every_bytecode(client, server):
    other = client.open(Count(name="other"))
    request = server.wait_for_request("test.other")

    def scenario():
        with Steps(other.cancel, CODE, opcodes=True) as steps:
            work(client)
        return steps.calls

    assert within(scenario) > 1000
    request.wait_for_message("cancel")
    assert len(server.sockets) == 1
    other.close()


def test_a_handler_cancels_the_very_stream_that_is_read(client, server):
    async def count(channel):
        channel.send({"type": "n", "n": 1})
        await channel.next_message()
        channel.send(*numbers(2))
        channel.close()

    server.on_channel("test.count", count)

    def scenario():
        stream = client.open(Count())
        assert next(stream) == 1
        with Steps(stream.cancel, CODE, opcodes=True) as steps:
            assert list(stream) == [2]
        return steps.calls

    assert within(scenario) > 100


ACTIONS: dict[str, Callable[[Client, Any], Any]] = {
    "close the client": lambda client, stream: client.close(),
    "close a stream": lambda client, stream: stream.close(),
    "drop a stream": lambda client, stream: stream.abandon(),
    "disconnect": lambda client, stream: client.disconnect("test"),
    "close what is idle": lambda client, stream: client.close_idle(),
    "make a call": lambda client, stream: client.run(echo("inner")),
    "run a stream": lambda client, stream: client.run(Count()),
    "look": lambda client, stream: client.is_connected("test"),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_handler_at_any_line(server, name):
    """One step after the other (a sample of them, except in the deep tests)."""
    handler = ACTIONS[name]
    offset = list(ACTIONS).index(name)

    def scenario(at: int) -> int:
        with Client(server.api_host) as client:
            stream = client.open(Count(name="other"))
            with Steps(lambda: handler(client, stream), CODE, at) as steps:
                try:
                    work(client)
                except errors.LMStudioError:
                    assert steps.calls, "an error before the handler was called"
                    assert name in ("close the client", "disconnect")
            connection = client._driver._connections.get("test")
            if name != "close the client":
                assert client.run(echo("after")) == "after"
            if connection is not None:
                assert connection._leader is None
                assert not connection._posted
                assert not connection._parked
        assert threading.active_count() < 40
        return steps.calls

    at = offset + 1
    while within(lambda at=at: scenario(at)):
        at += 1 if DEEP else 41
    assert at > 300  # else little was tried
    server.wait_until_closed()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("what", ["cancel", "close"])
def test_real_signals_at_full_speed(server, what):
    """What users write: ``signal(SIGINT, lambda *_: stream.cancel())``; hundreds of times."""
    server.on_channel("test.count", numbers(*range(200)))
    caught = []
    with Client(server.api_host) as client:
        stream = client.open(Count(name="other"))

        def handler(*_: object) -> None:
            caught.append(1)
            stream.cancel() if what == "cancel" else stream.close()

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            while len(caught) < 200:
                assert client.run(Count()) == list(range(200))
                assert client.run(echo(1)) == 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    server.requests_to("test.other")[0].wait_for_message("cancel")


def test_a_handler_that_closes_the_stream_which_is_waited_for(client, server):
    """The thread sleeps in the system; that it need not wait any more wakes it up."""
    stream = client.open(Count(name="other"))
    reading = in_thread(lambda: list(stream))
    connection = client._driver._connections["test"]
    eventually(lambda: connection._awaited is stream._reader.state)
    stream.close()
    assert reading.result(PATIENCE) == []
    assert client.run(echo(1)) == 1


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")
def test_a_call_in_a_handler_while_the_thread_waits(client, server):
    stream = client.open(Count(name="other"))
    (request,) = [server.wait_for_request("test.other")]
    answers = []

    def handler(*_: object) -> None:
        request.send(*numbers(7))
        request.close()
        answers.append(client.run(echo("inner")))  # files what the code below it waits for, too

    before = signal.signal(signal.SIGUSR1, handler)
    connection = client._driver._connections["test"]
    main = threading.main_thread().ident
    try:
        striker = in_thread(
            lambda: (
                eventually(lambda: connection._awaited is stream._reader.state),
                signal.pthread_kill(main, signal.SIGUSR1),
            )
        )
        assert list(stream) == [7]
        striker.result(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["inner"]
    assert client.run(echo(1)) == 1


# -- log handlers ----------------------------------------------------------------------------------


def test_a_log_handler_that_cancels_closes_and_calls(client, server):
    """The mux logs while the lock is held."""
    stream = client.open(Count(name="other"))
    server.wait_for_request("test.other")
    answers = []

    class Busy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.cancel()
            answers.append(client.run(echo("inner")))
            stream.close()

    def answer(parameter):
        server.sockets[0].warn("careful")
        return parameter

    server.on("test.warn", answer)
    busy = Busy()
    logging.getLogger("lmstudio").addHandler(busy)
    try:
        assert within(lambda: client.run(echo(1, "warn"))) == 1
    finally:
        logging.getLogger("lmstudio").removeHandler(busy)
    assert answers == ["inner"]
    assert client.run(echo(2)) == 2
    server.requests_to("test.other")[0].wait_for_message("cancel")


def test_a_log_handler_that_another_thread_is_in(client, server):
    """One thread logs inside the connection's lock; one in the log handler closes the client."""
    inside, logs = threading.Event(), threading.RLock()

    class Locked(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            inside.set()
            with logs:
                pass

    server.on("test.warn", lambda parameter: (server.sockets[0].warn("careful"), parameter)[1])
    stream = client.open(Count(name="other"))
    locked = Locked()
    logging.getLogger("lmstudio").addHandler(locked)
    try:
        with logs:
            waiting = in_thread(client.run, echo(1, "warn"))
            assert inside.wait(PATIENCE)
            within(stream.cancel)
            within(stream.close)
            within(client.close)
        assert isinstance(waiting.exception(PATIENCE), errors.LMStudioRuntimeError | None)
    finally:
        logging.getLogger("lmstudio").removeHandler(locked)
    server.wait_until_closed()


# -- asyncio: finalizers ---------------------------------------------------------------------------


def test_a_stream_collected_at_any_line_of_the_asyncio_driver(server):
    async def test():
        async with AsyncClient(server.api_host) as client:
            streams = []
            for _ in range(40):
                stream = client.open(Count(name="other"))
                await stream.start()
                streams.append(stream)
            del stream
            every = itertools.count()
            with Steps(lambda: streams.pop() if next(every) % 7 == 0 and streams else None, CODE):
                for n in range(20):
                    assert await client.run(echo(n)) == n
                    assert await client.run(Count()) == [1, 2, 3]
            assert not streams
            gc.collect()
            for request in server.requests_to("test.other"):
                await seen(request.wait_for_message, "cancel")
                assert len(request.messages) == 1
        assert len(server.sockets) == 1

    run(test)


# -- threads after an idle cut ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 4, 16])
@pytest.mark.parametrize("how", ["close", "drop", "restart"])
def test_threads_that_call_at_once_after_an_idle_cut(client, server, count, how):
    begin = threading.Barrier(count)

    def call(number: int) -> Any:
        begin.wait(PATIENCE)
        return client.run(echo(number))

    with ThreadPoolExecutor(count) as pool:
        for _ in range(20 if how != "restart" else 3):
            assert client.run(echo("idle")) == "idle"
            socket = client._driver._connections["test"]._socket
            if how == "restart":
                server.stop()
                server.start()
            else:
                getattr(server.sockets[-1], how)()
            assert socket.wait(PATIENCE, reading=True, writing=False)[0]
            assert list(pool.map(call, range(count))) == list(range(count))


def test_tasks_that_call_at_once_after_an_idle_cut(server):
    async def test():
        async with AsyncClient(server.api_host) as client:
            for _ in range(10):
                assert await client.run(echo("idle")) == "idle"
                server.sockets[-1].close()
                await seen(server.sockets[-1].wait_until_closed)
                calls = [client.run(echo(n)) for n in range(16)]
                assert await asyncio.gather(*calls) == list(range(16))

    run(test)


def test_the_end_that_is_filed_while_a_stream_is_read():
    """By another thread or a handler's call, after the inbox was found empty."""
    reader = ChannelReader(Count(), ChannelState(1, Count.endpoint))

    class Late(deque[Any]):
        def __bool__(self) -> bool:
            found = len(self) > 0
            if not reader.state.closed:
                self.extend(numbers(5))
                reader.state.closed = True
            return found

    reader.state.inbox = Late()
    assert reader.take() is None
    assert not reader.finished
    assert reader.take() == (5,)
    assert reader.take() is None
    assert reader.finished
