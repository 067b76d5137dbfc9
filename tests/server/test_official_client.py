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

from lmstudio_agent import plugin_tools
from lmstudio_core.client import Client
from lmstudio_core.errors import LMStudioServerError
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


needs_node = pytest.mark.skipif(not NODE, reason="LMSTUDIO_OFFICIAL_NODE is not set")


@needs_node
@pytest.mark.parametrize("scenario", ["node_scenario.cjs", "node_plugin.cjs"])
def test_the_typescript_sdk(tmp_path: Path, scenario: str) -> None:
    assert NODE is not None
    play("node", str(HERE / scenario), NODE, models=tmp_path, scheme="ws://")


@needs_node
def test_a_plugin_of_the_typescript_sdk_for_our_agents() -> None:
    assert NODE is not None
    with running_server() as server, Client(server.host) as client:
        command = ["node", str(HERE / "node_plugin.cjs"), "serve", NODE, f"ws://{server.host}"]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            said: list[object] = []
            done = client.llm.model("pocket").act(
                "What is 12345 multiplied by 54321?",
                [plugin_tools("node/sums")],
                on_message=said.append,
            )
            assert done.rounds == 2
            assert "670592745" in str(said[-1])
            answer = client.plugins.generate_with_generator("node/sums", "hi")
            assert answer.non_reasoning_content == "You said hi."
            process.stdin.close()
            assert process.stdout.read() == "ok\n"
        with pytest.raises(LMStudioServerError, match="no plugin"):
            client.plugins.start_tool_use_session("node/sums")
