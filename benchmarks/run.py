"""The benchmark: CPU time per fragment and per call, of this SDK and of what it is measured against.

    python benchmarks/run.py [--official PYTHON] [--rounds 5] [--scale 1.0] [--json FILE]

``--official`` is a Python with ``lmstudio==1.5.0`` installed (an environment of its own). Every
round runs every contender once, in turn, so that what else the machine does falls on all alike.
Run it in an environment with this family, ``websockets`` and ``orjson``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
CASES = [
    ("stream", "sync", 1, 20000),
    ("stream", "sync", 32, 32000),
    ("stream", "async", 1, 20000),
    ("stream", "async", 32, 32000),
    ("rpc", "sync", 1, 4000),
    ("rpc", "sync", 32, 6400),
    ("rpc", "async", 1, 4000),
    ("rpc", "async", 32, 6400),
]


def measure(command: list[str], host: str, case: tuple[str, str, int, int], scale: float) -> float:
    work, style, callers, items = case
    items = max(callers * 50, int(items * scale))
    done = subprocess.run(
        [*command, host, style, work, str(callers), str(items)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])["us"]


def contenders(official: str | None) -> dict[str, list[str]]:
    found = {
        "this SDK": [sys.executable, str(HERE / "clients/sdk.py")],
        "hand-written": [sys.executable, str(HERE / "clients/handwritten.py")],
    }
    if official:
        found["official 1.5.0"] = [official, str(HERE / "clients/sdk.py")]
    return found


def table(
    results: dict[tuple[str, str, int, int], dict[str, list[float]]], names: list[str]
) -> str:
    lines = [
        "| work | style | callers | "
        + " | ".join(f"{n}, µs" for n in names)
        + " | "
        + " | ".join(f"this / {n}" for n in names[1:])
        + " |",
        "|---|---|---:|" + "---:|" * (2 * len(names) - 1),
    ]
    for (work, style, callers, _), by_name in results.items():
        medians = {name: median(by_name[name]) for name in names}
        ratios = [
            median(a / b for a, b in zip(by_name[names[0]], by_name[n], strict=True))
            for n in names[1:]
        ]
        lines.append(
            f"| {work} | {style} | {callers} | "
            + " | ".join(f"{medians[n]:.1f}" for n in names)
            + " | "
            + " | ".join(f"{ratio:.2f}" for ratio in ratios)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", help="a Python with lmstudio==1.5.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the items per run")
    parser.add_argument("--only", help="substring of 'work style callers', to run some cases")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    programs = contenders(options.official)
    results: dict[tuple[str, str, int, int], dict[str, list[float]]] = {}
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        host = f"127.0.0.1:{server.stdout.readline().strip()}"
        for _ in range(options.rounds):
            for case in CASES:
                if options.only and options.only not in f"{case[0]} {case[1]} {case[2]}":
                    continue
                for name, command in programs.items():
                    us = measure(command, host, case, options.scale)
                    results.setdefault(case, {}).setdefault(name, []).append(us)
    finally:
        server.stdin.close()
        server.wait()
    if options.json:
        samples = [[*case, by_name] for case, by_name in results.items()]
        options.json.write_text(json.dumps(samples, indent=1))
    print(table(results, list(programs)))


if __name__ == "__main__":
    main()
