"""Processes for foreign input: they keep to their limits, and nothing of theirs outlives its use."""
# The processes themselves are seen nowhere else.
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lmstudio_core.program.interpreter import python_command, python_environment
from lmstudio_server.engines.base import ChatRequest, EngineError
from lmstudio_server.engines.llamacpp import templates
from lmstudio_server.engines.llamacpp.templates import LIMITS, Templates
from lmstudio_server.foreign import workers
from lmstudio_server.foreign.workers import FailedError, Limits, Workers
from waiting import eventually_async

HERE = Path(__file__).parent
PATIENCE = 60.0
SHORT = Limits(seconds=0.3, memory_bytes=64 * 2**20, answer_bytes=2**20)
LONG = Limits(seconds=30.0, memory_bytes=64 * 2**20, answer_bytes=2**20)
ASKED = ChatRequest([{"role": "user", "content": "U"}])


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def run(
    use: Callable[[Workers], Awaitable[None]], limits: Limits = LONG, *, reused: bool = True
) -> None:
    async def main() -> None:
        pool = Workers("foreign_tasks", limits, at_once=2, reused=reused)
        try:
            await asyncio.wait_for(use(pool), PATIENCE)
        finally:
            await pool.close()

    asyncio.run(main())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("reused", [True, False])
def test_a_process_is_reused_where_it_may_be(reused: bool) -> None:
    told: list[float] = []

    async def progress(value: float) -> None:
        told.append(value)

    async def use(pool: Workers) -> None:
        first = await pool.run({"what": "pid"}, progress)
        with pytest.raises(FailedError, match="ValueError: refused"):
            await pool.run({"what": "refused"})
        second = await pool.run({"what": "pid"})
        assert (first == second) is reused
        assert told == [0.5]
        await pool.close()
        assert not is_alive(first)
        assert not is_alive(second)

    run(use, reused=reused)


@pytest.mark.parametrize(
    ("limits", "task", "words"),
    [
        (SHORT, {"what": "sleep"}, "longer than 0.3 s"),
        (LONG, {"what": "end"}, "too much time or memory"),
        (LONG, {"what": "memory", "bytes": 10**9}, "more than 64 MiB of memory"),
        (LONG, {"what": "much", "bytes": 2**21}, "more than 1 MiB of text"),
        (LONG, {"what": "refused", "times": 10**6}, "refusedrefused"),
    ],
    ids=["seconds", "end", "memory", "answer", "words"],
)
def test_what_takes_too_much_is_ended_and_the_next_task_is_done(
    limits: Limits, task: dict[str, Any], words: str
) -> None:
    async def use(pool: Workers) -> None:
        before = await pool.run({"what": "pid"})
        with pytest.raises(FailedError, match=words) as caught:
            await pool.run(task)
        assert len(str(caught.value)) < 3000
        after = await pool.run({"what": "pid"})
        assert after == before or not is_alive(before)

    run(use, limits)


def test_cancelling_ends_the_process() -> None:
    async def use(pool: Workers) -> None:
        pid = await pool.run({"what": "pid"})
        waiting = asyncio.ensure_future(pool.run({"what": "sleep"}))
        await eventually_async(lambda: not pool._idle)  # it has taken the process
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not is_alive(pid)

    run(use)


def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    async def use(pool: Workers) -> None:
        pid = await pool.run({"what": "pid"})
        os.kill(pid, signal.SIGKILL)
        await pool._idle[0]._process.wait()
        assert await pool.run({"what": "pid"}) != pid

    run(use)


def test_a_process_does_so_many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_MOST_TASKS", 2)

    async def use(pool: Workers) -> None:
        first, second, third = [await pool.run({"what": "pid"}) for _ in range(3)]
        assert first == second != third

    run(use)


def test_it_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("DATABASE_URL", "secret")

    async def use(pool: Workers) -> None:
        assert "secret" not in (await pool.run({"what": "environment"})).values()

    run(use)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_where_the_system_has_no_limits_the_parent_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Process:
        def __init__(self, pid: int) -> None:
            self.pid = pid

        def memory_info(self) -> Any:
            asked.append(self.pid)
            # What it has at first, and then far more.
            return types.SimpleNamespace(rss=2**20 if len(asked) == 1 else 2**30)

    fake = types.SimpleNamespace(Process=Process, Error=ProcessLookupError)
    monkeypatch.setitem(sys.modules, "psutil", fake)  # type: ignore[arg-type]

    async def use(pool: Workers) -> None:
        pid = await pool.run({"what": "pid"})
        pool._idle[0].limited = False
        asked.clear()
        with pytest.raises(FailedError, match="more than 64 MiB of memory"):
            await pool.run({"what": "sleep"})
        assert set(asked) == {pid}

    run(use)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where limits hold")
