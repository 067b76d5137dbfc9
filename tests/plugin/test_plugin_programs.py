"""Programs in the official beta's form run unchanged, and end as they should."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from plugin_running import Running

from lmstudio.plugin.cli import main
from lmstudio_core.client import Client
from lmstudio_core.errors import LMStudioServerError
from lmstudio_plugin import ToolUseSession
from waiting import eventually

Program = Callable[..., Running]


def test_dice(program: Program, client: Client) -> None:
    running = program("dice")
    statuses: list[str] = []
    warnings: list[str] = []
    told: Any = {"on_status": statuses.append, "on_warning": warnings.append}
    settings = {"num_sides": 4}
    with client.plugins.start_tool_use_session("lmstudio/dice-tool", config=settings) as session:
        rolled, slowly = session.available
        assert (rolled.name, rolled.description) == ("roll_dice", "Roll dice, in one go.")
        assert rolled.parameters["properties"]["sides"]["default"] == 4
        thrown = session.call_tool("roll_dice", {"count": 200}, **told)
        assert set(thrown) == {1, 2, 3, 4}
        assert (statuses, warnings) == (["Rolling 200 dice..."], ["Those are many dice."])
        statuses.clear()
        assert len(session.call_tool(slowly.name, {"count": 3}, **told)) == 3
        assert statuses == ["Die 1", "Die 2", "Die 3"]
        with pytest.raises(LMStudioServerError, match=r"roll_dice.*lmstudio/dice-tool.*count"):
            session.call_tool("roll_dice", {"count": "many"})
    assert running.end() == 0
    assert "Traceback (most recent call last)" not in running.lines[-1]
    eventually(lambda: "There is no plugin" in refusal(client, "lmstudio/dice-tool"))


def refusal(client: Client, plugin: str) -> str:
    try:
        with client.plugins.start_tool_use_session(plugin):
            return ""
    except LMStudioServerError as error:
        return str(error)


@pytest.fixture
def encyclopedia() -> Iterator[str]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            found: Any = {"text": f"Page {query['page'][0]}"} if "page" in query else {}
            if "search" in query:
                found = {"pages": [{"id": n, "title": query["search"][0]} for n in range(9)]}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_lookup(program: Program, client: Client, encyclopedia: str) -> None:
    program("lookup", ENCYCLOPEDIA_URL=encyclopedia, NO_PROXY="127.0.0.1")
    with client.plugins.start_tool_use_session("lmstudio/wikipedia") as session:
        assert [tool.name for tool in session.available] == ["get_page", "search"]
        assert session.call_tool("get_page", {"page_id": 7}) == "Page 7"
        found = session.call_tool("search", {"text": "Pärnu", "limit": 2})
        assert found == [{"id": 0, "title": "Pärnu"}, {"id": 1, "title": "Pärnu"}]
        assert len(session.call_tool("search", {"text": "x"})) == 3


def make(folder: Path, manifest: Any, source: str | None) -> Path:
    (folder / "src").mkdir(parents=True)
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "manifest.json").write_text(text, "utf-8")
    if source is not None:
        (folder / "src" / "plugin.py").write_text(source, "utf-8")
    return folder


GOOD = {"type": "plugin", "runner": "python", "owner": "acme", "name": "thing"}


def test_a_crash_is_an_exit_code(run: Program, tmp_path: Path) -> None:
    folder = make(tmp_path / "p", GOOD, "raise RuntimeError('boom')")
    running = run("-m", "lmstudio.plugin", "--dev", str(folder))
    assert running.wait() == 1
    assert "RuntimeError: boom" in running.text


@pytest.mark.parametrize("option", [(), ("--dev",)])
def test_without_a_folder(
    tmp_path: Path, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*option, str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_without_credentials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make(tmp_path / "p", GOOD, "async def preprocess_prompt(ctl, message): ...")
    assert main([str(folder)]) == 1
    assert "LMS_PLUGIN_CLIENT_IDENTIFIER" in capsys.readouterr().err


def test_without_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMSTUDIO_API_HOST", "127.0.0.1:9")
    folder = make(tmp_path / "p", GOOD, "async def preprocess_prompt(ctl, message): ...")
    assert main(["--dev", str(folder)]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


def test_a_killed_plugin_ends_what_is_asked_of_it(program: Program, client: Client) -> None:
    running = program("dice")
    with client.plugins.start_tool_use_session("lmstudio/dice-tool") as session:
        running.process.kill()
        running.wait()
        eventually(lambda: "is gone" in failure(session))


def failure(session: ToolUseSession) -> str:
    try:
        session.call_tool("roll_dice", {"count": 1})
    except LMStudioServerError as error:
        return str(error)
    return ""
