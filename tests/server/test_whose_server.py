"""The server that is started on demand is its user's own; and what a killed one leaves is removed."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import socket
import stat
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.errors import LMStudioAuthenticationError, LMStudioError
from lmstudio_core.protocol.address import FoundServer, parse_api_host
from lmstudio_core.protocol.auth import credentials, credentials_for
from lmstudio_server import embedded, files, owned
from lmstudio_server.api.namespaces import NAMESPACES
from lmstudio_server.cli import server as command
from lmstudio_server.daemon import leftovers, paths, state, stop
from lmstudio_server.daemon.lock import file_lock
from lmstudio_server.daemon.probe import fetch_status
from lmstudio_testing.recording_proxy import RecordingProxy
from waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30.0
TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="owners and links of POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.delenv("LMSTUDIO_EMBEDDED", raising=False)
    monkeypatch.delenv("LMSTUDIO_API_HOST", raising=False)
    monkeypatch.setenv("LMSTUDIO_EMBEDDED_IDLE", "120")
    # LM Studio's own ports are not looked at.
    monkeypatch.setattr("lmstudio_core.client.discovery.DEFAULT_PORTS", ())
    monkeypatch.setenv("HOME", str(tmp_path))
    return paths.state_dir()


@pytest.fixture
def on_demand() -> Iterator[state.ServerState]:
    """The server that is started on demand, which runs."""
    embedded.ensure_running()
    found = state.read(state.EMBEDDED)
    assert found is not None
    yield found
    stop.stop_server(found)


def described(**changes: Any) -> state.ServerState:
    me = os.getpid()
    made = state.ServerState(
        "embedded", me, "127.0.0.1", 1, "id", embedded.__version__, 0.0, api_token=TOKEN
    )
    return replace(made, process_start=owned.start_of(me), **changes)


def status_of(address: str, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_another_user_can_do_nothing_with_it(on_demand: state.ServerState) -> None:
    for namespace in NAMESPACES:
        with connect(f"ws://{on_demand.address}/{namespace}", proxy=None) as stranger:
            guest = {"authVersion": 1, "clientIdentifier": "guest:x", "clientPasskey": "y"}
            stranger.send(json.dumps(guest))
            assert json.loads(stranger.recv(PATIENCE))["success"] is False
    for path in ("/v1/models", "/api/v1/models", "/status.json"):
        assert status_of(on_demand.address, path) == 401
    told = fetch_status(on_demand.host, on_demand.port)
    assert told is not None
    assert "loadedModels" not in told


def test_its_user_need_not_know_of_the_token(
    on_demand: state.ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One for another server does not get in the way.
    monkeypatch.setenv("LM_API_TOKEN", "sk-lm-00000000:00000000000000000000")
    with Client() as client:
        assert client.system.version()
        assert TOKEN not in repr(client)
        with Client(client.api_host) as again, RecordingProxy(client.api_host) as proxy:
            assert again.system.version()
            with Client(proxy.api_host) as recorded:
                assert recorded.system.version()
        plain = str(client.api_host + "")
    monkeypatch.delenv("LM_API_TOKEN")
    with Client(plain) as stranger, pytest.raises(LMStudioAuthenticationError):
        stranger.system.version()
    assert on_demand.address == plain


def test_asynchronous_programs_need_not_either(on_demand: state.ServerState) -> None:
    import asyncio

    async def test() -> None:
        async with AsyncClient() as client:
            assert await client.system.version()
            async with AsyncClient(client.api_host) as again:
                assert await again.system.version()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))
    assert on_demand.is_alive


def test_its_owner_is_shown_address_and_token(on_demand: state.ServerState) -> None:
    done = CliRunner().invoke(command, ["status", "--json"])
    (shown,) = json.loads(done.stdout)["servers"]
    assert shown["apiToken"] == on_demand.api_token
    assert shown["page"] == f"http://{on_demand.address}/#token={on_demand.api_token}"
    assert shown["loadedModels"] == []
    assert on_demand.api_token not in CliRunner().invoke(command, ["status"]).output
    file = paths.state_dir() / "embedded.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 or sys.platform == "win32"


def test_the_version_command_gets_in(on_demand: state.ServerState) -> None:
    from lmstudio_cli.server_info import version_command

    done = CliRunner().invoke(version_command, ["--json"])
    assert json.loads(done.stdout)["server"]["host"] == on_demand.address


class Impostor:
    """Takes a server's port and says what it would; remembers what it was told."""

    def __init__(self, instance: str) -> None:
        self.heard = b""
        body = json.dumps({"package": "lmstudio-server", "instanceId": instance}).encode()
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(PATIENCE)
                self.heard += connection.recv(65536)
                connection.sendall(self._answer)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)


@pytest.fixture
def impostor() -> Iterator[Impostor]:
    one = Impostor("id")
    yield one
    one.close()


@posix_only
@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"process_start": "another one"}])
def test_whoever_has_taken_its_port_gets_no_secret(
    change: dict[str, Any], impostor: Impostor
) -> None:
    """Neither where no such process is, nor where another one has its number."""
    gone = replace(described(port=impostor.port, control_key="secret"), **change)
    state.write(gone)
    assert state.running(state.EMBEDDED, claim=True) is None
    assert stop.stop_server(gone) == ""  # nothing is ended: the number is this test's own
    assert b"ABCDEFGHIJ" not in impostor.heard
    alive = described(port=impostor.port)
    state.write(alive)
    assert state.running(state.EMBEDDED) is not None
    assert TOKEN.encode() in impostor.heard  # that is how it would have been seen


