"""Embeddings: throughput, CPU time per text and memory, against loops written by hand.

    python benchmarks/embeddings.py [--official PYTHON] [--rounds 5] [--scale 1.0] [--json FILE]

A server of ready-made answers replies to each text after a fixed time, to any number of them at
once, as a server on another machine does. Every contender runs in a process of its own and all of
them in turn, round after round, so that what else the machine does falls on all alike. Run it in an
environment with this family, numpy, ``websockets`` and ``orjson``; ``--official`` is a Python with
``lmstudio==1.5.0``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from clients.measure import check

DIMENSIONS = 384
LATENCY = 0.005
WINDOW = 64
WARM_UP = 200
INFO = {
    "type": "embedding",
    "modelKey": "bench",
    "format": "gguf",
    "displayName": "Bench",
    "publisher": "bench",
    "path": "bench/bench.gguf",
    "sizeBytes": 1,
    "indexedModelIdentifier": "bench",
    "deviceIdentifier": None,
    "identifier": "bench",
    "instanceReference": "ref",
    "ttlMs": None,
    "lastUsedTime": None,
    "maxContextLength": 512,
    "contextLength": 512,
}


def texts(count: int) -> Any:
    return (f"A sentence of the usual length, number {n}." for n in range(count))


# -- the server ------------------------------------------------------------------------------------


async def answer(connection: Any, vector: str, due: asyncio.Queue[tuple[float, int]]) -> None:
    """Send each answer when its time has come."""
    while True:
        when, call = await due.get()
        if (left := when - time.monotonic()) > 0:
            await asyncio.sleep(left)
        await connection.send(f'{{"type":"rpcResult","callId":{call},"result":{vector}}}')


async def handle(connection: Any, vector: str, latency: float) -> None:
    """One connection of a client."""
    await connection.recv()
    await connection.send('{"success":true}')
    due: asyncio.Queue[tuple[float, int]] = asyncio.Queue()
    writer = asyncio.create_task(answer(connection, vector, due))
    async for text in connection:
        frame = json.loads(text)
        if frame["type"] == "channelCreate":
            channel = frame["channelId"]
            packet = {"type": "alreadyLoaded", "info": INFO}
            sent = {"type": "channelSend", "channelId": channel, "message": packet}
            await connection.send(json.dumps(sent))
            await connection.send(json.dumps({"type": "channelClose", "channelId": channel}))
        elif frame["type"] == "rpcCall" and frame["endpoint"] == "embedString":
            due.put_nowait((time.monotonic() + latency, frame["callId"]))
        elif frame["type"] == "rpcCall":
            result = {"type": "rpcResult", "callId": frame["callId"], "result": INFO}
            await connection.send(json.dumps(result))
    writer.cancel()


def greet(connection: Any, request: Any) -> Any:
    """What clients look for when they search for a server."""
    del connection
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    if request.path != "/lmstudio-greeting":
        return None
    body = b'{"lmstudio": true}'
    return Response(200, "OK", Headers({"Content-Length": str(len(body))}), body)


async def serve_frames(latency: float) -> None:
    """Print the port, and run until standard input closes."""
    from websockets.asyncio.server import serve

    numbers = random.Random(1)
    vector = json.dumps({"embedding": [numbers.uniform(-0.2, 0.2) for _ in range(DIMENSIONS)]})
    async with serve(
        lambda connection: handle(connection, vector, latency),
        "127.0.0.1",
        0,
        process_request=greet,
        compression=None,
        ping_interval=None,
        max_size=None,
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# -- contenders ------------------------------------------------------------------------------------


class Meter:
    """CPU and wall time of some work, and how much the process grew meanwhile."""

    def __init__(self) -> None:
        gc.collect()
        self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def report(self, count: int) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.peak
        print(json.dumps({"us": cpu / count * 1e6, "per_second": count / wall, "grown_kb": grown}))


def sdk_sync(host: str, way: str, count: int) -> None:
    lms = importlib.import_module("lmstudio")
    with lms.Client(host) as client:
        model = client.embedding.model("bench")

        def run(number: int) -> int:
            if way == "sequential":
                return sum(len(model.embed(text)) > 0 for text in texts(number))
            if way == "stream":
                return sum(len(vector) > 0 for vector in model.embed_stream(texts(number)))
            return len(
                model.embed(list(texts(number)), **({"as_array": True} if way == "array" else {}))
            )

        run(WARM_UP)
        meter = Meter()
        check(run(count), count)
        meter.report(count)


async def sdk_async(host: str, way: str, count: int) -> None:
    lms = importlib.import_module("lmstudio")
    async with lms.AsyncClient(host) as client:
        model = await client.embedding.model("bench")

        async def run(number: int) -> int:
            if way == "stream":
                return sum([1 async for _ in model.embed_stream(texts(number))])
            return len(await model.embed(list(texts(number))))

        await run(WARM_UP)
        meter = Meter()
        check(await run(count), count)
        meter.report(count)


def request(number: int, text: str) -> str:
    orjson = importlib.import_module("orjson")
    specifier = {"type": "query", "query": {"identifier": "bench"}}
    frame = {
        "type": "rpcCall",
        "endpoint": "embedString",
        "callId": number,
        "parameter": {"modelSpecifier": specifier, "inputString": text},
    }
    return orjson.dumps(frame).decode()


AUTH = '{"authVersion":1,"clientIdentifier":"guest:x","clientPasskey":"y"}'


def keeper(way: str, count: int) -> Callable[[int, list[float]], None]:
    """What a loop by hand does with each vector: the same as the call that it is compared with."""
    if way == "stream":
        return lambda place, vector: None
    if way == "array":
        matrix = importlib.import_module("numpy").empty((count, DIMENSIONS), dtype="float32")
        return matrix.__setitem__
    kept: list[list[float]] = []
    return lambda place, vector: kept.append(vector)


def hand_sync(host: str, way: str, count: int) -> None:
    """No errors handled, nothing typed, answers taken in the order in which they happen to come."""
    from orjson import loads
    from websockets.sync.client import connect

    with connect(f"ws://{host}/embedding", compression=None, max_size=None) as socket:
        socket.send(AUTH)
        socket.recv()

        def run(number: int) -> int:
            source = enumerate(texts(number))
            keep = keeper(way, number)
            flying = found = 0
            while True:
                while flying < WINDOW and (item := next(source, None)) is not None:
                    socket.send(request(*item))
                    flying += 1
                if not flying:
                    return found
                keep(found, loads(socket.recv(decode=False))["result"]["embedding"])
                found += 1
                flying -= 1

        run(WARM_UP)
        meter = Meter()
        check(run(count), count)
        meter.report(count)


async def hand_async(host: str, way: str, count: int) -> None:
    """The same with ``websockets`` on asyncio."""
    from orjson import loads
    from websockets.asyncio.client import connect

    async with connect(f"ws://{host}/embedding", compression=None, max_size=None) as socket:
        await socket.send(AUTH)
        await socket.recv()

        async def run(number: int) -> int:
            source = enumerate(texts(number))
            keep = keeper(way, number)
            flying = found = 0
            while True:
                while flying < WINDOW and (item := next(source, None)) is not None:
                    await socket.send(request(*item))
                    flying += 1
                if not flying:
                    return found
                keep(found, loads(await socket.recv(decode=False))["result"]["embedding"])
                found += 1
                flying -= 1

        await run(WARM_UP)
        meter = Meter()
        check(await run(count), count)
        meter.report(count)


def contend(who: str, host: str, way: str, count: int) -> None:
    program = {"sdk": sdk_sync, "sdk-async": sdk_async, "hand": hand_sync, "hand-async": hand_async}
    done = program[who](host, way, count)
    if asyncio.iscoroutine(done):
        asyncio.run(done)


# -- the whole -------------------------------------------------------------------------------------

# Name, program, way, texts.
SEQUENTIAL = "sync: one after the other"
BY_HAND = ", by hand"
RUNS = [
    (SEQUENTIAL, "sdk", "sequential", 400),
    ("sync: stream" + BY_HAND, "hand", "stream", 10_000),
    ("sync: stream", "sdk", "stream", 10_000),
    ("sync: list" + BY_HAND, "hand", "list", 10_000),
    ("sync: list", "sdk", "list", 10_000),
    ("sync: array" + BY_HAND, "hand", "array", 10_000),
    ("sync: array", "sdk", "array", 10_000),
    ("async: stream" + BY_HAND, "hand-async", "stream", 10_000),
    ("async: stream", "sdk-async", "stream", 10_000),
    ("async: list" + BY_HAND, "hand-async", "list", 10_000),
    ("async: list", "sdk-async", "list", 10_000),
]
MEMORY_RUNS = [
    ("embed_stream", "sdk", "stream"),
    ("async embed_stream", "sdk-async", "stream"),
    ("embed(list, as_array=True)", "sdk", "array"),
]


def measured(python: str, host: str, who: str, way: str, count: int) -> dict[str, float]:
    command = [python, __file__, "--contend", who, host, way, str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(results: dict[str, list[dict[str, float]]]) -> None:
    def middle(name: str, what: str) -> float:
        return median(sample[what] for sample in results[name])

    def ratio(name: str, other: str, what: str) -> float:
        pairs = zip(results[name], results[other], strict=True)
        return median(one[what] / two[what] for one, two in pairs)

    print("| what | texts/s | CPU, µs/text | CPU / by hand | texts/s / one after the other |")
    print("|---|---:|---:|---:|---:|")
    for name in results:
        hand = name + BY_HAND
        by_hand = f"{ratio(name, hand, 'us'):.2f}" if hand in results else ""
        faster = ratio(name, SEQUENTIAL, "per_second")
        print(
            f"| {name} | {middle(name, 'per_second'):,.0f} | {middle(name, 'us'):.1f} "
            f"| {by_hand} | {faster:.1f} |"
        )


def show_memory(host: str, scale: float) -> list[dict[str, Any]]:
    print("\n| growth of the process, MB | 10,000 texts | 100,000 texts | of which vectors |")
    print("|---|---:|---:|---:|")
    found = []
    for name, who, way in MEMORY_RUNS:
        counts = [int(10_000 * scale), int(100_000 * scale)]
        grown = [measured(sys.executable, host, who, way, n)["grown_kb"] / 1024 for n in counts]
        vectors = counts[1] * DIMENSIONS * 4 / 2**20 if way == "array" else 0
        print(f"| {name} | {grown[0]:.1f} | {grown[1]:.1f} | {vectors:.1f} |")
        found.append({"name": name, "counts": counts, "grown_mb": grown})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--official", help="a Python with lmstudio==1.5.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the texts per run")
    parser.add_argument("--latency", type=float, default=LATENCY, help="the server's, in seconds")
    parser.add_argument("--no-memory", action="store_true", help="leave out the 100,000 texts")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--contend", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve_frames(options.latency))
    elif options.contend:
        who, host, way, count = options.contend
        contend(who, host, way, int(count))
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    runs = [(*run, sys.executable) for run in RUNS]
    if options.official:
        runs.append(("official 1.5.0: list", "sdk", "list", 400, options.official))
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--latency", str(options.latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    results: dict[str, list[dict[str, float]]] = {}
    memory: list[dict[str, Any]] = []
    try:
        host = f"127.0.0.1:{server.stdout.readline().strip()}" if server.stdout else ""
        for _ in range(options.rounds):
            for name, who, way, count, python in runs:
                count = max(WARM_UP, int(count * options.scale))
                results.setdefault(name, []).append(measured(python, host, who, way, count))
        show(results)
        if not options.no_memory:
            memory = show_memory(host, options.scale)
    finally:
        server.communicate()
    if options.json:
        options.json.write_text(json.dumps({"results": results, "memory": memory}, indent=1))


if __name__ == "__main__":
    main()
