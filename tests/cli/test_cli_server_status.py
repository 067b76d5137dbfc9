"""``lmstudio server status`` with core alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from lmstudio_cli import command
from lmstudio_core.client import Client
from lmstudio_core.plugins.installed import how_to_install
from lmstudio_core.plugins.registry import Plugins
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmstudio_server.testing import ServerProcess

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"


@pytest.fixture(autouse=True)
def core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "plugins", Plugins((), {}))
    monkeypatch.setattr(Client, "find_default_local_api_host", lambda: None)
    monkeypatch.delenv("LMSTUDIO_API_HOST", raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server("--api-token", TOKEN) as server:
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.build(), ["server", *arguments])


def test_a_server_that_answers(server: ServerProcess) -> None:
    shown = run("status", "--host", server.host)
    assert shown.exit_code == 0
    assert shown.output.startswith("lmstudio-server 2.")
    assert f"at {server.host}" in shown.output
    assert "asks for an API token" in shown.output
    [found] = json.loads(run("status", "--host", server.host, "--json").output)["servers"]
    assert (found["address"], found["requiresToken"]) == (server.host, True)


def test_the_one_of_the_environment(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMSTUDIO_API_HOST", server.host)
    assert server.host in run("status").output


def test_none() -> None:
    shown = run("status")
    assert (shown.exit_code, shown.output) == (3, "No LM Studio server is running.\n")
    nobody = run("status", "--host", "127.0.0.1:9", "--json")
    assert (nobody.exit_code, json.loads(nobody.output)) == (3, {"running": False, "servers": []})


def test_the_rest_names_its_package() -> None:
    for name in ("start", "stop"):
        refused = run(name)
        assert refused.exit_code == 2
        assert how_to_install("lmstudio-server") in refused.output
    listed = CliRunner().invoke(command.build(), ["--help"])
    assert "server" in listed.output