def test_a_token_goes_with_its_server(impostor: Impostor) -> None:
    address = f"127.0.0.1:{impostor.port}"
    for alive in (True, False):
        host = FoundServer(address, TOKEN, lambda alive=alive: alive)  # type: ignore[misc]
        creds = credentials_for(parse_api_host(host), credentials(None, {}))
        assert (creds.passkey == TOKEN.partition(":")[2]) is alive


def test_an_address_shows_no_token() -> None:
    host = FoundServer("127.0.0.1:1", TOKEN)
    kept = [copy.copy(host), pickle.loads(pickle.dumps(host)), copy.deepcopy(host)]
    for shown in (repr(host), str(host), f"{host}", json.dumps(host), *map(repr, kept)):
        assert "ABCDEF" not in shown
    assert [type(one) for one in kept] == [str] * 3
    assert "ABCDEF" not in repr(parse_api_host(host))
    assert b"ABCDEF" not in pickle.dumps(host)


def test_processes_are_told_apart() -> None:
    me = os.getpid()
    start = owned.start_of(me)
    assert start == owned.start_of(me)
    assert owned.is_running(me, start)
    assert not owned.is_running(me, start + "0")
    assert not owned.is_running(me, "")
    assert owned.start_of(0) == owned.start_of(2**22 + 1) == ""


@posix_only
def test_a_zombie_is_no_server() -> None:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    try:
        eventually(lambda: owned.start_of(pid) == "")
    finally:
        os.waitpid(pid, 0)


@posix_only
def test_what_a_killed_server_leaves_is_removed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    embedded.ensure_running()
    killed = state.read(state.EMBEDDED)
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)
    eventually(lambda: not killed.is_alive)
    other = tmp_path / f"{files.UPLOADS_PREFIX}other"
    for place, pid in ((tmp_path / f"{files.UPLOADS_PREFIX}gone", killed.pid), (other, 0)):
        place.mkdir()
        (place / "upload.txt").write_text("private")
        (place / "owner.json").write_text(json.dumps([pid, killed.process_start]))
    (other / "owner.json").write_text(json.dumps([os.getpid(), owned.start_of(os.getpid())]))
    elsewhere = tmp_path / "kept.log"
    elsewhere.write_text("not ours")
    state.write(replace(killed, kind="standalone", port=9, log=str(elsewhere)))
    mine = tmp_path / f"{files.UPLOADS_PREFIX}link"
    mine.symlink_to(other)
    leftovers.clear_leftovers()
    assert {path.name for path in folder.iterdir()} == {"embedded.lock"}
    assert sorted(p.name for p in tmp_path.glob(f"{files.UPLOADS_PREFIX}*")) == [
        mine.name,
        other.name,
    ]
    assert (other / "upload.txt").exists()
    assert elsewhere.exists()


def test_uploads_say_whose_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = files.FileStore()
    upload = store.add("me", "a.txt", "YQ==")
    me = os.getpid()
    assert files.owner_of(upload.path.parent) == (me, owned.start_of(me))
    leftovers.clear_leftovers()
    assert upload.read() == b"a"
    store.close()
    assert list(tmp_path.glob("lmstudio-server-files-*")) == []


@posix_only
def test_links_in_the_state_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("{}")
    for name in ("embedded.json", "embedded.lock", "embedded.err", "embedded.log"):
        (folder / name).symlink_to(victim)
    assert state.read(state.EMBEDDED) is None
    with pytest.raises(OSError, match="symbolic links"), file_lock(folder / "embedded.lock", 1):
        pass
    (folder / "embedded.lock").unlink()
    with pytest.raises(LMStudioError, match="symbolic links"):
        embedded.ensure_running()
    (folder / "embedded.err").unlink()
    with pytest.raises(LMStudioError, match="could not be started"):
        embedded.ensure_running()
    assert victim.read_text() == "{}"


@posix_only
def test_what_is_no_file_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "embedded.json")
    assert state.read(state.EMBEDDED) is None


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(shared))
    with pytest.raises(LMStudioError, match="other users may write to it"):
        embedded.ensure_running()
    assert list(shared.iterdir()) == []
    if mode & 0o002 and not mode & 0o1000:
        monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(shared / "mine"))
        with pytest.raises(LMStudioError, match="others may replace it"):
            embedded.ensure_running()


@posix_only
def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(OSError, match="another user"):
        paths.state_dir()
    assert folder.exists()


def test_strangers_keep_no_server_from_ending(on_demand: state.ServerState) -> None:
    """The wait for clients begins anew only for those who know the token."""
    from wire_client import fake_server, run

    async def test() -> None:
        import asyncio

        async with fake_server(api_tokens=(TOKEN,), idle_timeout=60.0) as server:
            claims: list[int] = []
            server.services.presence.claim = lambda: claims.append(1)  # type: ignore[method-assign]
            for token in ("", "sk-lm-abcdefgh:00000000000000000000", TOKEN):
                await asyncio.to_thread(
                    fetch_status, "127.0.0.1", server.port, claim=True, token=token
                )
            assert claims == [1]

    run(test)
    assert on_demand.is_alive
