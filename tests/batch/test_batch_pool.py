"""Pools of scripted servers: balance, faults, limits, closing."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from lmstudio_batch.errors import BatchInputError, NoHostError
from lmstudio_batch.pool import AsyncPool, Member, Pool
from lmstudio_batch.pool.settings import PoolSettings
from lmstudio_core.errors import (
    LMStudioCancelledError,
    LMStudioModelNotFoundError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioValueError,
)
from lmstudio_testing import FakeServer
from waiting import PATIENCE, eventually, eventually_async


@contextlib.contextmanager
def servers(number, *, embedding=False, times=None):
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(FakeServer()) for _ in range(number)]
        for index, server in enumerate(found):
            if embedding:
                server.embedding()
            else:
                server.llm().respond(f"host {index}", times=times)
        yield found


async def all_up(pool):
    """Ask until every host takes part; how often that was."""
    asked = 0
    while any(member.state != "up" for member in pool.status()):
        await pool.respond("Are you there?")
        asked += 1
    return asked


def hosts(found):
    return [server.api_host for server in found]


def test_calls_are_spread_over_the_hosts():
    with servers(3) as found:

        async def main():
            async with AsyncPool(hosts(found), model="any") as pool:
                before = await all_up(pool)
                answers = await asyncio.gather(*(pool.respond(f"text {n}") for n in range(60)))
                return {str(answer) for answer in answers}, before, pool.status()

        said, before, status = asyncio.run(main())
    assert said == {"host 0", "host 1", "host 2"}
    assert sum(member.done for member in status) == before + 60
    assert {member.state for member in status} == {"up"}
    assert all(member.busy == 0 and member.p50 is not None for member in status)


def test_a_pool_is_used_from_threads():
    with servers(2) as found, Pool(hosts(found)) as pool:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(str(pool.respond("Hello"))))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(answers) == 12
        assert sum(member.done for member in pool.status()) == 12
    with pytest.raises(LMStudioRuntimeError, match="closed"):
        pool.respond("Hello")


def test_embeddings_come_in_the_order_of_the_texts():
    texts = [f"text {n}" for n in range(100)]
    with servers(2, embedding=True) as found:
        with Pool(hosts(found[:1]), kind="embedding") as one:
            expected = one.embed(texts)
            assert one.embed(texts[3]) == expected[3]
            assert one.embed([]) == []
        with Pool(hosts(found), kind="embedding") as two:

            def both_did_some():
                assert two.embed(iter(texts)) == expected
                return min(member.done for member in two.status()) > 0

            eventually(both_did_some)


def test_an_error_of_one_host_is_tried_on_another():
    with servers(2) as found:
        found[0].on_channel("llm.predict", lambda channel: (_ for _ in ()).throw(broken()))
        with Pool(hosts(found), hedge=False) as pool:
            assert {str(pool.respond("Hello")) for _ in range(6)} == {"host 1"}
        found[1].on_channel("llm.predict", lambda channel: (_ for _ in ()).throw(broken()))
        with Pool(hosts(found)) as pool, pytest.raises(LMStudioServerError, match="broken"):
            pool.respond("Hello")


def broken():
    from lmstudio_testing import ServerFailure

    return ServerFailure("it is broken")


def test_a_host_that_goes_away_costs_no_call():
    with servers(2) as found:

        async def main():
            async with AsyncPool(hosts(found), model="any") as pool:
                await all_up(pool)
                found[0].stop()
                answers = await asyncio.gather(*(pool.respond("two") for _ in range(20)))
                return {str(answer) for answer in answers}, pool.status()

        said, (gone, there) = asyncio.run(main())
    assert said == {"host 1"}
    assert gone.state == "down"
    assert gone.why
    assert there.done >= 20


def test_no_host_names_each_with_its_reason():
    with servers(1) as found:
        gone = found[0].api_host
    with Pool([gone, "127.0.0.1:9"]) as pool, pytest.raises(NoHostError) as raised:
        pool.respond("Hello")
    assert gone in str(raised.value)
    assert "127.0.0.1:9" in str(raised.value)
    assert raised.value.tried == (gone, "127.0.0.1:9")


def test_hosts_have_to_agree_on_the_model():
    with FakeServer() as small, FakeServer() as large:
        small.llm("qwen", contextLength=512).respond("small", times=None)
        large.llm("qwen", contextLength=4096).respond("large", times=None)
        with Pool(hosts([small, large]), model="qwen") as pool:
            said = {str(pool.respond("Hello")) for _ in range(5)}
            eventually(lambda: {m.state for m in pool.status()} == {"up", "aside"})
            (aside,) = [m for m in pool.status() if m.state == "aside"]
            assert "context 512" in aside.why
            assert "context 4,096" in aside.why
            said = {str(pool.respond("Hello")) for _ in range(3)}
            assert len(said) == 1


@pytest.mark.parametrize(("missing", "loads"), [("load", 1), ("skip", 0)])
def test_a_host_without_the_model(missing, loads):
    with FakeServer() as there, FakeServer() as lacking:
        there.llm("qwen").respond("there", times=None)
        lacking.llm("qwen", loaded=False).respond("loaded", times=None)
        with Pool(hosts([there, lacking]), model="qwen", missing=missing) as pool:
            pool.respond("Hello")
            eventually(lambda: "new" not in {m.state for m in pool.status()})
            assert [m.state for m in pool.status()] == ["up", "up" if loads else "aside"]


def test_a_missing_model_may_be_an_error():
    with FakeServer() as lacking:
        lacking.llm("qwen", loaded=False)
        with (
            Pool(hosts([lacking]), model="qwen", missing="error") as pool,
            pytest.raises((LMStudioModelNotFoundError, NoHostError), match="not loaded"),
        ):
            pool.respond("Hello")


def test_closing_ends_what_waits():
    with FakeServer() as server:
        server.llm()
        server.on_channel("llm.predict")  # never answered

        async def main():
            pool = AsyncPool(hosts([server]))
            calls = [asyncio.ensure_future(pool.respond("Hello")) for _ in range(30)]
            await eventually_async(lambda: pool.status()[0].busy == 5)
            await pool.aclose()
            return await asyncio.gather(*calls, return_exceptions=True), asyncio.all_tasks()

        ends, tasks = asyncio.run(main())
    assert len(ends) == 30
    assert all(isinstance(end, LMStudioCancelledError) for end in ends)
    assert len(tasks) == 1


def test_a_call_that_is_cancelled_frees_its_slot():
    with FakeServer() as server:
        server.llm()
        server.on_channel("llm.predict")

        async def main():
            async with AsyncPool(hosts([server])) as pool:
                calls = [asyncio.ensure_future(pool.respond("Hello")) for _ in range(8)]
                await eventually_async(lambda: pool.status()[0].busy == 5)
                for call in calls:
                    call.cancel()
                await eventually_async(lambda: pool.status()[0].busy == 0)
                assert pool.running.scheduler.is_idle

        asyncio.run(main())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"hosts": []}, "at least one host"),
        ({"hosts": "localhost:1234"}, "not the string"),
        ({"hosts": [7]}, "not int"),
        ({"hosts": ["a:1", "a:1"]}, "listed twice"),
        ({"hosts": ["a:1"], "retries": -1}, "retries must be an integer >= 0, got -1"),
        ({"hosts": ["a:1"], "row_timeout": 0}, "row_timeout must be a positive"),
        ({"hosts": ["a:1"], "kind": "vision"}, "kind is"),
        ({"hosts": ["a:1"], "missing": "ignore"}, "missing is"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(arguments, said):
    with pytest.raises(BatchInputError, match=said):
        AsyncPool(**arguments)


def test_members():
    with pytest.raises(BatchInputError, match="slots"):
        Member("a:1", slots=0)
    assert "secret" not in repr(Member("a:1", api_token="secret"))
    assert Member(**Member("a:1", "m", 3, "t").to_dict()) == Member("a:1", "m", 3, "t")
    assert PoolSettings().limits == {"timeout": None, "idle_timeout": 60.0}


def test_the_kind_decides_what_can_be_asked():
    with Pool(["127.0.0.1:9"]) as pool, pytest.raises(LMStudioValueError, match="kind='embedding'"):
        pool.embed("Hello")


def test_hosts_have_to_agree_on_the_length_of_vectors():
    with FakeServer() as short, FakeServer() as long:
        short.embedding("nomic", dimensions=4)
        long.embedding("nomic", dimensions=8)
        with Pool(hosts([short, long]), model="nomic", kind="embedding") as pool:
            texts = [f"text {n}" for n in range(200)]

            def settled():
                vectors = pool.embed(texts)
                assert len(vectors) == 200
                assert len({len(vector) for vector in vectors}) == 1
                return {m.state for m in pool.status()} == {"up", "aside"}

            eventually(settled)
