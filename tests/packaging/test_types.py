"""How much of what each installed package offers has a type, by pyright's own count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Built, Environment

LEAST = 0.98


def verified(environment: Environment, name: str) -> dict[str, Any]:
    """What pyright says of a package."""
    pyright = str(Path(sys.executable).with_name("pyright"))
    command = [pyright, "--verifytypes", name, "--ignoreexternal", "--outputjson"]
    # It looks for the package with the first Python on the path; --pythonpath is not heeded here.
    path = f"{environment.bin}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=environment.folder,
        env={**os.environ, "PATH": path, "VIRTUAL_ENV": str(environment.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)["typeCompleteness"]
    return report


@pytest.mark.skipif(
    not Path(sys.executable).with_name("pyright").exists(), reason="pyright is not installed"
)
def test_nearly_everything_has_a_type(built: dict[str, Built], without_needs: Environment) -> None:
    names = [one.import_name for one in built.values()]
    with ThreadPoolExecutor(2) as pool:
        reports = dict(
            zip(names, pool.map(lambda n: verified(without_needs, n), names), strict=True)
        )
    for name, report in reports.items():
        assert str(without_needs.folder) in report["packageRootDirectory"], name  # not the sources
        unknown = [
            symbol["name"]
            for symbol in report["symbols"]
            if symbol["isExported"] and not symbol["isTypeKnown"]
        ]
        assert report["completenessScore"] >= LEAST, (name, unknown)
