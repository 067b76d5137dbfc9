"""Runs the checks of the repository; ``scripts/test`` starts it in the environment it needs.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial

import environments
from environments import ROOT, THIS, Environment, say

SOURCES = ["src", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("packages/*/src"))]
# Twice the cores that these checks are made for: half of the time a test waits for another process.
WORKERS = "4"
# What another Python cannot change: what the wheels hold, and what the pages say.
ONE_PYTHON_IS_ENOUGH = "not packaging and not docs"


@dataclass
class Step:
    """One check that was made."""

    name: str
    ok: bool
    seconds: float
    counts: dict[str, int] = field(default_factory=dict[str, int])


class Report:
    """What was done, said as it happens and summed up at the end."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def run(self, name: str, action: Callable[[], tuple[bool, dict[str, int]] | None]) -> bool:
        """Make one step; what it returns says whether it passed, and what it counted."""
        heading(name)
        started = time.monotonic()
        try:
            ok, counts = action() or (True, {})
        except subprocess.CalledProcessError as error:
            say(f"{error.cmd[0]} ended with code {error.returncode}")
            ok, counts = False, {}
        self.steps.append(Step(name, ok, time.monotonic() - started, counts))
        return ok

    def make(self, name: str, action: Callable[[], Environment]) -> Environment | None:
        """Make an environment as a step of its own; nothing if it could not be made."""
        made: list[Environment] = []
        self.run(name, lambda: made.append(action()))
        return made[0] if made else None

    def finish(self) -> int:
        heading("Summary")
        for step in self.steps:
            counts = ", ".join(f"{number} {word}" for word, number in step.counts.items())
            say(
                f"{'ok' if step.ok else 'FAILED':7}{step.seconds:7.1f} s  {step.name}  {counts}".rstrip()
            )
        failed = [step.name for step in self.steps if not step.ok]
        say("\nFAILED: " + "; ".join(failed) if failed else "\nEverything passed.")
        total = {word: sum(s.counts.get(word, 0) for s in self.steps) for word in COUNTED}
        total["failed"] += sum(s.counts.get("error", 0) for s in self.steps)
        say(", ".join(f"{number} {word}" for word, number in total.items()))
        return 1 if failed else 0


COUNTED = ("passed", "failed", "skipped")


def heading(text: str) -> None:
    say(f"\n== {text}")


def prepare_others_clients(settings: dict[str, str]) -> None:
    """Make the environments of clients that are not ours, and tell the tests where they are."""
    settings["LMSTUDIO_OFFICIAL_PYTHON"] = environments.official_python().python
    if shutil.which("node") and shutil.which("npm"):
        settings["LMSTUDIO_OFFICIAL_NODE"] = str(environments.official_node())
    else:
        say("no node here: LM Studio's TypeScript SDK is not tried")


