"""The network does its worst: see ``core_chaos``, which runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS, SEEDS = (2000, 10) if os.environ.get("LMSTUDIO_TEST_DEEP") else (500, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
@pytest.mark.timeout(600)
def test_chaos(seed: int) -> None:
    script = Path(__file__).with_name("core_chaos.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(FAULTS), str(seed)],
        env={**os.environ, "PYTHONPATH": str(script.parents[1])},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert done.stdout.endswith("well\n"), done.stdout + done.stderr
    assert not done.stderr
