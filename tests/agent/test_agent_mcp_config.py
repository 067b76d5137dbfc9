"""Files that list MCP servers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from agent_scripts import Scripted, call, make_run, prediction, run_sync

from lmstudio_agent import mcp_tools
from lmstudio_agent.mcp_config import configured_servers
from lmstudio_core.errors import LMStudioOSError, LMStudioValueError

SERVER = str(Path(__file__).parent / "mcp_server.py")
CONFIG = {
    "mcpServers": {
        "local": {
            "command": sys.executable,
            "args": [SERVER],
            "env": {"COLOUR": "${TEST_COLOUR}", "OTHER": "${TEST_NOT_SET:-none}"},
        },
        "far": {
            "type": "http",
            "url": "https://x.test/mcp",
            "headers": {"A": "${env:TEST_COLOUR}"},
        },
        "old": {"type": "sse", "url": "HTTP://x.test/sse"},
        "off": {"command": "x", "disabled": True},
    }
}


@pytest.fixture(autouse=True)
def colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_COLOUR", "green")
    monkeypatch.delenv("TEST_NOT_SET", raising=False)


def test_what_the_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mcp.json").write_text("\ufeff" + json.dumps(CONFIG), encoding="utf-8")
    expected: dict[str, Any] = {
        "local": {
            "server": [sys.executable, SERVER],
            "env": {"COLOUR": "green", "OTHER": "none"},
            "cwd": None,
        },
        "far": {"server": "https://x.test/mcp", "headers": {"A": "green"}},
        "old": {"server": "HTTP://x.test/sse", "headers": None, "transport": "sse"},
    }
    for config in (CONFIG, tmp_path / "mcp.json", "~/mcp.json", {"servers": CONFIG["mcpServers"]}):
        assert configured_servers(config, None) == expected
    assert list(configured_servers(CONFIG, ["off"])) == ["off"]
    tools = mcp_tools(config=CONFIG, prefix="{server}_")
    assert [toolset.name for toolset in tools] == ["local", "far", "old"]


@pytest.mark.parametrize(
    ("config", "servers", "says"),
    [
        (CONFIG, ["lokal"], "Did you mean 'local'"),
        (CONFIG, "local", r"servers=\['local'\]"),
        ({}, None, "lists no MCP servers"),
        ({"mcpServers": {"a": 3}}, None, "described by a dict"),
        ({"mcpServers": {"a": {}}}, None, "neither a 'command' nor a 'url'"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, None, "no list"),
        ({"mcpServers": {"a": {"type": "ws", "url": "ws://x"}}}, None, "not http://"),
        ({"mcpServers": {"a": {"command": "${TEST_NOT_SET}"}}}, None, "TEST_NOT_SET"),
    ],
)
def test_what_is_wrong_is_said(config: Any, servers: Any, says: str) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        mcp_tools(config=config, servers=servers)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(LMStudioOSError):
        mcp_tools(config=tmp_path / "nowhere.json")
    (tmp_path / "odd.json").write_text("{")
    with pytest.raises(LMStudioValueError, match="is not JSON"):
        mcp_tools(config=tmp_path / "odd.json")
    no_server: Any = {}
    with pytest.raises(LMStudioValueError, match="give one"):
        mcp_tools(**no_server)


def test_its_tools_run() -> None:
    pytest.importorskip("mcp")
    (toolset,) = mcp_tools(config=CONFIG, servers=["local"], prefix="{server}_")
    with toolset:
        script = Scripted(
            prediction("", call("local_environment", {"name": "COLOUR"})), prediction("Done.")
        )
        (record,) = run_sync(make_run(script, list(toolset.tools))).tool_calls
    assert record.result == "green"
