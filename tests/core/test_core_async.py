"""The asyncio driver: cancellation in all its forms, and nothing left over."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest
from core_async import WAYS, by_wait_for, congested, each_loop, run, run_loop, seen
from core_clients import Count, echo

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient
from lmstudio_core.protocol.operations import Batch
from lmstudio_testing import NO_ANSWER, accept, silent
from waiting import PATIENCE

pytestmark = pytest.mark.usefixtures(each_loop.__name__)

# -- cancellation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_call_leaves_the_client_usable(server, way):
    async def test():
        server.on("test.echo", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")
            await way(client.run(echo(1)), seen(server.wait_for_request, "test.echo"))
            request = await seen(server.wait_for_request, "test.echo")
            server.on("test.echo", 2)
            assert await client.run(echo(1)) == 2
            request.reply("late")
            assert await client.run(echo(1)) == 2
        assert len(server.sockets) == 1

    run(test)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_stream_is_cancelled_on_the_server_at_once(server, way):
    async def test():
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")

            async def consume():
                async for _ in client.open(Count()):
                    pass

            await way(consume(), seen(server.wait_for_request, "test.count"))
            # The cancelled task has written it; some loops (uvloop before 0.23) send at their turn's end.
            await seen(server.wait_for_request("test.count").wait_for_message, "cancel")
            server.on("test.echo", 2)
            assert await client.run(echo(1)) == 2

    run(test)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_run_of_a_channel(server, way):
    async def test():
        server.on_channel("test.count", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")
            await way(client.run(Count()), seen(server.wait_for_request, "test.count"))
            await seen(server.wait_for_request("test.count").wait_for_message, "cancel")

    run(test)


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_batch(server, way):
    async def test():
        server.on("test.echo", lambda n: NO_ANSWER if n == 3 else n)
        async with AsyncClient(server.api_host) as client:
            await client.connect("test")
            batch = Batch([echo(n) for n in range(8)])
            await way(client.run(batch), seen(server.wait_for_request, "test.echo", 8))
            assert await client.run(echo(9)) == 9

    run(test)


def test_a_cancelled_connection_attempt_does_not_hurt_the_others(server):
    async def test():
        server.on("test.echo", lambda n: n)
        server.auth = silent
        async with AsyncClient(server.api_host) as client:
            first = asyncio.ensure_future(client.run(echo(1)))
            await seen(server.wait_for, lambda: server.sockets and server.sockets[0].auth)
            others = [asyncio.ensure_future(client.run(echo(n))) for n in range(5)]
            await asyncio.sleep(0)
            server.auth = accept
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await asyncio.gather(*others) == list(range(5))
        assert len(server.sockets) == 2

    run(test)


def test_cancel_inside_an_outer_cancelled_scope(server):
    """Under anyio an await in a cancelled scope does not run: the cancel must not need one."""

    async def test():
        server.on_channel("test.count", lambda channel: channel.send({"type": "n", "n": 1}))
        async with AsyncClient(server.api_host) as client:
            with anyio.CancelScope() as scope:
                async with client.open(Count()) as stream:
                    assert await stream.__anext__() == 1
                    scope.cancel()
                    await asyncio.Event().wait()
            await seen(server.requests[0].wait_for_message, "cancel")

    run(test)


def test_a_lost_connection_cancels_no_other_code(server):
    async def test():
        server.on("test.echo", NO_ANSWER)
        async with AsyncClient(server.api_host) as client:
            bystander = asyncio.ensure_future(asyncio.Event().wait())
            waiting = [asyncio.ensure_future(client.run(echo(n))) for n in range(3)]
            await seen(server.wait_for_request, "test.echo", 3)
            server.sockets[0].drop()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(o) for o in outcomes] == [errors.LMStudioConnectionError] * 3
            assert not bystander.done()
            assert (
                asyncio.current_task().cancelling() == 0
                if hasattr(asyncio.Task, "cancelling")
                else 1
            )
            bystander.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await bystander
            server.on("test.echo", 3)
            assert await client.run(echo(1)) == 3

    run(test)


# -- entering and leaving --------------------------------------------------------------------------


def test_enter_in_one_task_and_exit_in_another(server):
    async def test():
        server.on("test.echo", lambda n: n)
        client = AsyncClient(server.api_host)
        await asyncio.ensure_future(client.__aenter__())
        assert await asyncio.ensure_future(client.run(echo(1))) == 1
        await asyncio.ensure_future(client.__aexit__(None, None, None))

    run(test)
    server.wait_until_closed()


def test_an_exit_stack_entered_in_one_task_and_left_in_another(server):
    async def test():
        server.on("test.echo", lambda n: n)
        stack = contextlib.AsyncExitStack()

        async def enter():
            return await stack.enter_async_context(AsyncClient(server.api_host))

        client = await asyncio.ensure_future(enter())
        assert await client.run(echo(1)) == 1
        await asyncio.ensure_future(stack.aclose())
        server.wait_until_closed()

    run(test)


def test_without_a_context_manager(server):
    async def test():
        server.on("test.echo", lambda n: n)
        client = AsyncClient(server.api_host)
        assert await client.run(echo(1)) == 1
        await client.aclose()
        await client.aclose()
        await seen(server.wait_until_closed)

    run(test)


def test_aclose_leaves_nothing(server):
    async def test():
        server.on("test.echo", NO_ANSWER)
        server.on_channel("test.count", NO_ANSWER)
        client = AsyncClient(server.api_host)
        waiting = [asyncio.ensure_future(client.run(o)) for o in (echo(1), Count(), echo(2))]
        await seen(server.wait_for_request, "test.echo", 2)
        await client.aclose()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(o) for o in outcomes] == [errors.LMStudioClosedError] * 3
        assert all("closed" in str(o) for o in outcomes)
        await seen(server.wait_until_closed)

    run(test)


def test_aclose_while_a_task_connects(server):
    async def test():
        server.auth = silent
        client = AsyncClient(server.api_host)
        waiting = asyncio.ensure_future(client.run(echo(1)))
        socket = await seen(server.wait_for_socket, "test")
        await client.aclose()
        with pytest.raises(errors.LMStudioRuntimeError, match="closed"):
            await waiting
        await seen(socket.wait_until_closed)

    run(test)


def test_aclose_does_not_wait_for_a_server_that_reads_nothing(server):
    async def test():
        server.on("test.echo", lambda n: 1)
        client = AsyncClient(server.api_host)
        await client.run(echo(1))
        server.sockets[0].pause_reading()
        upload = asyncio.ensure_future(client.run(echo("x" * 20_000_000)))
        await congested(client)
        await asyncio.wait_for(client.aclose(), PATIENCE)
        with pytest.raises(errors.LMStudioRuntimeError):
            await upload
        server.sockets[0].resume_reading()
        await seen(server.wait_until_closed)

    run(test)


def test_aclose_in_a_cancelled_scope_still_closes(server):
    async def test():
        server.on("test.echo", lambda n: n)
        with anyio.CancelScope() as scope:
            async with AsyncClient(server.api_host) as client:
                assert await client.run(echo(1)) == 1
                scope.cancel()
                await asyncio.Event().wait()
        await seen(server.wait_until_closed)

    run(test)


def test_a_cancelled_upload_that_was_on_its_way(server):
    async def test():
        server.on("test.echo", lambda parameter: len(parameter))
        async with AsyncClient(server.api_host) as client:
            await client.run(echo(""))
            server.sockets[0].pause_reading()
            await by_wait_for(client.run(echo("x" * 20_000_000)), congested(client))
            server.sockets[0].resume_reading()
            assert await client.run(echo("abc")) == 3

    run(test)


# -- loops -----------------------------------------------------------------------------------------


def test_in_a_second_loop_while_the_first_runs(server):
    server.on("test.echo", lambda n: n)

    async def test():
        async with AsyncClient(server.api_host) as client:
            assert await client.run(echo(1)) == 1

            def elsewhere():
                with pytest.raises(errors.LMStudioRuntimeError, match="another event loop"):
                    asyncio.run(client.run(echo(2)))

            await asyncio.to_thread(elsewhere)
            assert await client.run(echo(3)) == 3

    run(test)


def test_in_a_second_loop_after_the_first_is_closed(server):
    server.on("test.echo", lambda n: n)
    client = AsyncClient(server.api_host)
    assert run_loop(client.run(echo(1))) == 1
    server.wait_until_closed()  # it ended with its loop
    assert not client.is_connected("test")

    async def again():
        assert await client.run(echo(2)) == 2
        await client.aclose()

    run_loop(again())
    server.wait_until_closed()


def test_a_client_made_outside_of_any_loop(server):
    server.on("test.echo", lambda n: n)
    client = AsyncClient(server.api_host)

    async def test():
        async with client:
            assert await client.run(echo(1)) == 1

    run(test)
