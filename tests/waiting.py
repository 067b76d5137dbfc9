"""Waiting for a state that nothing announces: the one place of the tests where time passes.

Where something can be waited for (an answer, an event, a request that the scripted server got), a test
waits for that. This is for what other processes and the inside of other threads do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 20.0
"""Seconds after which a wait gives up; a failsafe, no test should come near it."""

_PAUSE = 0.002


def eventually(condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Return once the condition is met."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(_PAUSE)


async def eventually_async(condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    """``eventually``, while the event loop goes on."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(_PAUSE)


def stand_still(seconds: float) -> None:
    """Let this thread do nothing, where a pause is what the test is about; nothing waits for it."""
    time.sleep(seconds)


async def trickle(seconds: float) -> None:
    """``stand_still`` for a peer that is slow on purpose."""
    await asyncio.sleep(seconds)
