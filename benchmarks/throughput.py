"""Tokens per second through the bundled server and this SDK, beside llama.cpp's server asked directly.

    python benchmarks/throughput.py [--rounds 7] [--tokens 64] [--parallel 1 8] [--json FILE]

Both run the same llama.cpp (the ``xllamacpp`` package's server) with the same settings on the same
model of random weights, each in a process of its own; both stream the same chats with the same
sampling. The one is asked by plain HTTP, the other through ``lmstudio-server`` by the SDK. Every round
measures one after the other, in turn first, so that what else the machine does falls on both alike.

On a busy machine give ``--cpu 0``: server and engines are then kept on that one CPU, where an engine
computes with one thread. Several threads wait for each other, and where one of them has to wait for
another program, so do all; that says nothing of the server. The server's own work is then taken from
the engine's time, not done beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import lmstudio as lms
from lmstudio_server.engines.base import LoadRequest
from lmstudio_server.engines.llamacpp.supervisor import Worker
from lmstudio_server.testing import running_server

sys.path.insert(0, str(Path(__file__).parent))
from random_model import make

CONTEXT = 4096
BATCH = 256
SAMPLING = {"temperature": 0.0, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.1}
CONFIG = {
    "temperature": 0.0,
    "topKSampling": 40,
    "topPSampling": 0.95,
    "minPSampling": 0.05,
    "repeatPenalty": 1.1,
}


def question(round_number: int, number: int) -> str:
    """Prompts differ, so that no cache answers, and are the same for both."""
    return f"Round {round_number}, caller {number}: " + "tell me of the meaning of life. " * 8


class Direct:
    """llama.cpp's own server, asked by plain HTTP, a thread per stream."""

    def __init__(self, port: int, key: str | None) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def stream(self, text: str, tokens: int) -> int:
        """Stream one answer to its end; return how many tokens it has."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        messages = [{"role": "user", "content": text}]
        body = {"messages": messages, "stream": True, "max_tokens": tokens, **SAMPLING}
        body["stream_options"] = {"include_usage": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), self._headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"HTTP status {answer.status}: {answer.read()!r}")
        count = 0
        for line in answer:
            if line.startswith(b"data: {"):
                usage = json.loads(line[6:]).get("usage")
                count = usage["completion_tokens"] if usage else count
        connection.close()
        return count

    async def run(self, round_number: int, parallel: int, tokens: int) -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(parallel) as threads:
            start = time.perf_counter()
            counts = await asyncio.gather(
                *(
                    loop.run_in_executor(
                        threads, self.stream, question(round_number, number), tokens
                    )
                    for number in range(parallel)
                )
            )
            return time.perf_counter() - start, sum(counts)


class Ours:
    """The bundled server, asked through the SDK."""

    def __init__(self, model: Any) -> None:
        self._model = model

    async def stream(self, text: str, tokens: int) -> int:
        stream = await self._model.respond_stream(text, config={**CONFIG, "maxTokens": tokens})
        async for _fragment in stream:
            pass
        return int(stream.result().stats.predicted_tokens_count or 0)

    async def run(self, round_number: int, parallel: int, tokens: int) -> tuple[float, int]:
        start = time.perf_counter()
        counts = await asyncio.gather(
            *(self.stream(question(round_number, number), tokens) for number in range(parallel))
        )
        return time.perf_counter() - start, sum(counts)


async def compare(
    direct: Direct, ours: Ours, parallel: int, rounds: int, tokens: int
) -> dict[str, Any]:
    """Measure both in turn, and return tokens per second of each round."""
    rates: dict[str, list[float]] = {"direct": [], "ours": []}
    loads: list[float] = []
    for number in range(-1, rounds):  # the first one warms up
        pair: list[tuple[str, Direct | Ours]] = [("direct", direct), ("ours", ours)]
        loads.append(os.getloadavg()[0])
        counted = set[int]()
        for name, one in pair if number % 2 else reversed(pair):
            seconds, count = await one.run(number, parallel, tokens)
            counted.add(count)
            if number >= 0:
                rates[name].append(count / seconds)
        if len(counted) != 1:
            raise RuntimeError(f"not the same work: {counted} tokens")
    ratios = [d / o for d, o in zip(rates["direct"], rates["ours"], strict=True)]
    return {
        "parallel": parallel,
        "direct": median(rates["direct"]),
        "ours": median(rates["ours"]),
        "slower": median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "load": median(loads),
    }


@contextmanager
def kept_on(cpu: int | None) -> Iterator[None]:
    """Start processes on one CPU in this block."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def main(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="lmstudio-throughput-") as folder:
        file = Path(folder) / "benchmarks" / "random" / "random-f16.gguf"
        make(file)
        print(f"model: {file.stat().st_size / 1e6:.0f} MB of random weights", file=sys.stderr)
        results: list[dict[str, Any]] = []
        for parallel in arguments.parallel:
            request = LoadRequest(file, context_length=CONTEXT, parallel=parallel, batch_size=BATCH)
            with kept_on(arguments.cpu):
                worker = await Worker.start(request, lambda _progress: None, over_tcp=True)
            try:
                with ExitStack() as stack:
                    with kept_on(arguments.cpu):
                        server = stack.enter_context(running_server(models=[Path(folder)]))
                    async with lms.AsyncClient(server.host) as client:
                        config = {"contextLength": CONTEXT, "maxParallelPredictions": parallel}
                        model = await client.llm.load_new_instance("random", config=config)
                        direct = Direct(worker.address.port, worker.address.api_key)
                        results.append(
                            await compare(
                                direct, Ours(model), parallel, arguments.rounds, arguments.tokens
                            )
                        )
                        print(results[-1], file=sys.stderr)
            finally:
                await worker.stop()
        return results


def table(results: list[dict[str, Any]]) -> str:
    names = ("at once", "direct, tokens/s", "through server and SDK, tokens/s")
    names += ("time, ours / direct", "least to most", "load")
    lines = ["| " + " | ".join(names) + " |", "|---:" * len(names) + "|"]
    lines += [
        f"| {r['parallel']} | {r['direct']:.1f} | {r['ours']:.1f} | {r['slower']:.3f} "
        f"| {r['least']:.3f} to {r['most']:.3f} | {r['load']:.1f} |"
        for r in results
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--cpu", type=int, help="keep server and engines on this CPU")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = asyncio.run(main(given))
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))
