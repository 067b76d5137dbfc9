"""What the checks install: every version is named, and every floor that is declared is tried."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints"

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILES = sorted(CONSTRAINTS.glob("*.txt"))
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def declared(path: Path, *groups: str) -> Iterator[Requirement]:
    """What a project asks for that is not ours."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    texts: list[str] = list(data["project"]["dependencies"])
    for extra in data["project"].get("optional-dependencies", {}).values():
        texts += extra
    for group in groups:
        entries = data.get("dependency-groups", {}).get(group, [])
        texts += [entry for entry in entries if isinstance(entry, str)]
    yield from (Requirement(text) for text in texts if not text.startswith("lmstudio"))


def versions(path: Path, python: str) -> dict[str, Version]:
    """What a file chooses for a Python on this platform."""
    found: dict[str, Version] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        chosen = Requirement(line)
        if chosen.marker is None or chosen.marker.evaluate({"python_full_version": f"{python}.0"}):
            ((_, version),) = ((s.operator, s.version) for s in chosen.specifier)
            found[normalised(chosen.name)] = Version(version)
    return found


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_holds_names_and_versions_alone(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9.-]+==[\w.!+]+( ; [^/@]+)?", line)


@pytest.mark.parametrize("python", PYTHONS)
def test_everything_that_is_installed_has_a_version(python: str) -> None:
    chosen = versions(CONSTRAINTS / f"python{python}.txt", python)
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    for path in PROJECTS:
        for wanted in declared(path, "test", "dev"):
            if wanted.marker is None or wanted.marker.evaluate(here):
                version = chosen[normalised(wanted.name)]
                assert wanted.specifier.contains(version, prereleases=True), f"{wanted}: {version}"


def test_every_floor_is_the_version_that_lowest_installs() -> None:
    """On one Python at least: an old release may lack a wheel for the newer ones."""
    tried = [versions(CONSTRAINTS / f"lowest-python{python}.txt", python) for python in PYTHONS]
    unproved: list[str] = []
    for path in PROJECTS:
        for wanted in declared(path, "test"):
            found = [
                chosen[name] for chosen in tried if (name := normalised(wanted.name)) in chosen
            ]
            if not found and "sys_platform" in str(wanted.marker):
                continue  # it is for other systems than the one that tries the lowest
            lowest = min(found)
            floors = [Version(s.version) for s in wanted.specifier if s.operator == ">="]
            if floors and lowest != floors[0]:
                unproved.append(f"{path.parent.name}: {wanted} is tried with {lowest}")
    assert not unproved, "\n".join(unproved)
