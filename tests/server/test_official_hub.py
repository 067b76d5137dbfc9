"""LM Studio's own SDKs search and download through the server, from a hub that the test makes.

The variables that name the SDKs are those of ``test_official_client.py``.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fake_hub import fake_hub
from pocket_models import POCKET

from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.testing import running_server

pytest.importorskip("huggingface_hub")

PYTHON = os.environ.get("LMSTUDIO_OFFICIAL_PYTHON")
NODE = os.environ.get("LMSTUDIO_OFFICIAL_NODE")
HERE = Path(__file__).parent


def play(*command: str, models: Path, scheme: str = "") -> None:
    """Run a scenario; the hub breaks the first download, and neither side may warn the other."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with fake_hub() as hub:
        hub.add("acme/Parrot-GGUF", "Parrot-Q8_0.gguf", POCKET.read_bytes())
        hub.add("acme/Parrot-GGUF", "Parrot-F16.gguf", POCKET.read_bytes() + bytes(1000))
        hub.breaks = [300_000]
        of_the_hub = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "", "NO_PROXY": "127.0.0.1"}
        with running_server(models=[models], environment=of_the_hub) as server:
            done = subprocess.run(
                [*command, scheme + server.host],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment,
            )
            assert done.returncode == 0, done.stderr + server.log.read_text()
            assert done.stdout.strip().endswith("ok")
            status = fetch_status("127.0.0.1", server.port)
            assert status is not None
            assert status["communicationWarnings"] == {"sent": 0, "received": 0}
        assert hub.downloads()[1].range == "bytes=300000-"


@pytest.mark.skipif(not PYTHON, reason="LMSTUDIO_OFFICIAL_PYTHON is not set")
def test_the_python_sdk(tmp_path: Path) -> None:
    assert PYTHON is not None
    play(PYTHON, str(HERE / "official_hub.py"), models=tmp_path)


@pytest.mark.skipif(not NODE, reason="LMSTUDIO_OFFICIAL_NODE is not set")
def test_the_typescript_sdk(tmp_path: Path) -> None:
    assert NODE is not None
    play("node", str(HERE / "node_hub.cjs"), NODE, models=tmp_path, scheme="ws://")
