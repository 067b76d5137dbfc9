"""The benchmark of tools: CPU time that the first call of ``act`` takes for making their schemas.

    python benchmarks/tools.py [--repeat 7] [--tools 50] [--parameters 20]

Each sample is the first ``act`` of a new process, with all tools or with one. The tools are functions with
hints of several kinds and docstrings that describe each parameter. The server replies ready-made frames.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from agents import serve
from clients.measure import check

HERE = Path(__file__)
LIMIT_MS = 20
HINTS = ("int", "str", "float | None", "list[str]", "bool")
"""Taken in turn; ``None`` comes by default where it may."""


def functions(tools: int, parameters: int) -> list[Any]:
    """Functions as people write them, each a different one."""
    names = [f"value_{number}" for number in range(parameters)]
    hints = [HINTS[number % len(HINTS)] for number in range(parameters)]
    signature = ", ".join(f"{name}: {hint}" for name, hint in zip(names, hints, strict=True))
    lines = "\n        ".join(f"{name}: What it is good for." for name in names)
    source = "".join(
        f"def tool_{number}({signature}) -> str:\n"
        f'    """Do something useful.\n\n    Args:\n        {lines}\n    """\n    return "ok"\n\n'
        for number in range(tools)
    )
    made: dict[str, Any] = {"__name__": "benchmark_tools"}
    exec(compile(source, "benchmark_tools", "exec"), made)
    return [made[f"tool_{number}"] for number in range(tools)]


def first_act(host: str, tools: int, parameters: int) -> None:
    """Act twice, and print the CPU time of each in ms."""
    import lmstudio as lms

    made = functions(tools, parameters)
    spent: list[float] = []
    with lms.Client(host) as client:
        model = lms.LLM("bench", client)
        for _ in range(2):
            started = time.process_time()
            result = model.act("Go", made)
            spent.append((time.process_time() - started) * 1e3)
            check(result.rounds, 1)
    print(json.dumps(spent))


def sample(host: str, tools: int, parameters: int) -> list[float]:
    command = [sys.executable, str(HERE), "--act", host, str(tools), str(parameters)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--tools", type=int, default=50)
    parser.add_argument("--parameters", type=int, default=20)
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(HERE), "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        host = f"127.0.0.1:{server.stdout.readline().strip()}"
        pairs = [
            (sample(host, options.tools, options.parameters), sample(host, 1, options.parameters))
            for _ in range(options.repeat)
        ]
    finally:
        server.stdin.close()
        server.wait()
    print(
        f"{options.tools} tools of {options.parameters} parameters; ms of CPU time beyond one tool"
    )
    print("| act | all | one | adds | at most |")
    print("|---|---:|---:|---:|---:|")
    for at, name in enumerate(("first", "second")):
        many, one = ([pair[which][at] for pair in pairs] for which in (0, 1))
        added = median(a - b for a, b in zip(many, one, strict=True))
        print(f"| {name} | {median(many):.1f} | {median(one):.1f} | {added:.1f} | {LIMIT_MS} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(1, 8))
    elif sys.argv[1:2] == ["--act"]:
        first_act(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
