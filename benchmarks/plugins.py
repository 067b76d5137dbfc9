"""What installed plugins cost: ``import lmstudio``, the first client, and a call of the command.

Makes as many distributions as asked for on a path of their own, each with a capability and hooks,
and starts a fresh interpreter many times with and without them, by turns. Prints the median and the
least CPU time of each, in milliseconds::

    python benchmarks/plugins.py --plugins 20 --runs 40
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAMS = {
    "import lmstudio": "import lmstudio",
    "first client": "import lmstudio; lmstudio.Client('127.0.0.1:9')",
    "lmstudio ls --help": (
        "from lmstudio_cli.command import build\n"
        "build().main(['ls', '--help'], standalone_mode=False)"
    ),
}
MODULE = """
from lmstudio_core.plugins.api import Capability, hookimpl

CAPABILITY = Capability("dummy{n}", "dummy{n}:Space", "dummy{n}:Space")

@hookimpl
def lmstudio_request_finished(endpoint):
    pass
"""
ENTRIES = """
[lmstudio.capabilities]
dummy{n} = dummy{n}:CAPABILITY
[lmstudio.plugins]
dummy{n} = dummy{n}
"""


def make(folder: Path, count: int) -> None:
    """Install dummies, as an installer would."""
    for n in range(count):
        (folder / f"dummy{n}.py").write_text(MODULE.format(n=n))
        info = folder / f"dummy{n}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dummy{n}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(ENTRIES.format(n=n))


def cpu_seconds(program: str, path: str) -> float:
    """CPU time of a fresh interpreter that runs the program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plugins", type=int, default=20)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as with_them, tempfile.TemporaryDirectory() as without:
        make(Path(with_them), options.plugins)
        print(f"{'':20}{'none':>16}{options.plugins:>10} plugins{'more':>10}")
        for name, program in PROGRAMS.items():
            times: dict[str, list[float]] = {without: [], with_them: []}
            for path in times:
                cpu_seconds(program, path)  # compiles what is not compiled yet
            for _ in range(options.runs):
                for path, measured in times.items():
                    measured.append(cpu_seconds(program, path) * 1000)
            none, some = (statistics.median(times[path]) for path in (without, with_them))
            least = min(times[with_them]) - min(times[without])
            print(
                f"{name:20}{none:13.1f} ms{some:15.1f} ms{some - none:+10.1f} ms "
                f"(least {least:+.1f} ms)"
            )


if __name__ == "__main__":
    main()
