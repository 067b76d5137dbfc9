"""Runs every check of the repository; ``scripts/test`` starts it in the environment it needs.

Standard library only: it runs before anything is installed. Environments are kept under
``.cache/envs`` and made anew when what goes into them changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".cache" / "envs"
PACKAGES = [*sorted(str(path.parent) for path in ROOT.glob("packages/*/pyproject.toml")), str(ROOT)]
EDITABLE = [argument for package in PACKAGES for argument in ("--editable", package)]
SOURCES = ["src", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("packages/*/src"))]
OTHER_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
OFFICIAL_PYTHON = "lmstudio==1.5.0"
OFFICIAL_NODE = {
    "private": True,
    "dependencies": {"@lmstudio/sdk": "2.0.0"},
    # It asks for a ^0.5.0 that was never published.
    "overrides": {"@lmstudio/lms-isomorphic": "0.4.6"},
}
WORKERS = "2"
# What another Python cannot change: what the wheels hold, and what the pages say.
ONE_PYTHON_IS_ENOUGH = "not packaging and not docs"


@dataclass
class Step:
    """One check that was made."""

    name: str
    ok: bool
    seconds: float
    counts: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Environment:
    """A virtual environment, known by the folder it lies in."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")


class Report:
    """What was done, said as it happens and summed up at the end."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def run(self, name: str, action: Callable[[], bool | tuple[bool, dict[str, int]]]) -> bool:
        heading(name)
        started = time.monotonic()
        try:
            result = action()
        except subprocess.CalledProcessError as error:
            say(f"{error.cmd[0]} ended with code {error.returncode}")
            result = False
        ok, counts = result if isinstance(result, tuple) else (result, {})
        self.steps.append(Step(name, ok, time.monotonic() - started, counts))
        return ok

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


def say(text: str) -> None:
    print(text, flush=True)


def heading(text: str) -> None:
    say(f"\n== {text}")


def run(*command: str) -> None:
    """Run a command to its end; its output is the user's to see."""
    subprocess.run(command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL)


def pip(target: Environment, *arguments: str) -> None:
    """Run this environment's pip for another one, which needs none of its own."""
    options = ["--disable-pip-version-check", "--no-input", "-qq"]
    run(sys.executable, "-m", "pip", "--python", target.python, "install", *options, *arguments)


