"""Programs for the official SDK find here what they find there.

``LMSTUDIO_OFFICIAL_PYTHON`` names a Python with ``lmstudio==1.5.0``, for the other side.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from official_programs import PROGRAMS

from lmstudio_server.testing import running_server

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "server"))

from seeing_models import put_seeing_model  # noqa: E402 - of the server's tests

PYTHON = os.environ.get("LMSTUDIO_OFFICIAL_PYTHON")

# What each finds, on either side.
FOUND: dict[str, Any] = {
    "agent_with_tool_definitions": [
        "math",
        2,
        [0, 1],
        [
            ["assistant", "text", False],
            ["assistant", "multiply", {"a": 12345, "b": 54321}, "function"],
            ["tool", 670592745, True],
            ["assistant", "text", True],
        ],
        1,
    ],
    "loops_over_loaded_models": [
        True,
        False,
        [True, True, True],
        False,
        True,
        [True, True, True],
        ["pocket", "pocket-think", "seeing"],
        ["pocket"],
    ],
    "async_client_before_the_loop": [True, True, True, 1],
    "retries_on_type_errors": [["a_setting_of_tomorrow", "temperature"], "Hel", True],
    "tools_that_fail": [2, [[True, "multiply"], "given up"], "That cannot be.", 3],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    put_seeing_model(folder)
    return folder


@pytest.fixture(scope="module")
def host(models: Path) -> Iterator[str]:
    with running_server(models=[models]) as server:
        yield server.host


@pytest.mark.xdist_group("official_programs")
@pytest.mark.parametrize("name", PROGRAMS)
def test_here(host: str, name: str) -> None:
    found = PROGRAMS[name](host)
    assert found == FOUND.get(name, found)
    assert found


@pytest.mark.skipif(not PYTHON, reason="LMSTUDIO_OFFICIAL_PYTHON is not set")
@pytest.mark.xdist_group("official_programs")
def test_there_the_same(host: str, models: Path) -> None:
    assert PYTHON is not None
    here = json.loads(json.dumps({name: program(host) for name, program in PROGRAMS.items()}))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with running_server(models=[models]) as server:
        done = subprocess.run(
            [PYTHON, str(HERE / "official_programs.py"), server.host],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=environment,
        )
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout.splitlines()[-1])
    for name, found in here.items():
        assert found == there[name], name
