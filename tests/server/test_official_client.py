"""LM Studio's own SDKs, clients that this project did not write, against the real server.

``LMSTUDIO_OFFICIAL_PYTHON`` names a Python that has ``lmstudio==1.5.0`` installed, and
``LMSTUDIO_OFFICIAL_NODE`` a folder with ``@lmstudio/sdk`` in its ``node_modules``.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from seeing_models import put_seeing_model

from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.testing import running_server

PYTHON = os.environ.get("LMSTUDIO_OFFICIAL_PYTHON")
NODE = os.environ.get("LMSTUDIO_OFFICIAL_NODE")
HERE = Path(__file__).parent


def play(*command: str, models: Path, scheme: str = "") -> None:
    """Run a scenario against a server of its own; neither side may have warned the other."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    put_seeing_model(models)
    with running_server(models=[models]) as server:
        done = subprocess.run(
            [*command, scheme + server.host],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr + server.log.read_text()
        assert done.stdout.strip().endswith("ok")
        status = fetch_status("127.0.0.1", server.port)
        assert status is not None
        assert status["communicationWarnings"] == {"sent": 0, "received": 0}


@pytest.mark.skipif(not PYTHON, reason="LMSTUDIO_OFFICIAL_PYTHON is not set")
def test_the_python_sdk(tmp_path: Path) -> None:
    assert PYTHON is not None
    play(PYTHON, str(HERE / "official_scenario.py"), models=tmp_path)


@pytest.mark.skipif(not NODE, reason="LMSTUDIO_OFFICIAL_NODE is not set")
def test_the_typescript_sdk(tmp_path: Path) -> None:
    assert NODE is not None
    play("node", str(HERE / "node_scenario.cjs"), NODE, models=tmp_path, scheme="ws://")
