"""The act loop under the real drivers, with scripted predictions: threads, tasks, interruptions."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from agent_scripts import (
    NOWHERE,
    Scripted,
    ScriptedClient,
    call,
    make_run,
    prediction,
    run_async,
    run_sync,
)

from lmstudio_agent import ActResult, AsyncActStream, ToolCallContext
from lmstudio_core.client import AsyncClient
from lmstudio_llm.chat import Chat
from waiting import PATIENCE, eventually, eventually_async

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="none")


BOTH = pytest.mark.parametrize("run", [run_sync, run_async])
Runner = Callable[[Any], ActResult]


def three(name: str) -> Any:
    return prediction("", *(call(name, {"n": n}, str(n)) for n in range(3)))


class Meeting:
    """Tools that only finish if all three run at the same time."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(3, timeout=10)
        self.arrived = 0
        self.most = 0
        self.now = 0

    def meet(self, n: int) -> int:
        """Wait for the others."""
        self.barrier.wait()
        return n

    async def meet_later(self, n: int) -> int:
        """Wait for the others, in a coroutine."""
        await asyncio.to_thread(self.barrier.wait)
        return n

    async def alone(self, n: int) -> int:
        """Note how many run at the same time."""
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(50):  # whatever else is to run gets its turn
            await asyncio.sleep(0)
        self.now -= 1
        return n


@BOTH
@pytest.mark.parametrize("name", ["meet", "meet_later"])
def test_tools_run_at_the_same_time_if_they_may(run: Runner, name: str) -> None:
    tool = getattr(Meeting(), name)
    script = Scripted(three(name), prediction("done"))
    result = run(make_run(script, [tool], max_parallel_tool_calls=3))
    assert [record.result for record in result.tool_calls] == [0, 1, 2]


@BOTH
def test_none_lets_the_driver_choose_how_many(run: Runner) -> None:
    script = Scripted(three("meet"), prediction("done"))
    result = run(make_run(script, [Meeting().meet], max_parallel_tool_calls=None))
    assert [record.result for record in result.tool_calls] == [0, 1, 2]


@BOTH
def test_one_at_a_time_means_one_at_a_time(run: Runner) -> None:
    meeting = Meeting()
    result = run(make_run(Scripted(three("alone"), prediction("done")), [meeting.alone]))
    assert meeting.most == 1
    assert result.total_time_seconds > 0


def test_a_single_sync_tool_runs_in_the_callers_thread() -> None:
    seen: list[Any] = []

    def where(n: int) -> None:
        """Note the thread."""
        seen.append((threading.current_thread(), REQUEST_ID.get()))

    token = REQUEST_ID.set("r-1")
    run_sync(make_run(Scripted(prediction("", call("where", {"n": 1})), prediction("ok")), [where]))
    REQUEST_ID.reset(token)
    assert seen == [(threading.current_thread(), "r-1")]


@BOTH
@pytest.mark.parametrize("parallel", [1, 3])
def test_tools_see_the_callers_context_variables(run: Runner, parallel: int) -> None:
    seen: list[str] = []

    def note(n: int, context: ToolCallContext) -> None:
        """Note what is known."""
        seen.append(f"{REQUEST_ID.get()}/{context.call_id}")

    token = REQUEST_ID.set("r-2")
    run(
        make_run(
            Scripted(three("note"), prediction("ok")), [note], max_parallel_tool_calls=parallel
        )
    )
    REQUEST_ID.reset(token)
    assert sorted(seen) == ["r-2/0", "r-2/1", "r-2/2"]


def test_async_tools_work_from_sync_code_inside_a_running_loop() -> None:
    async def twice(n: int) -> int:
        """Double a number."""
        await asyncio.sleep(0)
        return 2 * n

    async def notebook() -> ActResult:
        return run_sync(make_run(Scripted(three("twice"), prediction("ok")), [twice]))

    assert [record.result for record in asyncio.run(notebook()).tool_calls] == [0, 2, 4]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of another kind")
@pytest.mark.parametrize("parallel", [1, 3])
def test_ctrl_c_does_not_wait_for_tools_and_leaves_a_valid_chat(parallel: int) -> None:
    release = threading.Event()
    contexts: list[ToolCallContext] = []
    finished: list[int] = []

    def slow(n: int, context: ToolCallContext) -> int:
        """Take long, unless interrupted."""
        contexts.append(context)
        release.wait(PATIENCE)
        finished.append(n)
        return n

    chat = Chat.from_history("Go")
    script = Scripted(three("slow"))
    op = make_run(script, [slow], chat, on_message=chat.append, max_parallel_tool_calls=parallel)
    main = threading.main_thread().ident

    def interrupt() -> None:
        eventually(lambda: len(contexts) == parallel)
        signal.pthread_kill(main, signal.SIGINT)

    striker = threading.Thread(target=interrupt)
    striker.start()
    with pytest.raises(KeyboardInterrupt):
        run_sync(op)
    striker.join()
    assert finished == []
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    assert len(chat.messages[-1].content) == parallel  # one at a time: the others were not read
    assert len(contexts) == parallel
    assert all(context.cancelled for context in contexts)
    release.set()


@pytest.mark.parametrize("limit", [None, 30])
def test_cancelling_the_task_cancels_the_tools_and_leaves_a_valid_chat(limit: int | None) -> None:
    begun: list[int] = []
    ended: list[str] = []

    async def slow(n: int) -> int:
        """Take long."""
        begun.append(n)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return n

    chat = Chat.from_history("Go")

    async def main() -> None:
        async with AsyncClient(NOWHERE) as client:
            op = make_run(
                Scripted(three("slow")),
                [slow],
                chat,
                on_message=chat.append,
                max_parallel_tool_calls=3,
                tool_timeout=limit,
            )
            stream = AsyncActStream(ScriptedClient(client), *op)
            task = asyncio.ensure_future(stream.wait_for_result())
            await eventually_async(lambda: len(begun) == 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended == ["cancelled"] * 3
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert [message.role for message in chat] == ["user", "assistant", "tool"]
    assert all("cancelled" in part.content for part in chat.messages[-1].content)
