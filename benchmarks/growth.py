"""How costs grow: CPU time of this SDK's process over four to five sizes, with fitted exponents.

    python benchmarks/growth.py [--plot growth.svg] [--full] [--only chat]

The exponent is the slope of the line through the points in logarithms: 1 is linear. Sizes from which
on the fixed costs no longer count are fitted. ``--plot`` draws them; ``--full`` goes up to 1,000,000
embeddings. A run's rounds each send the whole chat, so their cost is that of rounds and of bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agents import add

import lmstudio as lms

HERE = Path(__file__).parent
MOST = 1.1
Points = list[tuple[int, float]]


@contextmanager
def serving(*command: str) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield f"127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.stdin.close()
        server.wait()


def cpu(work: Callable[[], object], repeat: int = 3) -> float:
    """Seconds of CPU time; the least of several, since other programs only add."""
    found = []
    for _ in range(repeat):
        gc.collect()
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def chat_of(messages: int) -> lms.Chat:
    chat = lms.Chat()
    for number in range(messages // 2):
        chat.add_user_message(f"Question {number}?")
        chat.add_assistant_response("An answer of a few words.")
    return chat


def building() -> Points:
    return [(n, cpu(lambda n=n: chat_of(n))) for n in (100, 1000, 10_000)]


def copying() -> Points:
    chats = {n: chat_of(n) for n in (100, 1000, 10_000)}
    return [(n, cpu(chat.copy, 7)) for n, chat in chats.items()]


def sending() -> Points:
    chats = {n: chat_of(n) for n in (100, 1000, 10_000)}
    for chat in chats.values():
        chat.add_user_message("5")  # fragments that the server answers with
    with serving(str(HERE / "server.py")) as host, lms.Client(host) as client:
        model = lms.LLM("bench", client)
        model.respond("5")
        return [(n, cpu(lambda chat=chat: model.respond(chat), 5)) for n, chat in chats.items()]


def streams() -> Points:
    async def measure(host: str) -> Points:
        async with lms.AsyncClient(host) as client:
            model = lms.AsyncLLM("bench", client)
            points: Points = []
            for n in (1, 10, 100, 1000):
                for attempt in range(4):
                    gc.collect()
                    began = time.process_time()
                    await asyncio.gather(*(one(model) for _ in range(n)))
                    if attempt:  # the first one warms up
                        points.append((n, time.process_time() - began))
            return [(n, min(used for m, used in points if m == n)) for n in (10, 100, 1000)]

    async def one(model: lms.AsyncLLM) -> None:
        async for _ in model.respond_stream("50"):
            pass

    with serving(str(HERE / "server.py")) as host:
        return asyncio.run(measure(host))


def rounds() -> Points:
    points: Points = []
    for n in (10, 100, 1000):
        with (
            serving(str(HERE / "agents.py"), "--serve", str(n), "8") as host,
            lms.Client(host) as client,
        ):
            model = lms.LLM("bench", client)
            points.append(
                (n, cpu(lambda model=model: model.act("Go", [add]), 3 if n < 1000 else 1))
            )
    return points


def embeddings(most: int) -> Points:
    sizes = [10**power for power in range(2, int(math.log10(most)) + 1)]
    with serving(str(HERE / "server.py")) as host, lms.Client(host) as client:
        model = lms.EmbeddingModel("bench", client)
        model.embed("text")

        def work(n: int) -> None:
            for _ in model.embed_stream("text" for _ in range(n)):
                pass

        return [(n, cpu(lambda n=n: work(n), 3 if n <= 10_000 else 1)) for n in sizes]


def exponent(points: Points) -> float:
    xs = [math.log(n) for n, _ in points]
    ys = [math.log(used) for _, used in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    return slope / sum((a - x) ** 2 for a in xs)


def plot(curves: dict[str, Points], file: Path) -> None:
    """All curves in one picture, both axes in powers of ten."""
    colours = ("#c33", "#36c", "#393", "#a5a", "#e80", "#088")
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" width="760" height="460" font-size="12">']

    def place(n: float, used: float) -> tuple[float, float]:
        return 60 + 70 * math.log10(n), 40 - 70 * math.log10(used)

    for power in range(7):
        x, _ = place(10**power, 1)
        lines.append(f'<text x="{x:.0f}" y="450">1e{power}</text>')
        lines.append(f'<path d="M{x:.0f} 10V430" stroke="#ddd"/>')
    for power in range(-5, 1):
        _, y = place(1, 10.0**power)
        lines.append(f'<text x="4" y="{y:.0f}">{10.0**power:g} s</text>')
        lines.append(f'<path d="M60 {y:.0f}H480" stroke="#ddd"/>')
    for number, (name, points) in enumerate(curves.items()):
        colour = colours[number % len(colours)]
        path = " L".join("{:.1f} {:.1f}".format(*place(*point)) for point in points)
        label = f"{name}: {exponent(points):.2f}"
        lines.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="500" y="{40 + 20 * number}" fill="{colour}">{label}</text>')
    file.write_text("\n".join([*lines, "</svg>"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path, help="draw the curves (SVG)")
    parser.add_argument("--full", action="store_true", help="up to 1,000,000 embeddings")
    parser.add_argument("--only", default="", help="part of a name")
    options = parser.parse_args()
    measured: dict[str, Callable[[], Points]] = {
        "chat: build, messages": building,
        "chat: copy, messages": copying,
        "chat: respond, messages": sending,
        "streams at once": streams,
        "act, rounds": rounds,
        "embed_stream, texts": lambda: embeddings(1_000_000 if options.full else 10_000),
    }
    curves: dict[str, Points] = {}
    print(f"| what | CPU time | exponent (at most {MOST}) |\n|---|---|---:|")
    for name, measure in measured.items():
        if options.only in name:
            points = curves[name] = measure()
            shown = ", ".join(f"{n:,}: {used * 1000:.1f} ms" for n, used in points)
            print(f"| {name} | {shown} | {exponent(points):.2f} |", flush=True)
    if options.plot:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
