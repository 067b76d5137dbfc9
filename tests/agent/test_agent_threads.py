"""The threads of tools: reused, forgotten by a forked child, and no burden on the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from lmstudio_agent.threads import in_thread, workers

NAME: ContextVar[str] = ContextVar("name", default="nobody")


def test_threads_are_used_again_and_keep_nothing_of_the_last_call() -> None:
    async def main() -> set[Any]:
        seen: set[Any] = set()
        for name in map(str, range(20)):
            NAME.set(name)
            seen.add(await in_thread(lambda: (threading.get_ident(), NAME.get())))
        return seen

    seen = asyncio.run(main())
    assert {name for _, name in seen} == set(map(str, range(20)))
    assert len({ident for ident, _ in seen}) < 20


def test_exceptions_reach_whoever_awaits() -> None:
    def fail() -> None:
        raise KeyError("lost")

    async def main() -> None:
        await in_thread(fail)

    with pytest.raises(KeyError, match="lost"):
        asyncio.run(main())


def test_a_hanging_tool_does_not_keep_a_loop_from_ending() -> None:
    release = threading.Event()

    async def main() -> None:
        waiting = in_thread(release.wait)
        await asyncio.wait([waiting], timeout=0.01)
        waiting.cancel()

    asyncio.run(main())
    release.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="warns of threads")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    async def main() -> int:
        return await in_thread(lambda: 7)

    assert asyncio.run(main()) == 7
    child = os.fork()
    if child == 0:
        os._exit(asyncio.run(main()))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_none_fits_the_machine() -> None:
    assert workers(3) == 3
    assert workers(None) > 4
