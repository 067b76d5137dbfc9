"""The ``server`` commands, as a user types them."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from lmstudio_server.cli import server as group
from lmstudio_server.daemon import state
from lmstudio_server.daemon.stop import stop_server
from lmstudio_server.testing import running_server
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmstudio_server.testing import ServerProcess

PATIENCE = 30.0
TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("LMSTUDIO_SERVER_API_TOKENS", raising=False)
    # Whatever else runs on this machine is not looked at.
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(tmp_path / "no LM Studio"))
    yield
    for found in state.all_running():
        stop_server(found.state)


def lmstudio(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmstudio_server", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def watch(monkeypatch: pytest.MonkeyPatch, server: ServerProcess) -> None:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(server.state_dir))


def test_without_a_server() -> None:
    for command in ("status", "stop"):
        result = CliRunner().invoke(group, [command])
        assert result.exit_code == 3
        assert "No lmstudio-server is running" in result.output
    result = CliRunner().invoke(group, ["status", "--json"])
    assert json.loads(result.output) == {
        "running": False,
        "servers": [],
        "notAnswering": [],
    }


def test_the_status_of_servers_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server() as server:  # its state is elsewhere: this user did not start it
        [shown] = json.loads(lmstudio("status", "--host", server.host, "--json").stdout)["servers"]
        assert (shown["address"], shown["package"]) == (server.host, "lmstudio-server")
        assert f"at {server.host}" in lmstudio("status", "--host", server.host).stdout
        # One that is found as LM Studio is.
        file = tmp_path / "http-server.json"
        file.write_text(json.dumps({"port": server.port}))
        monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(file))
        assert f"at {server.host}" in lmstudio("status").stdout
        # The same one, found twice, is shown once.
        watch(monkeypatch, server)
        assert len(json.loads(lmstudio("status", "--json").stdout)["servers"]) == 1
        monkeypatch.setenv("LMSTUDIO_API_HOST", "127.0.0.1:9")
        both = lmstudio("status")
        assert both.stdout.startswith("No server answers at 127.0.0.1:9.\nlmstudio-server ")
    nobody = lmstudio("status", "--host", "127.0.0.1:9")
    assert (nobody.returncode, nobody.stdout) == (3, "No server answers at 127.0.0.1:9.\n")
    wrong = lmstudio("status", "--host", "nonsense:x")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_start_status_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server() as server:
        watch(monkeypatch, server)
        status = lmstudio("status", "--json")
        assert status.returncode == 0
        [shown] = json.loads(status.stdout)["servers"]
        assert (shown["pid"], shown["port"]) == (server.pid, server.port)
        assert shown["loadedModels"] == []
        words = lmstudio("status").stdout
        assert server.host in words
        assert "started by hand" in words
        stopped = lmstudio("stop")
        assert stopped.returncode == 0
        assert stopped.stdout == f"Stopped lmstudio-server (pid {server.pid}) at {server.host}.\n"
        assert state.all_running() == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_end_it_well(number: int, code: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lmstudio_server", "start", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["pid"] == process.pid
    assert list((tmp_path / "state").glob("server-*.json"))
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert "Ctrl-C ends it" in errors
    assert list((tmp_path / "state").glob("server-*.json")) == []


def test_in_the_background() -> None:
    port = free_port()
    started = lmstudio("start", "--daemon", "--json", "--port", str(port))
    assert started.returncode == 0, started.stderr
    ready = json.loads(started.stdout)
    assert ready["host"] == f"127.0.0.1:{port}"
    [found] = state.all_running()
    assert found.status["isDaemon"] is True
    second = lmstudio("start", "--port", str(port))
    assert second.returncode == 1
    assert f"already runs at 127.0.0.1:{port} (pid {ready['pid']})" in second.stderr
    assert lmstudio("stop", "--port", str(port)).returncode == 0
    assert lmstudio("status").returncode == 3


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for mode in ([], ["--daemon"]):
            result = lmstudio("start", "--port", str(port), *mode)
            assert result.returncode == 1
            assert f"Port {port} on 127.0.0.1 is taken" in result.stderr
            assert "--port" in result.stderr
            assert "Traceback" not in result.stderr
    assert state.all_running() == []


@pytest.mark.parametrize("mode", [[], ["--daemon"]])
def test_an_address_that_is_not_here(mode: list[str]) -> None:
    result = lmstudio("start", "--host", "192.0.2.1", "--insecure", "--port", "0", *mode)
    assert result.returncode == 1
    assert "Cannot listen on 192.0.2.1" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_for_the_state_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "file"))
        for arguments in (["start", "--port", "0"], ["status"], ["stop"]):
            result = CliRunner().invoke(group, arguments)
            assert result.exit_code == 1
            assert "Set LMSTUDIO_STATE_DIR" in result.output
            assert str(tmp_path / "file") in result.output


def test_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bad = lmstudio("start", "--port", "0", "--api-token", "sk-lm-hidden")
    assert bad.returncode == 1
    assert "form" in bad.stderr
    assert "hidden" not in bad.stderr
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n\n{TOKEN}\n")
    with running_server("--api-token-file", str(file)) as server:
        watch(monkeypatch, server)
        [shown] = json.loads(lmstudio("status", "--json").stdout)["servers"]
        assert shown["requiresToken"] is True
        assert shown["loadedModels"] is None
        assert "not shown without a token" in lmstudio("status").stdout
        assert lmstudio("stop").returncode == 0
    with running_server(environment={"LMSTUDIO_SERVER_API_TOKENS": f"{TOKEN},"}) as server:
        watch(monkeypatch, server)
        [found] = state.all_running()
        assert found.state.requires_token


def test_several_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [free_port(), free_port()]
    for port in ports:
        assert lmstudio("start", "--daemon", "--port", str(port)).returncode == 0
    unclear = lmstudio("stop")
    assert unclear.returncode == 1
    assert "Several servers" in unclear.stderr
    assert all(str(port) in unclear.stderr for port in ports)
    one = json.loads(lmstudio("stop", "--port", str(ports[0]), "--json").stdout)
    [stopped] = one["stopped"]
    assert (stopped["address"], stopped["forced"]) == (f"127.0.0.1:{ports[0]}", False)
    assert lmstudio("start", "--daemon", "--port", str(ports[0])).returncode == 0
    everything = lmstudio("stop", "--all")
    assert everything.stdout.count("Stopped") == 2
    nothing = lmstudio("stop", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (3, {"stopped": []})


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_server_that_does_not_listen_any_more_is_stopped_by_force() -> None:
    port = free_port()
    assert lmstudio("start", "--daemon", "--port", str(port)).returncode == 0
    [found] = state.all_running()
    # Its key is wrong, so it cannot be asked; it has to be told.
    odd = state.ServerState(**{**vars(found.state), "control_key": "wrong"})
    assert stop_server(odd) == " with SIGTERM"
    assert state.all_running() == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_server_that_is_stuck_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    assert lmstudio("start", "--daemon", "--port", str(port)).returncode == 0
    [found] = state.all_running()
    pid = found.state.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            impatient = functools.partial(state.fetch_status, timeout=0.2)
            patch.setattr(state, "fetch_status", impatient)
            shown = CliRunner().invoke(group, ["status"])
            told = CliRunner().invoke(group, ["status", "--json"])
            stopped = CliRunner().invoke(group, ["stop", "--port", str(port)])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert shown.exit_code == 3
    assert f"(pid {pid}) at 127.0.0.1:{port} does not answer" in shown.output
    assert "No lmstudio-server" not in shown.output
    stuck = {"pid": pid, "address": f"127.0.0.1:{port}"}
    assert json.loads(told.output)["notAnswering"] == [stuck]
    assert stopped.exit_code == 1
    assert f"end process {pid}" in stopped.output


def test_a_killed_server_is_not_in_the_way() -> None:
    port = free_port()
    assert lmstudio("start", "--daemon", "--port", str(port)).returncode == 0
    [found] = state.all_running()
    os.kill(found.state.pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    while state.all_running():
        pass
    assert lmstudio("status").returncode == 3
    assert lmstudio("start", "--daemon", "--port", str(port)).returncode == 0


def test_the_other_loopback_address(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running_server("--host", "::1") as server:
        watch(monkeypatch, server)
        assert server.host == f"[::1]:{server.port}"
        assert server.host in lmstudio("status").stdout
        assert lmstudio("stop").returncode == 0


def test_an_open_server_says_so() -> None:
    with running_server("--host", "0.0.0.0", "--insecure") as server:
        assert server.host == f"127.0.0.1:{server.port}"
        assert "--api-token limits that" in server.log.read_text()


def test_it_becomes_part_of_the_lmstudio_command() -> None:
    cli = click.Group("lmstudio")
    cli.add_command(group)
    result = CliRunner().invoke(cli, ["server", "--help"])
    assert result.exit_code == 0
    assert all(word in result.output for word in ("start", "status", "stop"))


def test_the_version() -> None:
    assert lmstudio("--version").stdout.strip() == "lmstudio-server, version 2.0.0"


def test_durations_in_words() -> None:
    from lmstudio_server import cli

    summary: dict[str, Any] = {
        "version": "2", "address": "h:1", "port": 1, "kind": "embedded", "pid": 5,
        "uptimeSeconds": 3725.0, "connections": 2, "loadedModels": ["a", "b"], "log": "/l",
    }  # fmt: skip
    words = cli._in_words(summary)
    assert "started on demand, pid 5, up 1 h 2 min" in words
    assert "loaded models: a, b" in words
    assert "log: /l" in words
