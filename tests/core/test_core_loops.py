"""Event loops as programs bring them: uvloop's, none, trio's; failing callbacks, dropped clients."""

from __future__ import annotations

import ast
import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from core_async import each_loop, run, run_loop, seen
from core_clients import Count, echo

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.drivers import aio_connection, aio_line, loops
from lmstudio_core.protocol.operations import Invoke, InvokeMany
from lmstudio_testing import NO_ANSWER
from waiting import PATIENCE, eventually_async

ROOT = Path(__file__).parents[2]
each_loop = each_loop


# -- callbacks that fail ---------------------------------------------------------------------------


def broken(*_args):
    raise KeyError("a fault of ours")


@pytest.mark.parametrize("name", ["receive", "receive_eof", "outgoing"])
def test_an_exception_in_a_callback_fails_whoever_waits(server, each_loop, name, monkeypatch):
    """The loop alone would log it; and in connection_made leave the caller waiting for ever."""
    logged = []

    async def test():
        asyncio.get_running_loop().set_exception_handler(lambda _, what: logged.append(what))
        server.on("test.echo", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")
            waiting = [asyncio.ensure_future(client.run(echo(n))) for n in range(3)]
            await seen(server.wait_for_request, "test.echo", 3)
            (connection,) = client._driver._connections.values()
            monkeypatch.setattr(connection._wire, name, broken)
            if name == "receive_eof":
                connection.eof_received()
            else:
                server.requests[0].reply(1)  # it may have been filed before the fault
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(o) for o in outcomes[1:]] == [errors.LMStudioConnectionError] * 2
            assert all("a fault of ours" in str(o) for o in outcomes[1:])
            server.on("test.echo", 5)
            assert await client.run(echo(1)) == 5

    run(test)
    assert not logged


def test_an_exception_that_nobody_waits_for_is_logged(server, each_loop, monkeypatch, caplog):
    async def test():
        server.on("test.echo", 5)
        async with AsyncClient(server.api_host) as client:
            await client.run(echo(1))
            (connection,) = client._driver._connections.values()
            monkeypatch.setattr(connection._wire, "receive", broken)
            server.sockets[0].send_text("news")
            await eventually_async(lambda: not client.is_connected("test"))
            assert await client.run(echo(1)) == 5

    run(test)
    assert [r.levelname for r in caplog.records if "a fault of ours" in r.getMessage()] == [
        "WARNING"
    ]


@pytest.mark.parametrize("name", ["_poll_of", "at_loop_end"])
def test_an_exception_while_connecting_reaches_the_caller(server, each_loop, name, monkeypatch):
    async def test():
        server.on("test.echo", 5)
        async with AsyncClient(server.api_host) as client:
            with monkeypatch.context() as patch:
                patch.setattr(aio_line, name, broken)
                with pytest.raises(errors.LMStudioConnectionError, match="a fault of ours") as no:
                    await client.run(echo(1))
                assert isinstance(no.value.__cause__, KeyError)
            assert await client.run(echo(1)) == 5
        await seen(server.wait_until_closed)

    run(test)


def test_an_interrupt_in_a_callback_goes_on_and_fails_whoever_waits(server, monkeypatch):
    """Ctrl-C amid the filing of bytes: what has been filed is unknown, so the socket is not used on."""
    server.on("test.echo", lambda n: n)
    client = AsyncClient(server.api_host)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(client.run(echo(1))) == 1
    (connection,) = client._driver._connections.values()

    def interrupt(_data):
        raise KeyboardInterrupt

    monkeypatch.setattr(connection._wire, "receive", interrupt)
    waiting = loop.create_task(client.run(echo(2)))
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(waiting)
    with pytest.raises(errors.LMStudioConnectionError):
        loop.run_until_complete(waiting)
    assert loop.run_until_complete(client.run(echo(3))) == 3
    loop.run_until_complete(client.aclose())
    loop.close()


def test_a_transport_without_a_socket(server, monkeypatch):
    """As test clients have them."""
    made = aio_connection.Connection.connection_made

    class Plain:
        def __init__(self, transport):
            self._transport = transport
            for name in ("write", "abort", "close", "is_closing", "get_write_buffer_size"):
                setattr(self, name, getattr(transport, name))

        def get_extra_info(self, name, default=None):
            return default

    monkeypatch.setattr(
        aio_connection.Connection, "connection_made", lambda self, t: made(self, Plain(t))
    )

    async def test():
        server.on("test.echo", lambda n: n)
        async with AsyncClient(server.api_host) as client:
            assert [await client.run(echo(n)) for n in range(3)] == [0, 1, 2]

    run(test)


def test_what_cannot_be_said_to_a_transport_that_is_gone_is_no_news(server, caplog):
    """uvloop before 0.23 closes a cancelled connection's transport, which then says it is open."""

    class Gone:
        def __init__(self, transport):
            self.abort, self.close = transport.abort, transport.close

        def is_closing(self):
            return False

        def get_write_buffer_size(self):
            return 0

        def write(self, data):
            raise RuntimeError("the handler is closed")

    async def test():
        server.on("test.echo", lambda n: n)
        client = AsyncClient(server.api_host)
        await client.run(echo(1))
        (connection,) = client._driver._connections.values()
        connection._transport = Gone(connection._transport)
        await client.aclose()

    run(test)
    assert not caplog.records


