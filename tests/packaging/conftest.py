"""The distributions as people get them: built once, installed from nothing but wheels."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = {
    "lmstudio": ROOT,
    **{path.name: path for path in sorted((ROOT / "packages").iterdir()) if path.is_dir()},
}
OFFICIAL = "lmstudio==1.5.0"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
UNREACHABLE = re.compile(
    r"connection broken by|Failed to establish|Could not connect|name resolution", re.IGNORECASE
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this is slow, and one worker has to do it: the wheels are built once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.packaging)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))
            item.add_marker(pytest.mark.xdist_group("packaging"))


@dataclass(frozen=True)
class Built:
    """One distribution, built."""

    name: str
    wheel: Path
    sdist: Path

    @property
    def import_name(self) -> str:
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        """The import package in the repository."""
        return PROJECTS[self.name] / "src" / self.import_name

    def files(self) -> list[str]:
        """Every file in the wheel."""
        with ZipFile(self.wheel) as archive:
            return archive.namelist()

    def metadata_file(self, name: str) -> str:
        """The text of a file in the wheel's ``.dist-info``; empty if it has none of that name."""
        with ZipFile(self.wheel) as archive:
            found = [path for path in archive.namelist() if path.endswith(f".dist-info/{name}")]
            return archive.read(found[0]).decode() if found else ""

    def metadata(self) -> Message:
        return Parser().parsestr(self.metadata_file("METADATA"))

    def requirements(self) -> list[str]:
        return self.metadata().get_all("Requires-Dist") or []


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """All of them: an sdist each, and a wheel each made from that sdist."""
    folder = tmp_path_factory.mktemp("dist")

    def build(name: str) -> Built:
        target = folder / name
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target)]
        done = subprocess.run(
            [*command, str(PROJECTS[name])], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (wheel,) = target.glob("*.whl")
        (sdist,) = target.glob("*.tar.gz")
        return Built(name, wheel, sdist)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PROJECTS, pool.map(build, PROJECTS), strict=True))


@pytest.fixture(scope="session")
def wheels(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders with everything there is to install: our wheels, and those they depend on."""
    ours, theirs = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("wheelhouse")
    for one in built.values():
        shutil.copy(one.wheel, ours)
    for wanted, pinned in (
        (["lmstudio[server,testing]", "pytest"], f"python{VERSION}.txt"),
        ([OFFICIAL], "official.txt"),
    ):
        options = ["--quiet", "--only-binary", ":all:", "--find-links", str(ours)]
        constraints = ROOT / "constraints" / pinned
        # Set and empty by `scripts/test --latest`, which asks what a user would get today.
        if os.environ.get("LMSTUDIO_TEST_CONSTRAINTS") != "" and constraints.exists():
            options += ["--constraint", str(constraints)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "--dest", str(theirs), *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stdout + done.stderr
    return [ours, theirs]


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment, and the wheels it may install."""

    folder: Path
    wheels: list[Path]

    @property
    def bin(self) -> Path:
        return self.folder / ("Scripts" if sys.platform == "win32" else "bin")

    def install(self, *arguments: str) -> None:
        links = [part for folder in self.wheels for part in ("--find-links", str(folder))]
        self.pip("install", "--quiet", "--no-index", *links, *arguments)

    def add(self, *requirements: str) -> None:
        """Install tools that are not among the shared wheels; without the index, skip the test."""
        python = str(self.bin / "python")
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *requirements],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and UNREACHABLE.search(done.stderr) and not os.environ.get("CI"):
            pytest.skip("the package index cannot be reached")
        assert done.returncode == 0, done.stderr

    def pip(self, *arguments: str) -> str:
        """Run pip for this environment, which has none of its own."""
        options = ["-m", "pip", "--disable-pip-version-check", "--python", str(self.bin / "python")]
        return self._run([sys.executable, *options, *arguments], ok=True)

    def python(self, code: str, **variables: str) -> str:
        """Run a program; returns what it printed."""
        return self._run([str(self.bin / "python"), "-c", code], ok=True, **variables)

    def command(self, *command: str, ok: bool = True, **variables: str) -> str:
        """Run a console script; returns what it printed, its errors too."""
        return self._run([str(self.bin / command[0]), *command[1:]], ok=ok, **variables)

    def lmstudio(self, *arguments: str, ok: bool = True, **variables: str) -> str:
        """Run the command, also where the package that owns its script is not installed."""
        return self.command("python", "-m", "lmstudio_cli", *arguments, ok=ok, **variables)

    def _run(self, command: list[str], *, ok: bool, **variables: str) -> str:
        # Nothing of the machine's own environment may help or disturb.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LM"))}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**kept, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, f"{command} ended with {done.returncode}:\n{output}"
        return output.strip()


class MakeEnvironment:
    """Makes fresh environments."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self._folder = folder
        self._wheels = wheels

    def __call__(self, *requirements: str) -> Environment:
        folder = self._folder / "environment"
        venv.create(folder, symlinks=sys.platform != "win32")
        # Where the system has no libgomp, the environment that runs the tests has one.
        openmp = Path(sys.prefix) / "lib" / "libgomp.so.1"
        if openmp.exists():
            shutil.copy(openmp, folder / "lib")
        environment = Environment(folder, self._wheels)
        if requirements:
            environment.install(*requirements)
        return environment


class SharedEnvironments(MakeEnvironment):
    """Makes each environment once."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        super().__init__(folder, wheels)
        self._made: dict[tuple[str, ...], Environment] = {}

    def __call__(self, *requirements: str) -> Environment:
        if requirements not in self._made:
            folder = self._folder / str(len(self._made))
            self._made[requirements] = MakeEnvironment(folder, self._wheels)(*requirements)
        return self._made[requirements]


@pytest.fixture
def fresh(tmp_path: Path, wheels: list[Path]) -> MakeEnvironment:
    """``fresh("lmstudio-embed")``: an environment in which that, from wheels alone, is installed."""
    return MakeEnvironment(tmp_path, wheels)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> MakeEnvironment:
    """``fresh`` for tests that leave the environment as it was: they share one for each part."""
    return SharedEnvironments(tmp_path_factory.mktemp("installed"), wheels)


@pytest.fixture(scope="session")
def without_needs(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """All packages from wheels; whatever they need is that of the environment of the tests.

    So everything optional is there, too, and nothing is downloaded. For what reads packages: in the
    environment of the tests itself they are editable, which pyright takes for no packages.
    """
    wheels = [one.wheel.parent for one in built.values()]
    environment = MakeEnvironment(tmp_path_factory.mktemp("types"), wheels)("--no-deps", *built)
    (packages,) = environment.folder.glob("**/site-packages")
    # A path file is not read where another one leads, so the editable packages stay out.
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment
