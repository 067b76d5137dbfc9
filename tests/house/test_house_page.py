"""docs/architecture.md names what the tree holds: every package, every room, and nothing else."""

from __future__ import annotations

import re

import pytest
from house_imports import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
CORE = ROOT / "packages/lmstudio-core/src/lmstudio_core"


def sections() -> dict[str, str]:
    """Package → what the page says of its rooms."""
    rooms = PAGE.partition("\n## Rooms\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (lmstudio-\w+)$", rooms, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_package_is_named():
    table = PAGE.partition("\n## Distributions\n")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(lmstudio-\w+)`", table, re.MULTILINE)
    assert sorted(named) == PACKAGES
    assert sorted(sections()) == PACKAGES


@pytest.mark.parametrize("name", PACKAGES)
def test_every_room_is_named(name):
    source = ROOT / "packages" / name / "src" / name.replace("-", "_")
    there = {
        f"{path.relative_to(source).as_posix()}/"
        for path in source.rglob("*")
        if path.is_dir()
        and any(p.is_file() for p in path.iterdir())
        and "__pycache__" not in path.parts
    }
    rows = [line for line in sections()[name].splitlines() if line.startswith("| `")]
    assert {room for row in rows for room in re.findall(r"`([\w/]+/)`", row.split("|")[1])} == there


def test_files_that_the_page_names_are_there():
    path = PAGE.partition("\n## From `respond`")[2].partition("\n## Words")[0]
    named = re.findall(r"`(lmstudio_\w+/[\w/]+(?:\.py|/))`", path)
    assert named
    for one in named:
        package = one.partition("/")[0]
        assert (ROOT / "packages" / package.replace("_", "-") / "src" / one).exists(), one


def test_cores_listing_is_a_table_of_contents():
    entries = [path.name for path in CORE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 17, sorted(entries)
