"""Everything at once against the bundled server for as long as one likes: is anything lost, does it grow?

    python benchmarks/soak.py --minutes 60 [--callers 4] [--every 15] [--json FILE]

Callers stream chats, break them off, embed, tokenize, upload, load and unload models and open new
clients, in random order, against one server in a process of its own; now and then one kills an engine
or a whole client process. Memory and descriptors of the server, and the number of engine processes,
are sampled from ``/proc`` (Linux). It ends with code 1 if an answer was wrong, an error was not the one
to expect, something was left open, or memory grew by more than a tenth and 10 MB after the first fifth.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

import lmstudio as lms
from lmstudio_server.testing import ServerProcess, running_server

MEANING = "What is the meaning of life?"
ANSWER = "The meaning of life is 42."
KILLED_CLIENT = """
import sys, lmstudio as lms
with lms.Client(sys.argv[1]) as client:
    client.files.prepare_file(b"text", name="a.txt")
    for _ in client.llm.model("pocket").respond_stream("Tell me a story."):
        print("on", flush=True)
    sys.stdin.read()
"""


class Soak:
    """What is done, and what came of it."""

    def __init__(self, server: ServerProcess, seconds: float, every: float) -> None:
        self.server = server
        self.every = every
        self.start = time.monotonic()
        self.end = self.start + seconds
        self.done: Counter[str] = Counter()
        self.failures: list[str] = []
        self.expected: Counter[str] = Counter()
        self.samples: list[dict[str, float]] = []
        self.random = random.Random(7)
        self._killing = asyncio.Lock()

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    async def caller(self) -> None:
        """One client after the other, each for some twenty jobs."""
        jobs = [
            *[self.chat] * 6,
            *[self.broken_off] * 3,
            *[self.embed] * 3,
            *[self.tokens] * 3,
            self.own_instance,
            self.killed_engine,
            self.killed_client,
        ]
        while not self.over:
            async with lms.AsyncClient(self.server.host) as client:
                self.done["clients"] += 1
                for _ in range(20):
                    if self.over:
                        break
                    await self.run(self.random.choice(jobs), client)

    async def run(self, job: Any, client: lms.AsyncClient) -> None:
        try:
            await asyncio.wait_for(job(client), 120)
        except lms.LMStudioModelNotFoundError:
            self.expected["its model had just been killed"] += 1
        except lms.LMStudioServerError as error:
            # Another caller may have killed the engine that this one was using.
            if any(word in str(error) for word in ("SIGKILL", "No loaded model", "not loaded any")):
                self.expected["its engine had been killed"] += 1
            else:
                self.fail(f"{job.__name__}: {error!r}")
        except Exception as error:
            self.fail(f"{job.__name__}: {error!r}")
        else:
            if job not in (self.killed_engine, self.killed_client):  # which count what they did
                self.done[job.__name__] += 1

    def fail(self, what: str) -> None:
        self.failures.append(what)
        print(f"{time.monotonic() - self.start:6.0f} s  {what}", file=sys.stderr)

    async def chat(self, client: lms.AsyncClient) -> None:
        model = await client.llm.model("pocket")
        stream = await model.respond_stream(MEANING)
        text = "".join([fragment.content async for fragment in stream])
        if not text == stream.result().content == ANSWER:
            self.fail(f"wrong answer: {text!r}")

    async def broken_off(self, client: lms.AsyncClient) -> None:
        model = await client.llm.model("pocket")
        stream = await model.respond_stream("Tell me a story.")
        async for _fragment in stream:
            await stream.cancel()
            break
        await stream.aclose()

    async def embed(self, client: lms.AsyncClient) -> None:
        model = await client.embedding.model("pocket-embedding")
        vectors = await model.embed([f"text number {n}" for n in range(16)])
        if len(vectors) != 16:
            raise RuntimeError(f"{len(vectors)} vectors of 16")

    async def tokens(self, client: lms.AsyncClient) -> None:
        model = await client.llm.model("pocket")
        if (count := await model.count_tokens("some text " * 20)) <= 20:
            raise RuntimeError(f"{count} tokens are too few")

    async def own_instance(self, client: lms.AsyncClient) -> None:
        model = await client.llm.load_new_instance("pocket-think")
        await model.respond(MEANING)
        await model.unload()

    async def killed_engine(self, client: lms.AsyncClient) -> None:
        """Rarely, or else little would get done."""
        if self.random.random() > 0.1 or self._killing.locked():
            return
        async with self._killing:
            await client.llm.model("pocket")
            workers = engine_processes(self.server.pid)
            if workers:
                os.kill(self.random.choice(workers), signal.SIGKILL)
                self.done["engines that were killed"] += 1

    async def killed_client(self, _client: lms.AsyncClient) -> None:
        if self.random.random() > 0.2:
            return
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            KILLED_CLIENT,
            self.server.host,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        # Where its engine had just been killed, it ends by itself.
        generating = bool(process.stdout and await process.stdout.readline())
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        self.done["clients that were killed"] += generating

    async def sampler(self) -> None:
        while not self.over:
            self.samples.append(sample(self.server.pid) | {"at": time.monotonic() - self.start})
            last = self.samples[-1]
            print(
                f"{last['at']:6.0f} s  {last['memory']:6.1f} MB  {last['descriptors']:3.0f} "
                f"descriptors  {last['engines']:.0f} engines  {sum(self.done.values())} jobs  "
                f"{len(self.failures)} failures",
                file=sys.stderr,
            )
            await asyncio.sleep(min(self.every, max(0.1, self.end - time.monotonic())))

    def verdict(self) -> dict[str, Any]:
        """Compare the second fifth of the samples with the last."""
        fifth = max(1, len(self.samples) // 5)
        early = mean(s["memory"] for s in self.samples[fifth : 2 * fifth] or self.samples[-1:])
        late = mean(s["memory"] for s in self.samples[-fifth:])
        return {
            "seconds": round(time.monotonic() - self.start),
            "done": dict(self.done),
            "expected_errors": dict(self.expected),
            "failures": self.failures[:20],
            "failure_count": len(self.failures),
            "memory_early_mb": round(early, 1),
            "memory_late_mb": round(late, 1),
            "descriptors_first": self.samples[0]["descriptors"],
            "descriptors_most": max(s["descriptors"] for s in self.samples),
            "grew": late - early > max(10.0, early / 10),
        }


def engine_processes(pid: int) -> list[int]:
    """The server's child processes."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(number) for number in children.read_text().split()]


