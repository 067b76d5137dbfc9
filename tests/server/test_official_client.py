"""The official SDK, a client that this project did not write, against the real server and engine.

``LMSTUDIO_OFFICIAL_PYTHON`` names a Python that has ``lmstudio==1.5.0`` installed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.testing import running_server

PYTHON = os.environ.get("LMSTUDIO_OFFICIAL_PYTHON")
SCENARIO = Path(__file__).with_name("official_scenario.py")


@pytest.mark.skipif(not PYTHON, reason="LMSTUDIO_OFFICIAL_PYTHON is not set")
def test_the_documented_program() -> None:
    assert PYTHON is not None
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with running_server() as server:
        done = subprocess.run(
            [PYTHON, str(SCENARIO), server.host],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr + server.log.read_text()
        assert done.stdout.strip() == "ok"
        status = fetch_status("127.0.0.1", server.port)
        assert status is not None
        assert status["communicationWarnings"] == {"sent": 0, "received": 0}
