"""The environments that the checks run in: what is installed, in which versions, where.

Standard library only: it runs before anything is installed. Environments lie under ``.cache/envs``
and are made anew when what goes into them changes. ``constraints/`` names every version, so that a
release elsewhere changes nothing here; ``scripts/pin.py`` writes it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".cache" / "envs"
CONSTRAINTS = ROOT / "constraints"
PACKAGES = [*sorted(str(path.parent) for path in ROOT.glob("packages/*/pyproject.toml")), str(ROOT)]
EDITABLE = [argument for package in PACKAGES for argument in ("--editable", package)]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OFFICIAL_PYTHON = "lmstudio==1.5.0"
AUDIT = "pip-audit"
OFFICIAL_NODE = {
    "private": True,
    "dependencies": {"@lmstudio/sdk": "2.0.0"},
    # It asks for a ^0.5.0 that was never published.
    "overrides": {"@lmstudio/lms-isomorphic": "0.4.6"},
}
BUILD_TOOLS = ("hatchling>=1.26", "editables")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def run(*command: str) -> None:
    """Run a command to its end; its output is the user's to see."""
    subprocess.run(command, check=True, cwd=ROOT, stdin=subprocess.DEVNULL)


@dataclass(frozen=True)
class Environment:
    """A virtual environment, known by the folder it lies in."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    def pip(self, constraints: Path | None, *arguments: str) -> None:
        """Install into it with this environment's pip; it needs none of its own."""
        options = ["--disable-pip-version-check", "--no-input", "-qq"]
        if constraints:
            options += ["--constraint", str(constraints)]
        run(sys.executable, "-m", "pip", "--python", self.python, "install", *options, *arguments)

    def install_family(self, constraints: Path | None, group: str) -> None:
        """Install every package of this repository (editable) and a dependency group."""
        self.pip(constraints, *BUILD_TOOLS)
        self.pip(constraints, "--no-build-isolation", "--group", group, *EDITABLE)


def pinned(version: str) -> Path | None:
    """The versions that go with a Python; nothing for one that is newer than this repository."""
    path = CONSTRAINTS / f"python{version}.txt"
    if path.exists():
        return path
    say(f"no {path.relative_to(ROOT)}: the newest of everything is installed")
    return None


def lowest(version: str) -> Path:
    """The versions that the packages declare as their floors."""
    path = CONSTRAINTS / f"lowest-python{version}.txt"
    if path.exists():
        return path
    raise SystemExit(f"There is no {path.relative_to(ROOT)}; scripts/pin.py writes it.")


def fingerprint(constraints: Path | None, *parts: str) -> str:
    """A short name for what goes into an environment."""
    files = [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    digest = hashlib.sha256("\0".join([*parts, sys.version]).encode())
    for path in [*files, constraints] if constraints else files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def kept(name: str, key: str, fill: Callable[[Path], None]) -> Path:
    """The folder of an environment, filled if it is not there as ``key`` describes it."""
    folder = ENVIRONMENTS / f"{name}-{key}"
    stamp = folder / "complete"
    if not stamp.exists():
        for old in ENVIRONMENTS.glob(f"{name}-*"):
            shutil.rmtree(old)
        say(f"making {folder.relative_to(ROOT)} (a minute or two, once)")
        fill(folder)
        stamp.touch()
    return folder


def prepare_this() -> None:
    """Install the family and every tool into the environment that runs this."""
    here = Environment(Path(sys.prefix))
    constraints = pinned(THIS)
    stamp = here.folder / "complete"
    key = fingerprint(constraints, "dev", here.python)
    if not stamp.exists() or stamp.read_text() != key:
        say(f"filling {here.folder.relative_to(ROOT)} (a minute or two, once)")
        # In a process of its own, so that the next is the new pip: older ones know no groups.
        here.pip(constraints, "--upgrade", "pip>=25.1")
        here.install_family(constraints, "dev")
        stamp.write_text(key)


def environment(
    name: str, executable: str, key: str, install: Callable[[Environment], None]
) -> Environment:
    """An environment made by a Python of the machine; ``install`` fills it."""

    def fill(folder: Path) -> None:
        run(executable, "-m", "venv", "--without-pip", str(folder))
        install(Environment(folder))
        # The engine needs it, and a minimal system has none; `scripts/test` has fetched it then.
        openmp = Path(sys.prefix) / "lib" / "libgomp.so.1"
        if openmp.exists():
            shutil.copy(openmp, folder / "lib")

    return Environment(kept(name, key, fill))


def of_python(version: str, executable: str) -> Environment:
    """What another Python runs the tests in."""
    constraints = pinned(version)
    key = fingerprint(constraints, executable)
    return environment(
        f"python{version}", executable, key, lambda made: made.install_family(constraints, "test")
    )


def of_latest() -> Environment:
    """The newest of everything, as of today."""
    key = fingerprint(None, date.today().isoformat())
    return environment("latest", sys.executable, key, lambda made: made.install_family(None, "dev"))


def of_lowest() -> Environment:
    """The lowest version of everything that the packages and the tests say they work with."""
    versions = lowest(THIS)

    def install(made: Environment) -> None:
        # The file is complete, and some libraries ask for more than they need (scripts/pin.py).
        made.pip(None, "--no-deps", "--requirement", str(versions), *BUILD_TOOLS)
        made.pip(None, "--no-deps", "--no-build-isolation", *EDITABLE)

    return environment("lowest", sys.executable, fingerprint(versions), install)


def official_python() -> Environment:
    """The official SDK, which the tests let talk to our server."""
    return _apart("official", OFFICIAL_PYTHON)


def auditing() -> Environment:
    """What compares the versions that the checks install with the known vulnerabilities."""
    return _apart("audit", AUDIT)


def _apart(name: str, what: str) -> Environment:
    """Something in an environment of its own, with the versions of its own constraints."""
    constraints = CONSTRAINTS / f"{name}.txt"

    def fill(folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        Environment(folder).pip(constraints, what)

    key = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return Environment(kept(name, key, fill))


def official_node() -> Path:
    """A folder with LM Studio's TypeScript SDK in ``node_modules``."""
    locked = CONSTRAINTS / "node"

    def fill(folder: Path) -> None:
        shutil.copytree(locked, folder)
        run("npm", "ci", "--silent", "--prefix", str(folder))

    key = hashlib.sha256((locked / "package-lock.json").read_bytes()).hexdigest()[:12]
    return kept("node", key, fill)


def other_pythons(wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Every other Python on the path or in pyenv, as (version, executable)."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found: list[tuple[str, str]] = []
    for version in wanted or [version for version in PYTHONS if version != THIS]:
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