# -- loops that are none, or others ----------------------------------------------------------------


def awaited(client):
    """What begins in different parts of the driver; each needs a loop."""
    return {
        "call": lambda: client.run(echo(1)),
        "stream": lambda: client.open(Count()).__anext__(),
        "function": lambda: client.run(Invoke(lambda: 1, blocking=True)),
        "functions": lambda: client.run(InvokeMany([lambda: 1])),
        "looking for a server": lambda: AsyncClient().run(echo(1)),
        "enter": lambda: client.__aenter__(),
        "connect": lambda: client.connect("test"),
        "limited": lambda: client.run(echo(1), timeout=1),
    }


@pytest.mark.parametrize("what", awaited(None))
def test_in_trio_the_error_names_the_ways(what):
    trio = pytest.importorskip("trio")

    async def main():
        with pytest.raises(errors.LMStudioRuntimeError, match=r"trio.*Client in threads") as caught:
            await awaited(AsyncClient("127.0.0.1:9"))[what]()
        assert "trio_asyncio" in str(caught.value)

    trio.run(main)


@pytest.mark.parametrize("what", awaited(None))
def test_without_any_loop_the_error_says_so(what):
    with pytest.raises(errors.LMStudioRuntimeError, match="none runs in this thread"):
        awaited(AsyncClient("127.0.0.1:9"))[what]().send(None)


def test_trio_as_the_guest_of_an_asyncio_loop_is_trio(monkeypatch):
    trio = pytest.importorskip("trio")

    async def main():
        done = asyncio.get_running_loop().create_future()

        async def guest():
            with pytest.raises(errors.LMStudioRuntimeError, match="trio"):
                loops.running_loop()
            return True

        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=asyncio.get_running_loop().call_soon_threadsafe,
            done_callback=lambda outcome: done.set_result(outcome.unwrap()),
        )
        assert await done
        assert loops.running_loop() is asyncio.get_running_loop()

    asyncio.run(main())


def test_the_sync_client_in_threads_of_trio(server):
    trio = pytest.importorskip("trio")
    server.on("test.echo", lambda n: n)

    async def main():
        with Client(server.api_host) as client:
            assert await trio.to_thread.run_sync(client.run, echo(3)) == 3

    trio.run(main)


def test_a_stream_in_another_loop_says_so(server, each_loop):
    async def test():
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        async with AsyncClient(server.api_host) as client:
            stream = client.open(Count())
            assert await stream.__anext__() == 1

            def elsewhere():
                for use in (stream.cancel, lambda: stream.send({"type": "more"})):
                    with pytest.raises(errors.LMStudioRuntimeError, match="another event loop"):
                        asyncio.run(use())
                asyncio.run(stream.aclose())  # the end is for every thread

            await asyncio.to_thread(elsewhere)
            await seen(server.requests[0].wait_for_message, "cancel")

    run(test)


# -- dropped clients -------------------------------------------------------------------------------


def test_a_dropped_async_client_says_so_and_closes_its_sockets(server, each_loop):
    async def use():
        client = AsyncClient(server.api_host)
        await client.run(echo(1))
        client.capability("models")  # it and its namespaces know each other

    async def main():
        await use()
        with pytest.warns(ResourceWarning, match=f"unclosed AsyncClient.*{server.api_host}"):
            gc.collect()
        await seen(server.wait_until_closed)

    server.on("test.echo", lambda n: n)
    run_loop(main(), debug=True)


def test_a_client_dropped_in_another_thread(server, each_loop):
    async def main():
        held = [AsyncClient(server.api_host)]
        await held[0].run(echo(1))

        def drop():
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                held.clear()
                gc.collect()
            assert [w.category for w in told] == [ResourceWarning]

        await asyncio.to_thread(drop)
        await seen(server.wait_until_closed)

    server.on("test.echo", lambda n: n)
    run_loop(main(), debug=True)


def test_a_client_dropped_after_its_loop(server, each_loop):
    async def main():
        await AsyncClient(server.api_host).run(echo(1))

    server.on("test.echo", lambda n: n)
    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run_loop(main())
        gc.collect()
    assert [str(w.message).partition(":")[0] for w in told] == ["unclosed AsyncClient('127.0.0.1"]
    server.wait_until_closed()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_whose_loop_was_closed_without_a_word(server):
    """What asyncio itself says of such a loop's transports is all that is said."""
    server.on("test.echo", lambda n: n)
    client = AsyncClient(server.api_host)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(client.run(echo(1))) == 1
    loop.close()
    assert asyncio.run(client.run(echo(2))) == 2
    asyncio.run(client.aclose())
    gc.collect()
    server.wait_until_closed()


