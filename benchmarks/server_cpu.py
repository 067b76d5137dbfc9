"""What the bundled server itself costs: its own CPU time a token, and tokens per second.

    python benchmarks/server_cpu.py [--tokens 200] [--rounds 3] [--streams 1 8 32]

The model is the pocket model, so small that the engine takes next to nothing; the engine's process and
the client's are not counted. CPU time is the system's count for the server's process (Linux).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path
from statistics import median

import lmstudio as lms
from lmstudio_server.testing import running_server

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def stream(model: lms.AsyncLLM, number: int, tokens: int) -> int:
    config = {"maxTokens": tokens, "stopStrings": [], "temperature": 1.0, "seed": number}
    answer = model.respond_stream(f"Tell caller {number} a long story.", config=config)
    async for _fragment in answer:
        pass
    return int(answer.result().stats.predicted_tokens_count or 0)


async def measure(host: str, pid: int, streams: int, tokens: int) -> tuple[float, float]:
    """Microseconds of the server's CPU a token, and tokens per second."""
    async with lms.AsyncClient(host) as client:
        config = {"contextLength": 2048, "maxParallelPredictions": streams}
        model = await client.llm.load_new_instance("pocket", config=config)
        try:
            await asyncio.gather(*(stream(model, number, 5) for number in range(streams)))
            used, began, count = cpu_seconds(pid), time.perf_counter(), 0
            while count < 2000:
                work = (stream(model, number, tokens) for number in range(streams))
                count += sum(await asyncio.gather(*work))
            seconds = time.perf_counter() - began
            return (cpu_seconds(pid) - used) / count * 1e6, count / seconds
        finally:
            await model.unload()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    options = parser.parse_args()
    print("| streams | server's CPU, µs a token | tokens/s |\n|---:|---:|---:|")
    with running_server() as server:
        for streams in options.streams:
            rounds = [
                asyncio.run(measure(server.host, server.pid, streams, options.tokens))
                for _ in range(options.rounds)
            ]
            cpu, rate = (median(values) for values in zip(*rounds, strict=True))
            print(f"| {streams} | {cpu:.0f} | {rate:.0f} |", flush=True)


if __name__ == "__main__":
    main()