def audit() -> tuple[bool, dict[str, int]]:
    """Whether a version that the checks install has a known vulnerability."""
    versions = environments.CONSTRAINTS / f"python{THIS}.txt"
    options = ["--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off"]
    done = subprocess.run(
        [environments.auditing().python, "-m", "pip_audit", "-r", str(versions), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        looked_up = [one for one in json.loads(done.stdout)["dependencies"] if "vulns" in one]
    except ValueError:
        looked_up = []
    if not looked_up:
        say("NOT AUDITED: the data of known vulnerabilities could not be reached from here")
        return True, {}
    bad = [one for one in looked_up if one["vulns"]]
    for one in bad:
        names = ", ".join(vuln["id"] for vuln in one["vulns"])
        say(f"{one['name']} {one['version']}: {names}")
    return not bad, {}


def static_checks(report: Report, python: str) -> None:
    """Lint, format and types, two at a time; each is told when it ends."""
    module = [python, "-m"]
    # The slow two first.
    checks = {
        "pyright": [*module, "pyright", "--pythonpath", python],
        "mypy": [*module, "mypy", *SOURCES],
        "names": [python, "scripts/names.py", "--check"],
        "sync from async": [python, "scripts/unasync.py", "--check"],
        "ruff format": [*module, "ruff", "format", "--check", "."],
        "ruff check": [*module, "ruff", "check", "--output-format=concise", "."],
    }
    heading("Lint and types: " + ", ".join(checks))

    def check(name: str) -> tuple[Step, str]:
        started = time.monotonic()
        done = subprocess.run(
            checks[name],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        step = Step(name, done.returncode == 0, time.monotonic() - started)
        return step, (done.stdout + done.stderr).strip()

    with ThreadPoolExecutor(2) as pool:
        for ended in as_completed([pool.submit(check, name) for name in checks]):
            step, output = ended.result()
            report.steps.append(step)
            say(f"{'ok' if step.ok else 'FAILED':7}{step.seconds:7.1f} s  {step.name}")
            if not step.ok:
                say(output)


def pytest(
    python: str, arguments: Sequence[str], settings: dict[str, str]
) -> tuple[bool, dict[str, int]]:
    """Run the tests; returns whether they passed, and what pytest's last line counts."""
    command = [python, "-m", "pytest", "-n", WORKERS, "--dist", "loadgroup", *arguments]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    last = ""
    for line in process.stdout or ():
        print(line, end="", flush=True)
        last = line if line.startswith("=") else last
    counts = {word.removesuffix("s"): int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last)}
    kept = {word: n for word, n in counts.items() if word in (*COUNTED, "error")}
    # Code 5, no test at all, is a failure too.
    return process.wait() == 0, kept


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and what is for pytest."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Lint, types and all tests on this Python, with the versions of constraints/.",
        epilog="Whatever else is given goes to pytest: scripts/test tests/llm -k chat",
        allow_abbrev=False,
    )
    tier = parser.add_mutually_exclusive_group()
    tier.add_argument(
        "--all",
        action="store_true",
        help="also the clients that are not ours, and every other Python found: what CI runs",
    )
    tier.add_argument(
        "--deep", action="store_true", help="the tests in their long form: hours; CI does not"
    )
    tier.add_argument(
        "--latest", action="store_true", help="with the newest version of everything instead"
    )
    tier.add_argument(
        "--lowest",
        action="store_true",
        help="the tests with the lowest versions that the packages declare (Linux)",
    )
    tier.add_argument("--fast", action="store_true", help="nothing: its old name for the default")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="X.Y",
        help="another Python to test on, too (repeatable; --all: every one found)",
    )
    return parser.parse_known_args(arguments)


def checks_of(options: argparse.Namespace, rest: Sequence[str], report: Report) -> None:
    """Make the checks of the tier that was asked for."""
    here = f"Python {sys.version.split()[0]}"
    if options.latest:
        # The wheels are tried with the newest of everything, too.
        latest = {"LMSTUDIO_TEST_CONSTRAINTS": ""}
        newest = report.make("The newest of everything", environments.of_latest)
        if newest:
            static_checks(report, newest.python)
            report.run(f"Tests with it on {here}", lambda: pytest(newest.python, rest, latest))
        return
    if options.lowest:
        floors = report.make("The lowest versions declared", environments.of_lowest)
        if floors:
            chosen = ["-m", "not packaging", *rest]
            report.run(f"Tests with them on {here}", lambda: pytest(floors.python, chosen, {}))
        return
    static_checks(report, sys.executable)
    settings = {"LMSTUDIO_TEST_DEEP": "1"} if options.deep else {}
    if options.all or options.deep:
        report.run("Known vulnerabilities", audit)
        report.run("Clients that are not ours", lambda: prepare_others_clients(settings))
    report.run(f"Tests on {here}", lambda: pytest(sys.executable, rest, settings))
    if not (options.all or options.python):
        return
    for version, executable in environments.other_pythons(options.python):
        made = report.make(
            f"Python {version}", partial(environments.of_python, version, executable)
        )
        if made:
            chosen = ["-m", ONE_PYTHON_IS_ENOUGH, *rest]
            report.run(f"Tests on Python {version}", partial(pytest, made.python, chosen, {}))


def main() -> int:
    """Make the checks; a failing one does not keep the others from being made."""
    options, rest = parse()
    report = Report()
    if report.run(f"The environment of Python {THIS}", environments.prepare_this):
        checks_of(options, rest, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