def sample(pid: int) -> dict[str, float]:
    """The server's memory in MB, its open descriptors and its engines."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return {
        "memory": int(line.split()[1]) / 1024,
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "engines": len(engine_processes(pid)),
    }


async def main(server: ServerProcess, arguments: argparse.Namespace) -> dict[str, Any]:
    before = sample(server.pid)
    soak = Soak(server, arguments.minutes * 60, arguments.every)
    await asyncio.gather(soak.sampler(), *(soak.caller() for _ in range(arguments.callers)))
    async with lms.AsyncClient(server.host) as client:
        for model in await client.list_loaded_models():
            await model.unload()
    limit = time.monotonic() + 15
    after = sample(server.pid)
    while after["descriptors"] > before["descriptors"] and time.monotonic() < limit:
        await asyncio.sleep(0.2)
        after = sample(server.pid)
    verdict = soak.verdict() | {"descriptors_left": after["descriptors"] - before["descriptors"]}
    verdict["engines_left"] = after["engines"]
    return verdict


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--every", type=float, default=15.0, help="seconds between two samples")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with running_server() as process:
        found = asyncio.run(main(process, given))
        log = process.log.read_text(encoding="utf-8", errors="replace")
    found["tracebacks_in_log"] = log.count("Traceback")
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))
    bad = ("failure_count", "grew", "engines_left", "tracebacks_in_log")
    sys.exit(any(found[name] for name in bad) or found["descriptors_left"] > 0)
