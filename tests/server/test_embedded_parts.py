"""The parts of the on-demand server's life that need no server: files, locks, questions."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from lmstudio_server import embedded
from lmstudio_server.daemon import paths, state
from lmstudio_server.daemon.lock import LockTimeoutError, file_lock
from lmstudio_server.daemon.probe import fetch_status
from lmstudio_server.daemon.spawn import Settings, tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


def described(**changes: object) -> state.ServerState:
    values: dict[str, object] = {
        "kind": "embedded",
        "pid": os.getpid(),
        "host": "127.0.0.1",
        "port": 1,
        "instance_id": "one",
        "version": "2.0.0",
        "started_at": 0.0,
        "control_key": "secret",
    }
    return state.ServerState(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def listener(answer: bytes) -> Iterator[int]:
    """A program on a port that gives one answer to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def status_answer(instance_id: str) -> bytes:
    body = json.dumps({"package": "lmstudio-server", "instanceId": instance_id})
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class TestFolder:
    @posix
    def test_it_is_private(self, state_folder: Path) -> None:
        assert paths.state_dir() == state_folder
        assert stat.S_IMODE(state_folder.stat().st_mode) == 0o700

    @posix
    def test_an_open_folder_is_closed_to_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("LMSTUDIO_STATE_DIR")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        folder = tmp_path / "lmstudio-server"
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        if sys.platform == "linux":
            assert paths.state_dir() == folder
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    @posix
    def test_a_link_of_a_stranger_is_not_followed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("LMSTUDIO_STATE_DIR")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "fallback"))
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "lmstudio-server").symlink_to(tmp_path / "elsewhere")
        if sys.platform == "linux":
            assert paths.state_dir() == tmp_path / "fallback" / "lmstudio-server"


class TestStateFile:
    def test_round_trip(self, state_folder: Path) -> None:
        path = state.write(described())
        assert state.read("embedded") == described()
        assert "secret" not in repr(described())
        if sys.platform != "win32":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [file.name for file in state_folder.iterdir()] == ["embedded.json"]

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "embedded"}', "5"])
    def test_nonsense_is_no_server(self, text: str) -> None:
        (paths.state_dir() / "embedded.json").write_text(text)
        assert state.read("embedded") is None
        assert state.running("embedded") is None

    def test_a_server_removes_only_its_own_file(self) -> None:
        state.write(described(instance_id="two"))
        state.remove(described(instance_id="one"))
        assert state.read("embedded") is not None
        state.remove(described(instance_id="two"))
        assert state.read("embedded") is None
        state.remove(described())

    def test_nobody_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        state.write(described(port=port))
        assert state.running("embedded") is None

    def test_another_program_on_the_port_is_not_mistaken_for_the_server(self) -> None:
        with listener(status_answer("other")) as port:
            state.write(described(port=port))
            assert state.running("embedded") is None
        with listener(status_answer("one")) as port:
            state.write(described(port=port))
            assert state.running("embedded") is not None
            assert [found.state.port for found in state.all_running()] == [port]

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\x00\xff",
            b"HTTP/1.1 404 Not Found\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\n\r\nno json",
            b"HTTP/1.1 200 OK\r\n\r\n[]",
        ],
    )
    def test_odd_answers(self, answer: bytes) -> None:
        with listener(answer) as port:
            assert fetch_status("127.0.0.1", port) is None

    def test_a_program_that_never_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            started = time.monotonic()
            assert fetch_status("127.0.0.1", server.getsockname()[1], timeout=0.05) is None
            assert time.monotonic() - started < 10


class TestLock:
    def test_threads_exclude_each_other(self, tmp_path: Path) -> None:
        inside: list[int] = []
        most: list[int] = []

        def work() -> None:
            with file_lock(tmp_path / "lock", 30):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 8

    def test_waiting_has_an_end(self, tmp_path: Path) -> None:
        with (
            file_lock(tmp_path / "lock", 1),
            pytest.raises(LockTimeoutError, match="lock"),
            file_lock(tmp_path / "lock", 0.01),
        ):
            pass
        with file_lock(tmp_path / "lock", 0.01):
            pass


@pytest.mark.parametrize(
    ("value", "enabled"),
    [("", True), ("1", True), ("0", False), ("no", False), (" OFF ", False), ("false", False)],
)
def test_the_switch(value: str, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_EMBEDDED", value)
    assert embedded.is_enabled() is enabled


def test_settings_keep_their_tokens_to_themselves() -> None:
    assert "sk-lm" not in repr(Settings(kind="standalone", api_tokens=("sk-lm-x",)))


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("\n".join(str(number) for number in range(10_000)))
    assert tail(log, 2) == "9998\n9999"
