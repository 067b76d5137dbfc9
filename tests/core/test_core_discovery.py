"""Where the server is, when nobody said."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from lmstudio_core import errors
from lmstudio_core.client import AsyncClient, Client, base, discovery
from lmstudio_core.drivers.sync import SyncDriver
from lmstudio_core.plugins.installed import how_to_install
from lmstudio_core.plugins.registry import Plugins
from lmstudio_core.protocol.address import Address
from lmstudio_testing import FakeServer


@pytest.fixture
def unused_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.fixture
def machine(monkeypatch, tmp_path, unused_port):
    """A machine of its own: an empty home, one port to scan on which nothing listens, no plugins."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", (unused_port,))
    monkeypatch.setattr(base, "plugins", Plugins([], {}))
    return tmp_path


def ports(monkeypatch, *numbers):
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", numbers)


def write_file(home, content):
    folder = home / ".lmstudio" / ".internal"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "http-server.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def found(plugin=None):
    """What a new client finds, with what was asked of the plugins."""
    asked = []

    def ask(tried):
        asked.append(tried)
        return plugin

    op = discovery.find_server(os.environ, Path.home(), ask)
    driver = SyncDriver(base.no_address, None, None)
    return str(driver.run(op)), asked


def test_the_environment_comes_first(machine, monkeypatch, server):
    ports(monkeypatch, server.port)
    monkeypatch.setenv("LMSTUDIO_API_HOST", "elsewhere:99")
    assert found() == ("elsewhere:99", [])
    assert server.page_requests == ()
    assert Client().api_host == "elsewhere:99"


def test_a_bad_address_in_the_environment_names_the_variable(machine, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_API_HOST", "nonsense")
    with pytest.raises(
        errors.LMStudioValueError, match=r"LMSTUDIO_API_HOST: A server.s address is"
    ):
        Client().api_host  # noqa: B018 - the property looks


def test_the_file_comes_before_the_ports(machine, monkeypatch, server):
    with FakeServer() as other:
        ports(monkeypatch, other.port)
        write_file(machine, {"port": server.port})
        assert found() == (server.api_host, [])
        assert other.page_requests == ()
    assert server.page_requests == ("/lms-status",)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '"x"',
        {"port": "80"},
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"port": 1.5},
    ],
)
def test_a_malformed_file_is_no_hint(machine, monkeypatch, server, content):
    ports(monkeypatch, server.port)
    write_file(machine, content)
    assert found() == (server.api_host, [])


def test_a_file_of_a_server_that_is_gone(machine, monkeypatch, server, unused_port):
    ports(monkeypatch, server.port)
    write_file(machine, {"port": unused_port})
    assert found() == (server.api_host, [])


def test_a_strict_file_has_no_fallback(machine, monkeypatch, server, unused_port, tmp_path):
    ports(monkeypatch, server.port)
    path = tmp_path / "elsewhere.json"
    monkeypatch.setenv("LMS_API_SERVER_INFO_PATH", str(path))
    with pytest.raises(errors.LMStudioConnectionError, match=r"elsewhere\.json.*names no port"):
        found()
    path.write_text(json.dumps({"port": unused_port}))
    with pytest.raises(
        errors.LMStudioConnectionError, match=f"Tried: 127.0.0.1:{unused_port}\\.\n"
    ):
        found()
    path.write_text(json.dumps({"port": server.port}))
    assert found() == (server.api_host, [])


def test_the_ports_are_scanned_in_order(machine, monkeypatch, server, unused_port):
    with FakeServer() as stranger:
        stranger.pages["/lmstudio-greeting"] = (200, {"lmstudio": "yes"})
        ports(monkeypatch, unused_port, stranger.port, server.port)
        assert found() == (server.api_host, [])
        assert stranger.page_requests == ("/lmstudio-greeting",)


@pytest.mark.parametrize(
    "answer", [(404, {"lmstudio": True}), (200, "no json"), (200, [1]), (200, {}), (500, None)]
)
def test_what_is_no_greeting(machine, monkeypatch, server, answer):
    server.pages["/lmstudio-greeting"] = answer
    assert Client.is_valid_api_host(server.api_host) is False


