"""The on-demand server, as processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from lmstudio_server import embedded, plugin
from lmstudio_server.daemon import paths, state
from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.daemon.stop import stop_server
from lmstudio_server.testing import running_server
from waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
ASK = "from lmstudio_server.embedded import ensure_running; print(ensure_running())"


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own; whatever it started is stopped."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(folder))
    monkeypatch.delenv("LMSTUDIO_EMBEDDED", raising=False)
    monkeypatch.setenv("LMSTUDIO_EMBEDDED_IDLE", "120")
    yield folder
    for found in state.all_running():
        stop_server(found.state)


def the_server() -> state.Running:
    found = state.running(state.EMBEDDED)
    assert found is not None
    return found


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_is_started_announced_and_found_again(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        address = embedded.ensure_running()
        assert embedded.ensure_running() == address
    assert plugin.lmstudio_find_server() == address
    [record] = caplog.records
    assert (record.name, record.levelname) == ("lmstudio", "WARNING")
    assert address in record.getMessage()
    assert "LMSTUDIO_EMBEDDED=0" in record.getMessage()
    server = the_server()
    assert server.state.address == address
    assert server.status["pid"] == server.state.pid
    assert server.state.port not in {41343, 52993, 16141, 39414, 22931, 1234}


def test_many_who_need_it_at_once_start_one() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    with ThreadPoolExecutor(4) as threads:
        addresses = set(threads.map(lambda _: embedded.ensure_running(), range(4)))
    told = 0
    for process in processes:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err.decode()
        addresses.add(out.decode().strip())
        told += err.decode().count("started lmstudio-server")
    assert len(addresses) == 1
    assert told <= 1
    log = the_server().state.log
    assert log is not None
    assert Path(log).read_text().count("listening at") == 1


def test_the_switch_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_EMBEDDED", "0")
    assert plugin.lmstudio_find_server() is None
    assert state.all_running() == []


@pytest.mark.skipif(sys.platform == "win32", reason="process groups of POSIX")
def test_ctrl_c_in_the_client_does_not_reach_it() -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", ASK + "; import sys, signal; sys.stdout.flush(); signal.pause()"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline()
    server = the_server()
    os.killpg(client.pid, signal.SIGINT)
    client.wait(PATIENCE)
    client.stdout.close()
    assert the_server().state == server.state
    assert os.getsid(server.state.pid) != os.getsid(0)


def test_nothing_of_the_client_is_held_open() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, timeout=PATIENCE, check=True
    )
    assert done.stdout.decode().strip() == the_server().state.address


def test_it_ends_when_its_last_client_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_EMBEDDED_IDLE", "0.5")
    address = embedded.ensure_running()
    server = the_server()
    with connect(f"ws://{address}/system", proxy=None) as socket:
        name, key = the_server().state.api_token.removeprefix("sk-lm-").split(":")
        socket.send(json.dumps({"authVersion": 1, "clientIdentifier": name, "clientPasskey": key}))
        assert json.loads(socket.recv(PATIENCE)) == {"success": True}
        # Longer than the idle time, with the client still there.
        with pytest.raises(TimeoutError):
            socket.recv(0.8)
        assert the_server().status["connections"] == 1
    eventually(lambda: is_gone(server.state.pid))
    assert state.read(state.EMBEDDED) is None


def test_a_killed_server_is_replaced() -> None:
    first = embedded.ensure_running()
    pid = the_server().state.pid
    os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    eventually(lambda: is_gone(pid))
    assert state.read(state.EMBEDDED) is not None
    second = embedded.ensure_running()
    assert second != first
    assert the_server().state.address == second


def test_an_older_version_is_left_to_its_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    first = embedded.ensure_running()
    old = the_server().state
    monkeypatch.setattr(embedded, "__version__", "9.9.9")
    second = embedded.ensure_running()
    assert second != first
    assert fetch_status(old.host, old.port) is not None
    stop_server(old)
    assert the_server().state.address == second


def test_a_server_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "websockets.py").write_text("raise ImportError('broken on purpose')")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    )
    with pytest.raises(embedded.EmbeddedServerError) as caught:
        embedded.ensure_running()
    assert "broken on purpose" in str(caught.value)
    assert "LMSTUDIO_EMBEDDED=0" in str(caught.value)
    assert state.all_running() == []


def test_a_folder_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "below"
    with monkeypatch.context() as patch:
        patch.setenv("LMSTUDIO_STATE_DIR", str(folder))
        with pytest.raises(embedded.EmbeddedServerError, match="LMSTUDIO_STATE_DIR") as caught:
            embedded.ensure_running()
    assert str(folder) in str(caught.value)


def test_a_server_started_by_hand_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server() as server:
        monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(server.state_dir))
        assert embedded.ensure_running() == server.host


def test_a_server_by_hand_that_wants_a_token_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
    monkeypatch.delenv("LM_API_TOKEN", raising=False)
    with running_server("--api-token", token) as server:
        monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(server.state_dir))
        assert embedded.ensure_running() != server.host
        stop_server(the_server().state)
        monkeypatch.setenv("LM_API_TOKEN", token)
        assert embedded.ensure_running() == server.host


def test_finding_it_is_light() -> None:
    code = (
        "import sys; import lmstudio_server.plugin, lmstudio_server.embedded as e; "
        "heavy = {'asyncio', 'websockets', 'pydantic', 'subprocess', 'xllamacpp', 'click'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_its_files_are_its_own(private_state: Path) -> None:
    embedded.ensure_running()
    assert paths.state_dir() == private_state
    names = {path.name for path in private_state.iterdir()}
    assert names == {"embedded.json", "embedded.lock", "embedded.log", "embedded.err"}
