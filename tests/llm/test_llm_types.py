"""The type checkers see the types that the documentation promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("llm_type_checks.py")


def test_mypy() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(FILE)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("pyright", path=str(Path(sys.executable).parent)) is None,
                    reason="pyright is not installed")  # fmt: skip
def test_pyright() -> None:
    command = [
        str(Path(sys.executable).with_name("pyright")),
        "--pythonpath",
        sys.executable,
        str(FILE),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