def test_a_dropped_sync_client_says_so_and_closes_its_sockets(server):
    server.on("test.echo", lambda n: n)
    client = Client(server.api_host)
    assert client.run(echo(1)) == 1
    client.capability("models")
    del client
    here = f"unclosed Client.*{server.api_host}.*made at .*test_core_loops.py:[0-9]+: use 'with'"
    with pytest.warns(ResourceWarning, match=here):
        gc.collect()
    server.wait_until_closed()


def test_clients_without_sockets_are_dropped_in_silence(server):
    AsyncClient(server.api_host)
    Client(server.api_host)
    server.on("test.echo", lambda n: n)
    with Client(server.api_host) as client:
        client.run(echo(1))
    asyncio.run(_closed(server))
    del client
    gc.collect()


async def _closed(server):
    async with AsyncClient(server.api_host) as client:
        await client.run(echo(1))


PROGRAM = """
import asyncio, sys
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.protocol.operations import Batch, Call, Endpoint

ECHO = Endpoint("test", "echo")
sync, other = Client(sys.argv[1]), AsyncClient(sys.argv[1])

def check(seen, wanted):
    if seen != wanted:
        raise SystemExit(f"{seen!r} in place of {wanted!r}")

async def main(start):
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no news here
    check(await other.run(Batch([Call(ECHO, n) for n in range(start, start + 20)]), timeout=20),
          list(range(start, start + 20)))

check(sync.run(Call(ECHO, "x")), "x")
asyncio.run(main(0))
asyncio.run(main(20))
asyncio.run(main(40), debug=True)
"""


@pytest.mark.parametrize("options", [[], ["-O"], ["-X", "dev"]], ids=["plain", "O", "dev"])
def test_a_program_that_closes_nothing_ends_in_silence(server, options):
    server.on("test.echo", lambda n: n)
    command = [sys.executable, *options, "-c", PROGRAM, server.api_host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_until_closed()


# -- a loop that stood still -----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["reset", "end", "goodbye"])
@pytest.mark.parametrize("flying", [False, True], ids=["idle", "busy"])
def test_a_connection_lost_while_the_loop_stood_still(
    server, each_loop, way, flying, caplog, monkeypatch
):
    """Nobody gets the dead socket; what was under way on it fails with the reason."""
    monkeypatch.setattr(aio_line, "_STILL_SECONDS", -1.0)  # as after any time
    server.on("test.echo", lambda n: n)
    server.on("test.slow", NO_ANSWER)

    async def test():
        async with AsyncClient(server.api_host) as client:
            await client.run(echo(0))
            slow = [asyncio.ensure_future(client.run(echo(1, "slow")))] if flying else []
            if slow:
                await seen(server.wait_for_request, "test.slow")
            end_of(server.sockets[0], way)  # blocks this loop
            calls = [client.run(echo(n)) for n in range(8)]
            limited = [client.run(echo(n), timeout=PATIENCE) for n in range(8, 16)]
            assert await asyncio.gather(*calls, *limited) == list(range(16))
            for outcome in await asyncio.gather(*slow, return_exceptions=True):
                assert isinstance(outcome, errors.LMStudioConnectionError)
                assert "was lost" in str(outcome)
        assert len(server.sockets) == 2

    run(test)
    assert not [r for r in caplog.records if "socket.send" in r.getMessage()]


def end_of(peer, way):
    """End a connection from the server's side, and wait until this machine knows."""
    import socket
    import struct

    transport = peer._connection.transport
    sock = transport.get_extra_info("socket")
    ended = threading.Event()

    async def end():
        if way == "goodbye":
            peer._connection.protocol.send_close(1012, "restarting")
            transport.write(b"".join(peer._connection.protocol.data_to_send()))
        elif way == "end":
            transport.write_eof()
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
            await asyncio.sleep(0)  # it closes the socket in the next turn
        await asyncio.sleep(0)
        ended.set()

    asyncio.run_coroutine_threadsafe(end(), peer._loop)
    assert ended.wait(PATIENCE)


def test_calls_on_a_transport_that_is_ending_say_so_and_nothing_is_printed(
    server, each_loop, caplog
):
    async def test():
        server.on("test.echo", lambda n: n)
        async with AsyncClient(server.api_host) as client:
            await client.run(echo(0))
            (connection,) = client._driver._connections.values()
            connection._transport.abort()
            states = [connection.call(echo(n).endpoint, n) for n in range(20)]
            for state in states:
                await connection.wait(state)
            assert all("was lost" in str(state.failure) for state in states)
            assert await client.run(echo(1)) == 1

    run(test)
    assert not [r for r in caplog.records if "socket.send" in r.getMessage()]


# -- the source ------------------------------------------------------------------------------------


def sources(*folders):
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def test_no_assert_decides_anything_at_run_time():
    """``python -O`` leaves them out, and in a callback of a loop nobody hears of them."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources("src", "packages", "benchmarks", "scripts")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not found


def test_the_drivers_do_not_wait_in_the_way_that_swallows_cancellations():
    found = [
        f"{path.name}:{node.lineno}"
        for path in sources("packages/lmstudio-core/src/lmstudio_core/drivers")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "wait_for"
    ]
    assert not found