def test_plugins_are_asked_last(machine, unused_port):
    assert found("plugin:5") == ("plugin:5", [(f"127.0.0.1:{unused_port}",)])


def test_a_running_server_wins_over_plugins(machine, monkeypatch, server):
    ports(monkeypatch, server.port)
    assert found("plugin:5") == (server.api_host, [])


def test_the_error_lists_what_was_tried_and_three_ways_out(machine, monkeypatch, unused_port):
    ports(monkeypatch, unused_port, unused_port)
    with pytest.raises(errors.LMStudioConnectionError) as caught:
        Client().__enter__()
    address = f"127.0.0.1:{unused_port}"
    assert caught.value.tried == (address, address)
    text = str(caught.value)
    assert f"Tried: {address}, {address}." in text
    assert all(f"  {number}. " in text for number in (1, 2, 3))
    assert how_to_install("lmstudio-server") in text
    for value in ("0", "False"):
        monkeypatch.setenv("LMSTUDIO_EMBEDDED", value)
        with pytest.raises(errors.LMStudioConnectionError, match="Unset LMSTUDIO_EMBEDDED"):
            asyncio.run(AsyncClient().__aenter__())


def test_home_folders(tmp_path):
    assert discovery.lmstudio_home(tmp_path) == tmp_path / ".lmstudio"
    (tmp_path / ".cache" / "lm-studio").mkdir(parents=True)
    assert discovery.lmstudio_home(tmp_path) == tmp_path / ".cache" / "lm-studio"
    pointer = tmp_path / ".lmstudio-home-pointer"
    pointer.write_text(f" {tmp_path / 'elsewhere'}\n", "utf-8")
    assert discovery.lmstudio_home(tmp_path) == tmp_path / "elsewhere"
    pointer.write_bytes(b"\xff\xfe")
    assert discovery.lmstudio_home(tmp_path) == tmp_path / ".cache" / "lm-studio"


def test_is_valid_api_host(server, unused_port):
    assert Client.is_valid_api_host(server.api_host) is True
    assert Client.is_valid_api_host(f"http://{server.api_host}") is True
    assert Client.is_valid_api_host(f"127.0.0.1:{unused_port}") is False
    assert Client.is_valid_api_host("nonsense") is False
    assert asyncio.run(AsyncClient.is_valid_api_host(server.api_host)) is True
    assert not server.sockets


def test_find_default_local_api_host_starts_nothing(machine, monkeypatch, server):
    asked = []
    monkeypatch.setattr(base, "ask_plugins", asked.append)
    assert Client.find_default_local_api_host() is None
    assert asyncio.run(AsyncClient.find_default_local_api_host()) is None
    ports(monkeypatch, server.port)
    assert Client.find_default_local_api_host() == server.api_host
    assert asyncio.run(AsyncClient.find_default_local_api_host()) == server.api_host
    assert asked == []
    assert not server.sockets


def test_clients_look_once_and_remember(machine, monkeypatch, server):
    from core_clients import echo

    server.on("test.echo", 1)
    ports(monkeypatch, server.port)
    with Client() as client:
        assert client.run(echo(1)) == 1
        assert repr(client) == f"Client('{server.api_host}')"

    async def main():
        client = AsyncClient()
        assert repr(client) == "AsyncClient(not connected yet)"
        with pytest.raises(errors.LMStudioRuntimeError, match="not been looked for"):
            client.api_host  # noqa: B018 - the property raises
        assert await client.run(echo(1)) == 1
        assert client.api_host == server.api_host
        await client.aclose()

    asyncio.run(main())
    assert server.page_requests == ("/lmstudio-greeting",) * 2


def test_get_json_of_an_odd_server():
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"\x00\x01 nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = Address("127.0.0.1", listener.getsockname()[1])
        assert discovery.get_json(address, "/x") is None
        thread.join()
