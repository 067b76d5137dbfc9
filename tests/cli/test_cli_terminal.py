"""The commands as somebody at a terminal has them: typing, pasting, colours, narrow windows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from cli_scripts import downloaded, loaded

from cli_terminal import Terminal
from lmstudio_testing import FakeServer

ANSWER = "Why did the model cross the road? To get to the next token, of course."


@pytest.fixture
def scripted(server: FakeServer) -> FakeServer:
    server.llm().respond(ANSWER, times=8)
    return server


def said(server: FakeServer) -> list[str]:
    """What the user said in the last chat that was sent."""
    messages = server.requests_to("llm.predict")[-1].parameter["history"]["messages"]
    return [m["content"][0]["text"] for m in messages if m["role"] == "user"]


def test_a_paste_is_one_message_and_commands_are_not_sent(scripted: FakeServer) -> None:
    with Terminal("chat", "--host", scripted.api_host) as terminal:
        terminal.expect("\x1b[?2004h")  # from now on pastes are marked
        terminal.paste("one\ntwo\nthree")
        terminal.type("\r")
        terminal.expect("of course.")
        terminal.expect("\x1b[?2004h")
        terminal.type("/help\r")
        terminal.expect("/clear   forget")
        terminal.expect("\x1b[?2004h")
        terminal.type("and?\r")
        terminal.expect("of course.")
        terminal.expect("\x1b[?2004h")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert said(scripted) == ["one\ntwo\nthree", "and?"]


def test_ctrl_c_drops_the_line_and_the_chat_goes_on(scripted: FakeServer) -> None:
    with Terminal("chat", "--host", scripted.api_host) as terminal:
        terminal.expect("\x1b[?2004h")
        terminal.type("nonsense\x03")
        terminal.expect("Ctrl-D ends.")
        terminal.expect("\x1b[?2004h")
        terminal.type("hi\r")
        terminal.expect("of course.")
        terminal.expect("\x1b[?2004h")
        terminal.type("/exit\r")
        assert terminal.end() == 0
    assert said(scripted) == ["hi"]


@pytest.mark.parametrize("columns", [30, 80])
def test_words_are_whole_at_the_right_edge(scripted: FakeServer, columns: int) -> None:
    arguments = ("chat", "-p", "a joke", "--host", scripted.api_host)
    with Terminal(*arguments, columns=columns) as terminal:
        assert terminal.end() == 0
        lines = terminal.shown.split("\r\n")[1:-1]
    assert " ".join(lines) == ANSWER
    assert all(len(line) <= columns for line in lines)
    assert len(lines) == (3 if columns == 30 else 1)


@pytest.mark.parametrize(
    ("command", "variables", "coloured"),
    [
        ("ls", {"NO_COLOR": ""}, True),
        ("ls", {"NO_COLOR": "1"}, False),
        ("ls", {"TERM": "dumb"}, False),
        ("doctor", {"NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_those_who_want_them(
    server: FakeServer, command: str, variables: dict[str, str], coloured: bool
) -> None:
    server.on("system.listDownloadedModels", [downloaded("qwen/qwen3-4b")])
    server.on("llm.listLoaded", [loaded("qwen")])
    server.on("embedding.listLoaded", [])
    with Terminal(command, "--host", server.api_host, **variables) as terminal:
        terminal.end()
        assert ("\x1b" in terminal.shown) is coloured, terminal.shown


def test_a_dumb_terminal_still_has_a_chat(scripted: FakeServer) -> None:
    with Terminal("chat", "--host", scripted.api_host, TERM="dumb") as terminal:
        terminal.expect("> ")
        terminal.type("hi\n")
        terminal.expect("of course.")
        terminal.expect("> ")
        terminal.type("\x04")
        assert terminal.end() == 0
        assert "\x1b" not in re.sub(r"\x1b\[\?2004[hl]", "", terminal.shown)
    assert said(scripted) == ["hi"]


def test_loading_is_drawn_and_wiped(server: FakeServer) -> None:
    server.on("system.listDownloadedModels", [downloaded("a\x1b[2Jb")])
    info: dict[str, Any] = loaded("a")
    server.on_channel(
        "llm.loadModel",
        [
            {"type": "resolved", "info": downloaded("a\x1b[2Jb"), "fullPath": "a"},
            {"type": "progress", "progress": 1.0},
            {"type": "success", "info": info},
        ],
    )
    server.on("llm.getModelInfo", info)
    with Terminal("load", "a\x1b[2Jb", "--host", server.api_host) as terminal:
        assert terminal.end() == 0, terminal.shown
        assert "Loading a\\x1b[2Jb" in terminal.shown
        assert "\x1b" not in terminal.shown
