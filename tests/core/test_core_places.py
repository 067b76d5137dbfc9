"""Users without a home: a number that the system does not know, and no ``HOME``."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from pathlib import Path

import pytest

from lmstudio_cli import checks
from lmstudio_core.client import AsyncClient, Client, discovery
from lmstudio_core.client.network import Network
from lmstudio_core.errors import LMStudioOSError
from lmstudio_core.files.sources import read_source
from lmstudio_core.program.places import expanded, home_folder, lmstudio_home
from lmstudio_server.daemon.paths import state_dir
from lmstudio_server.library import default_folders, own_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    pwd = pytest.importorskip("pwd")

    def unknown(_who):
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in list(os.environ):
        if name == "HOME" or name.startswith(("XDG_", "LMS")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        Path.home()
    return tmp_path


def test_whoever_has_no_home_has_no_files_in_it(homeless):
    assert not os.path.lexists(home_folder() / ".lmstudio")
    assert not os.path.lexists(lmstudio_home())
    assert default_folders()
    assert own_folder().is_absolute()
    state = state_dir()
    assert state.is_absolute()
    assert list(homeless.iterdir()) == []  # nothing is called "~" in the current folder


def test_a_server_is_found_without_a_home(homeless, monkeypatch, server):
    port = int(server.api_host.rpartition(":")[2])
    monkeypatch.setattr(discovery, "DEFAULT_PORTS", (port,))
    server.on("system.listDownloadedModels", [])
    server.on("system.version", {"version": "1", "build": 1})
    with Client() as client:
        assert client.list_downloaded_models() == []
        assert client.api_host.endswith(f":{port}")
    assert Client.find_default_local_api_host() is not None

    async def ask():
        async with AsyncClient() as client:
            return await client.list_downloaded_models()

    assert asyncio.run(ask()) == []
    findings = list(checks._local_server(None))
    assert findings[0].state == "ok"


def test_a_tilde_that_stands_for_nothing_stays(homeless):
    assert expanded("~/models") == Path("~/models")
    with pytest.raises(LMStudioOSError, match=r"~/a\.png"):
        read_source("~/a.png", None)
    with pytest.raises(ValueError, match=r"~/ca\.pem"):
        Network(ssl="~/ca.pem")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read anything")
def test_a_home_of_another_user(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0)
    assert lmstudio_home(home) == home / ".lmstudio"


def test_nothing_asks_python_for_the_home():
    raising = {"home", "expanduser"}
    found = [
        f"{path}:{node.lineno}"
        for path in [*(ROOT / "packages").glob("*/src/**/*.py"), *(ROOT / "src").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in raising
        and path.name != "places.py"
    ]
    assert not found