def fingerprint(*parts: str) -> str:
    """A short name for what goes into an environment."""
    files = [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    digest = hashlib.sha256("\0".join([*parts, sys.version]).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def environment(name: str, key: str, fill: Callable[[Path], None]) -> Path:
    """The folder of an environment, filled if it is not there as ``key`` describes it."""
    folder = ENVIRONMENTS / f"{name}-{key}"
    stamp = folder / "complete"
    if not stamp.exists():
        for old in ENVIRONMENTS.glob(f"{name}-*"):
            shutil.rmtree(old)
        say(f"making {folder.relative_to(ROOT)}")
        fill(folder)
        stamp.touch()
    return folder


def prepare_this() -> bool:
    """Install the family and every tool into the environment that runs this."""
    here = Environment(Path(sys.prefix))
    stamp = here.folder / "complete"
    key = fingerprint("dev", here.python)
    if not stamp.exists() or stamp.read_text() != key:
        pip(here, "--upgrade", "pip>=25.1", "hatchling>=1.26", "editables")
        # A new process, which is the new pip: older ones do not know groups.
        pip(here, "--no-build-isolation", "--group", "dev", *EDITABLE)
        stamp.write_text(key)
    return True


def other_environment(version: str, executable: str) -> Environment:
    """An environment of another Python with the family and what the tests import."""

    def fill(folder: Path) -> None:
        run(executable, "-m", "venv", "--without-pip", str(folder))
        target = Environment(folder)
        pip(target, "hatchling>=1.26", "editables")
        pip(target, "--no-build-isolation", "--group", "test", *EDITABLE)
        openmp = Path(sys.prefix) / "lib" / "libgomp.so.1"
        if openmp.exists():
            shutil.copy(openmp, folder / "lib")

    return Environment(environment(f"python{version}", fingerprint(executable), fill))


def official_python() -> Path:
    """An environment with the official SDK, which the tests let talk to our server."""

    def fill(folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        pip(Environment(folder), OFFICIAL_PYTHON)

    key = hashlib.sha256(f"{OFFICIAL_PYTHON}{sys.version}".encode()).hexdigest()[:12]
    return environment("official", key, fill)


def official_node() -> Path:
    """A folder with LM Studio's TypeScript SDK in ``node_modules``."""

    def fill(folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(package)
        run("npm", "install", "--silent", "--prefix", str(folder))

    package = json.dumps(OFFICIAL_NODE)
    return environment("node", hashlib.sha256(package.encode()).hexdigest()[:12], fill)


def prepare_others_clients(settings: dict[str, str]) -> bool:
    """Make the environments of clients that are not ours, and tell the tests where they are."""
    settings["LMSTUDIO_OFFICIAL_PYTHON"] = Environment(official_python()).python
    if shutil.which("node") and shutil.which("npm"):
        settings["LMSTUDIO_OFFICIAL_NODE"] = str(official_node())
    else:
        say("no node here: LM Studio's TypeScript SDK is not tried")
    return True


def static_checks(report: Report) -> None:
    """Lint, format and types, two at a time; each is reported on its own."""
    module = [sys.executable, "-m"]
    checks = {
        "ruff check": [*module, "ruff", "check", "--output-format=concise", "."],
        "ruff format": [*module, "ruff", "format", "--check", "."],
        "facade": [sys.executable, "scripts/facade.py", "--check"],
        "mypy": [*module, "mypy", *SOURCES],
        "pyright": [*module, "pyright", "--pythonpath", sys.executable],
    }

    def check(command: Sequence[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
        started = time.monotonic()
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        return time.monotonic() - started, done

    with ThreadPoolExecutor(2) as pool:
        # The slow two first.
        waiting = {name: pool.submit(check, checks[name]) for name in reversed(checks)}
        for name in checks:
            seconds, done = waiting[name].result()
            heading(name)
            say((done.stdout + done.stderr).strip())
            report.steps.append(Step(name, done.returncode == 0, seconds))


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
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line if line.startswith("=") else last
    counts = {word.removesuffix("s"): int(n) for n, word in re.findall(r"(\d+) ([a-z]+)", last)}
    kept = {word: n for word, n in counts.items() if word in (*COUNTED, "error")}
    # Code 5, no test at all, is a failure too.
    return process.wait() == 0, kept


def test_on(version: str, executable: str, arguments: Sequence[str]) -> tuple[bool, dict[str, int]]:
    """Run the tests on another Python, in an environment of its own."""
    target = other_environment(version, executable)
    return pytest(target.python, ["-m", ONE_PYTHON_IS_ENOUGH, *arguments], {})


def other_pythons(wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Every other Python on the path or in pyenv, as (version, executable)."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: list[tuple[str, str]] = []
    for version in wanted or [v for v in OTHER_PYTHONS if v != this]:
        name = f"python{version}"
        candidates = [shutil.which(name), *sorted(map(str, pyenv.glob(f"{version}.*/bin/{name}")))]
        executable = next((c for c in candidates if c and is_python(c, version)), None)
        if executable:
            found.append((version, executable))
        elif wanted:
            raise SystemExit(f"There is no Python {version} on the path or in pyenv.")
    return found


def is_python(executable: str, version: str) -> bool:
    """Whether it runs and is what it is called: pyenv's shims are there for Pythons that are not."""
    question = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run(
        [executable, "-c", question], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() == version


def parse() -> tuple[argparse.Namespace, list[str]]:
    """Our own options, and what is for pytest."""
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Lint, types and tests, then the tests on every other Python found.",
        epilog="Whatever else is given goes to pytest: scripts/test --fast tests/llm -k chat",
    )
    parser.add_argument(
        "--fast", action="store_true", help="one Python, no environments besides its own, no wheels"
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="X.Y",
        help="another Python to test on (repeatable; default: every one found)",
    )
    return parser.parse_known_args()


def main() -> int:
    """Make every check; a failing one does not keep the others from being made."""
    options, rest = parse()
    # A shell starts background jobs with Ctrl-C ignored, and the tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report()
    settings: dict[str, str] = {}
    if not report.run("This Python's environment", prepare_this):
        return report.finish()
    static_checks(report)
    this = f"Tests on Python {sys.version.split()[0]}"
    if options.fast:
        chosen = ["-m", "not packaging", *rest]
        report.run(this, lambda: pytest(sys.executable, chosen, settings))
        return report.finish()
    report.run("Clients that are not ours", lambda: prepare_others_clients(settings))
    report.run(this, lambda: pytest(sys.executable, rest, settings))
    for version, executable in other_pythons(options.python):
        report.run(f"Tests on Python {version}", partial(test_on, version, executable, rest))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
