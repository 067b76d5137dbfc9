"""What every benchmarked client does the same: arguments in, CPU seconds per item out."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import threading
import time
from collections.abc import Awaitable, Callable


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("style", choices=["sync", "async"])
    parser.add_argument("work", choices=["stream", "rpc"])
    parser.add_argument("callers", type=int)
    parser.add_argument("items", type=int, help="fragments or calls in all")
    return parser.parse_args()


def check(seen: object, wanted: object) -> None:
    """Whether the work was done; with ``assert``, ``python -O`` would leave the work out."""
    if seen != wanted:
        raise RuntimeError(f"not the work that was asked for: {seen!r} in place of {wanted!r}")


def report(items: int, started: float) -> None:
    print(json.dumps({"us": (time.process_time() - started) / items * 1e6}))


def run_threads(callers: int, items: int, work: Callable[[int, int], None]) -> None:
    """``work(caller, items)`` in each thread, after one small round to warm up."""
    share = items // callers
    for caller in range(callers):
        work(caller, min(share, 50))
    threads = [threading.Thread(target=work, args=(c, share)) for c in range(callers)]
    gc.collect()
    started = time.process_time()
    if callers == 1:
        work(0, share)
    else:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    report(share * callers, started)


async def run_tasks(callers: int, items: int, work: Callable[[int, int], Awaitable[None]]) -> None:
    """``work(caller, items)`` in each task, after one small round to warm up."""
    share = items // callers
    for caller in range(callers):
        await work(caller, min(share, 50))
    gc.collect()
    started = time.process_time()
    await asyncio.gather(*(work(c, share) for c in range(callers)))
    report(share * callers, started)
