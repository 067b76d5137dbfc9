"""Everything that networks do to a client, at random but from a seed; prints "well" if it stood it.

    python core_chaos.py FAULTS SEED

Threads, tasks, signals, cancels and forks use two clients through a proxy that delays, splits, truncates,
corrupts, resets, swallows and refuses. Every result must be right, every error one of ours, nothing may
hang or be left behind, and after the proxy is healed the next call must work.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from core_clients import Count, echo, numbers
from core_proxy import Link, Proxy

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.protocol.operations import Batch
from lmstudio_testing import FakeServer
from waiting import eventually, trickle

LIMIT = 0.3
"""Seconds for each call; what is swallowed costs this much at most."""

KINDS = ("delay", "split", "truncate", "corrupt", "reset", "swallow", "refuse")


class Chaos:
    """Which fault comes next; counted, until there were enough."""

    def __init__(self, faults: int, seed: int) -> None:
        self.left = faults
        self.random = random.Random(seed)
        self.happened: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.results = self.healed = 0
        self.wrong: list[Any] = []

    @property
    def over(self) -> bool:
        return self.left <= 0

    def draw(self, kinds: tuple[str, ...], chance: float) -> str | None:
        if self.over or self.random.random() > chance:
            return None
        kind = self.random.choice(kinds)
        self.left -= 1
        self.happened[kind] += 1
        return kind

    def link(self) -> Link | None:
        return None if self.draw(("refuse",), 0.1) else FaultyLink(self)

    def note(self, got: Any, expected: Any) -> None:
        """The outcome of a call: ``got`` may be an exception."""
        if isinstance(got, errors.LMStudioError):
            self.errors[type(got).__name__] += 1
        elif got == expected:
            self.results += 1
        else:
            self.wrong.append((got, expected))


class FaultyLink(Link):
    def __init__(self, chaos: Chaos) -> None:
        super().__init__()
        self._chaos = chaos

    async def forward(
        self, data: bytes, writer: asyncio.StreamWriter, towards_client: bool
    ) -> bool:
        chaos = self._chaos
        kind = None if self.black else chaos.draw(KINDS[:-1], 0.25)
        if kind == "delay":
            await trickle(chaos.random.random() * 0.02)
        elif kind == "split":
            for at in range(len(data)):
                if writer.is_closing():  # reset in between; asyncio logs the writes that go nowhere
                    return False
                writer.write(data[at : at + 1])
                await asyncio.sleep(0)
            return True
        elif kind == "truncate":
            writer.write(data[: chaos.random.randrange(len(data))])
            await writer.drain()
            return False
        elif kind == "corrupt":  # into what is neither a frame nor JSON: TCP has its own checksums
            data = b"\xff" * min(len(data), 16) + data[16:]
        elif kind == "reset":
            self.end(reset=True)
            return False
        elif kind == "swallow":
            self.black = True
        return await super().forward(data, writer, towards_client)


def threads_at_work(chaos: Chaos, client: Client, number: int) -> None:
    """One thread: calls, batches, streams that are read, left, cancelled."""
    choose = random.Random(number)
    step = 0
    while not chaos.over:
        step += 1
        value = f"{number}-{step}"
        what = choose.randrange(4)
        try:
            if what == 0:
                chaos.note(client.run(echo(value), timeout=LIMIT), value)
            elif what == 1:
                calls = [echo(f"{value}-{n}") for n in range(5)]
                expected = [call.parameter for call in calls]
                chaos.note(client.run(Batch(calls), timeout=LIMIT), expected)
            elif what == 2:
                chaos.note(client.run(Count(), timeout=LIMIT), [1, 2, 3])
            else:
                stream = client.open(Count(), timeout=LIMIT)
                chaos.note(next(stream), 1)
                if choose.random() < 0.5:
                    stream.cancel()
        except Exception as error:
            chaos.note(error, None)


async def task_at_work(chaos: Chaos, client: AsyncClient, number: int) -> None:
    choose = random.Random(-number)
    step = 0
    while not chaos.over:
        step += 1
        value = f"task {number}-{step}"
        what = choose.randrange(4)
        try:
            if what == 0:
                chaos.note(await client.run(echo(value), timeout=LIMIT), value)
            elif what == 1:
                chaos.note(await client.run(Count(), timeout=LIMIT), [1, 2, 3])
            elif what == 2:
                async for event in client.open(Count(), timeout=LIMIT):
                    chaos.note(event, 1)
                    break
            else:
                task = asyncio.ensure_future(client.run(echo(value)))
                await asyncio.wait({task}, timeout=choose.random() * 0.02)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                if not task.cancelled():
                    chaos.note(task.exception() or task.result(), value)
        except Exception as error:
            chaos.note(error, None)


async def tasks_at_work(chaos: Chaos, host: str) -> None:
    async with AsyncClient(host, ping_interval=0.1, ping_timeout=0.1) as client:
        await asyncio.gather(*(task_at_work(chaos, client, n) for n in range(1, 4)))
        chaos.note(await heal(client), "healed")
        chaos.healed += 1
    assert asyncio.all_tasks() == {asyncio.current_task()}, asyncio.all_tasks()


def heal(client: Any) -> Any:
    """A call that must work: the network is well, the client has been left alone for a while."""
    for connection in client._driver._connections.values():
        connection._alive._heard_at -= 86400
    return client.run(echo("healed"), timeout=20)


def in_child(chaos: Chaos, client: Client) -> None:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            client.run(echo("child"), timeout=LIMIT)
            code = 0
        except errors.LMStudioError:
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        chaos.wrong.append(f"a child ended with {status}")


def main_thread_at_work(chaos: Chaos, client: Client) -> None:
    """Signals cancel what the main thread reads; now and then it forks."""
    streams: list[Any] = []

    def handler(*_: object) -> None:
        if streams:
            streams[-1].cancel()

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    step = 0
    try:
        while not chaos.over:
            step += 1
            try:
                streams[:] = [client.open(Count(), timeout=LIMIT)]
                chaos.note(list(streams[0]), [1, 2, 3])
                if step % 10 == 0:
                    in_child(chaos, client)
            except Exception as error:
                chaos.note(error, None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def descriptors() -> list[str]:
    folder = Path("/proc/self/fd")
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def play(faults: int, seed: int) -> Chaos:
    chaos = Chaos(faults, seed)
    with FakeServer() as server, Proxy(server.api_host, chaos.link) as proxy:
        server.on("test.echo", lambda parameter: parameter)
        server.on_channel("test.count", numbers(1, 2, 3))
        with (
            Client(proxy.host, ping_interval=0.1, ping_timeout=0.1) as client,
            ThreadPoolExecutor(4) as pool,
        ):
            works = [pool.submit(threads_at_work, chaos, client, n) for n in range(1, 4)]
            works.append(pool.submit(asyncio.run, tasks_at_work(chaos, proxy.host)))
            main_thread_at_work(chaos, client)
            for work in works:
                work.result()
            chaos.note(heal(client), "healed")
            chaos.healed += 1
    return chaos


def main() -> None:
    faults, seed = int(sys.argv[1]), int(sys.argv[2])
    faulthandler.dump_traceback_later(60 + faults / 10, exit=True)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)  # the scripted server's own
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: forking with threads
    before_fds, before_threads = len(descriptors()), threading.active_count()
    began = time.monotonic()
    chaos = play(faults, seed)
    gc.collect()
    eventually(
        lambda: len(descriptors()) <= before_fds + 1 and threading.active_count() <= before_threads
    )
    assert not chaos.wrong, chaos.wrong[:5]
    assert threading.active_count() == before_threads, threading.enumerate()
    assert len(descriptors()) <= before_fds + 1, descriptors()  # one: the resource tracker's
    assert chaos.healed == 2
    assert chaos.results > faults / 4, chaos.results
    assert set(chaos.happened) == set(KINDS)
    print(
        f"{sum(chaos.happened.values())} faults {dict(chaos.happened)}, {chaos.results} right "
        f"results, errors {dict(chaos.errors)}, {time.monotonic() - began:.1f} s"
    )
    print("well")


if __name__ == "__main__":
    main()