def test_limits_that_are_set_already_are_no_obstacle() -> None:
    """A service manager's own limit on the processor cannot be raised, and the others hold all the same."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (50, 50));"
        "from lmstudio_server.foreign import worker;"
        "print(worker._limit(2**26, 100.0), resource.getrlimit(resource.RLIMIT_CPU),"
        " resource.getrlimit(resource.RLIMIT_AS)[0] < 2**40)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "True (50, 50) True"


@pytest.mark.skipif(sys.platform == "win32", reason="asks for POSIX")
def test_a_task_whose_server_was_killed_comes_to_an_end() -> None:
    """Its own limit on the processor ends it, and the end of its input, when it is idle."""
    what = ("lmstudio_server.foreign.worker", "lmstudio_server.foreign.templates", str(2**26), "0")
    process = subprocess.Popen(
        python_command("-m", *what, purpose="a test"),
        env=python_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    task = json.dumps({"template": "{{ 9**(9**9) }}", "variables": {}})
    said, _ = process.communicate(task.encode() + b"\n", timeout=PATIENCE)
    assert process.returncode == -signal.SIGXCPU
    assert len(said.splitlines()) == 1


# -- templates --------------------------------------------------------------------------------------

LOOPS = "{% for i in range(99999) %}" * 3 + "{% set x = i %}" + "{% endfor %}" * 3


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ 9**(9**9) }}", "longer than"),
        (LOOPS, "longer than"),
        ("{{ 'a' * 10**9 }}", "of memory"),
        ("{{ [0] * 10**9 }}", "of memory"),
        (
            "{% set l = namespace(x='a') %}{% for i in range(99) %}{% set l.x = l.x * 9 %}{% endfor %}",
            "",
        ),
        ("{{ '%999999999s' % 1 }}", ""),
        ("{{ 'a' * 10**8 }}", ""),
        ("{{ raise_exception('a' * 10**7) }}", "ValueError: aaa"),
        ("{{ " + "(" * 100_000 + ")" * 100_000 + " }}", ""),
        ("{% if 1 %}" * 3000 + "{% endif %}" * 3000, ""),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ '\ud800' }}", ""),
    ],
)
def test_templates_that_run_wild(
    template: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends in a typed error (or a text), and the next client's template is rendered."""
    limits = Limits(
        0.5 if words == "longer than" else 20.0, LIMITS.memory_bytes, LIMITS.answer_bytes
    )
    monkeypatch.setattr(templates, "LIMITS", limits)

    async def main() -> None:
        own = Templates({}, "<M>")
        try:
            try:
                text = await own.render(ASKED, template, constrained=False)
                assert not words
                assert len(text) < 1000
            except EngineError as error:
                told = error
            else:
                told = EngineError("The prompt template cannot be used", cause=words)
            assert told.title == "The prompt template cannot be used"
            assert words in str(told.cause)
            assert len(str(told.cause)) < 3000
            good = await own.render(ASKED, "{{ messages[0].content }}!", constrained=False)
            assert good == "U!"
        finally:
            await own.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_template_of_one_s_own_costs_little() -> None:
    """At most 5 ms, with a process that is there; the machine may be busy, so the best of many counts."""
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}"
    request = ChatRequest([{"role": "user", "content": "word " * 200}] * 20)

    async def main() -> float:
        own = Templates({}, "<M>")
        try:
            took: list[float] = []
            for _ in range(60):
                began = time.perf_counter()
                await own.render(request, template, constrained=False)
                took.append(time.perf_counter() - began)
            return min(took)
        finally:
            await own.close()

    assert asyncio.run(main()) < 0.005


def test_the_server_and_others_go_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "LIMITS", SHORT)

    async def main() -> None:
        own = Templates({}, "<M>")
        wild = asyncio.ensure_future(own.render(ASKED, "{{ 9**(9**9) }}", constrained=False))
        try:
            assert await own.render(ASKED, "x", constrained=False) == "x"
            with pytest.raises(EngineError):
                await wild
        finally:
            await own.close()

    asyncio.run(main())


def test_none_is_left_when_a_model_s_process_has_gone() -> None:
    async def main() -> None:
        own = Templates({}, "<M>")
        await own.render(ASKED, "x", constrained=False)
        (process,) = own._workers._idle
        own.abandon()
        await asyncio.wait_for(process._process.wait(), PATIENCE)
        await own.close()

    asyncio.run(main())
