"""Batches: how hosts add up, what a row costs, memory, and engines beside one another.

    python benchmarks/batch.py [--rows 20000] [--engines local,dask,ray] [--only hosts,cpu,...]

Hosts are scripted servers in processes of their own, with a latency and slots. All of a comparison is
measured in one run; rates are relative to one another, and to what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmstudio as lms

SPEC = lms.BatchSpec(prompt="Say {text}")
EMBED = lms.BatchSpec(task="embed")


def serve(delay: float) -> None:
    """Be a host until standard input ends."""
    from lmstudio_testing import FakeServer

    async def answer(_prediction: Any) -> str:
        await asyncio.sleep(delay)
        return "An answer."

    with FakeServer() as server:
        server.llm().answer(answer)
        server.embedding("embedder")
        server.on("embedding.embedString", {"embedding": [n / 384 for n in range(384)]})
        print(server.api_host, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def hosts(number: int, delay: float = 0.0) -> Iterator[list[str]]:
    command = [sys.executable, __file__, "--serve", str(delay)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(number)]
    try:
        yield [str(process.stdout and process.stdout.readline()).strip() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rows(number: int) -> Iterator[dict[str, str]]:
    return ({"text": f"A sentence of the usual length, number {n}."} for n in range(number))


def run(
    at: list[str], number: int, spec: lms.BatchSpec = SPEC, **settings: Any
) -> tuple[float, float]:
    """Seconds, and this process's CPU seconds."""
    with tempfile.TemporaryDirectory() as folder, lms.Client(at[0]) as client:
        began, cpu = time.perf_counter(), time.process_time()
        report = client.batch.run(
            rows(number),
            Path(folder, "out.npy" if spec.task == "embed" else "out.jsonl"),
            spec,
            hosts=at,
            **settings,
        )
        if (report.rows, report.failed) != (number, 0):
            raise SystemExit(f"{number} rows were asked for, and this came: {report}")
        return time.perf_counter() - began, time.process_time() - cpu


def measure_hosts() -> None:
    """Four equal hosts beside one, at 0.2 s a row and 4 slots each."""
    with hosts(4, 0.2) as four:
        alone = [lms.Member(four[0], slots=4)]
        members = [lms.Member(host, slots=4) for host in four]
        with lms.Client(four[0]) as client:
            rates = []
            for given, number in ((alone, 100), (members, 400)):
                began = time.perf_counter()
                found = list(client.batch.stream(rows(number), SPEC, hosts=given))
                if len(found) != number:
                    raise SystemExit(f"{number} rows were asked for, and {len(found)} came")
                rates.append(number / (time.perf_counter() - began))
    print(
        f"hosts: 1 → {rates[0]:.1f} rows/s, 4 → {rates[1]:.1f} rows/s: {rates[1] / rates[0]:.2f}x"
    )


def measure_cpu(number: int) -> None:
    """CPU of this process a row, for answers and for embeddings beside the raw stream."""
    with hosts(1) as at:
        run(at, 200)
        _, respond = run(at, number // 4)
        run(at, 200, EMBED)
        _, batch = run(at, number, EMBED)
        with lms.Client(at[0]) as client:
            model = client.embedding.model("embedder")
            before = time.process_time()
            for _ in model.embed_stream(row["text"] for row in rows(number)):
                pass
            raw = time.process_time() - before
            before = time.process_time()
            with lms.Pool(at, kind="embedding") as pool:
                pool.embed([row["text"] for row in rows(number)])
            pooled = time.process_time() - before
    print(f"cpu: respond {respond / (number // 4) * 1e6:.0f} µs a row")
    print(
        f"cpu: embeddings {batch / number * 1e6:.0f} µs a row, raw embed_stream "
        f"{raw / number * 1e6:.0f} µs: {batch / raw:.2f}x; "
        f"a pool {pooled / number * 1e6:.0f} µs: {pooled / raw:.2f}x"
    )


def measure_memory(number: int) -> None:
    """How much more memory many rows take than few."""
    with hosts(1) as at:
        run(at, 20_000, EMBED)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds, _ = run(at, number, EMBED)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory: {number:,} rows in {seconds:.0f} s, {(after - before) / 1024:+.1f} MB")


def measure_engines(names: list[str], number: int) -> None:
    """The engines on the same hosts, their start included."""
    with hosts(2, 0.01) as at:
        rates: dict[str, float] = {}
        for name in names:
            seconds, _ = run(at, number, engine=name, workers=2)
            rates[name] = number / seconds
            share = rates[name] / rates[names[0]]
            print(
                f"engines: {name} {rates[name]:.0f} rows/s, {share:.0%} of {names[0]}", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", type=float)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--memory-rows", type=int, default=1_000_000)
    parser.add_argument("--engines", default="local,dask,ray")
    parser.add_argument("--only", default="hosts,cpu,memory,engines")
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve)
        return
    wanted = options.only.split(",")
    if "hosts" in wanted:
        measure_hosts()
    if "cpu" in wanted:
        measure_cpu(options.rows)
    if "memory" in wanted:
        measure_memory(options.memory_rows)
    if "engines" in wanted:
        measure_engines(options.engines.split(","), options.rows)


if __name__ == "__main__":
    main()
