"""A run to look at: as text, in a notebook, as a page. Whatever was written in it stays text."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from agent_scripts import Scripted, call, drive, make, prediction

from lmstudio_agent import ActResult, ToolCallContext, ToolImage
from lmstudio_llm.chat import Chat

HOSTILE = "</pre></div><script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"x&amp;\x1b[2J\u202e"


def look(where: str, context: ToolCallContext) -> str:
    """Look somewhere."""
    context.status(f"going to {where}")
    return f"nothing at {where}"


def fail(why: str) -> None:
    """Fail."""
    raise ValueError(why)


def run_of(text: str) -> ActResult[Any]:
    chat = Chat(f"Be {text}")
    chat.add_user_message(f"Ask {text}")
    script = Scripted(
        prediction(
            f"Think {text}",
            call("look", {"where": text}, "1"),
            call("fail", {"why": text, text: 1}, "2"),
            call("fail", {"why": text}, "3"),
            call(text, {}, "4"),
            reasoning=f"Hm {text}",
        ),
        prediction(f"Done {text}"),
    )
    guard = {"look": {"where": f"not {text}"}}
    return drive(
        make(script, [look, fail], chat, guard_tool_call=lambda given: guard.get(given.name))
    )


def test_it_prints_as_a_transcript() -> None:
    external = {"type": "function", "function": {"name": "ask"}}
    script = Scripted(
        prediction("I look.", call("look", {"where": "sea"}, "1"), call("fail", {"why": "fog"})),
        prediction("Nobody knows.", call("ask", {"whom": "you"})),
    )
    result = drive(make(script, [look, fail, external], "Where is it?"))
    lines = str(result).splitlines()
    assert lines[0] == "user: Where is it?"
    assert lines[1] == "assistant: I look."
    assert lines[2].startswith('  look(where="sea") → "nothing at sea" [0.')
    assert lines[3] == "    status: going to sea"
    assert lines[4].startswith('  fail(why="fog") → failed: "Error: the tool')
    assert lines[5] == "assistant: Nobody knows."
    assert lines[6] == '  ask(whom="you") waits for its result'
    assert lines[8].startswith("2 rounds, 2 tool calls, 26 tokens, 1.00 s, ended with toolCalls")
    assert result.transcript_text() == str(result)


def test_control_characters_do_not_reach_a_terminal() -> None:
    text = str(run_of(HOSTILE))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[2J" in text
    assert "\\u202e" in text


class Reader(HTMLParser):
    """Gathers the elements, attributes and text of a page as a browser would see them."""

    VOID = ("meta", "br", "img")

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


ALLOWED = {
    *("html", "head", "meta", "title", "body", "div", "style", "footer", "code", "span", "b"),
    *("pre", "details", "summary", "i"),
}


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("text", ["plain", HOSTILE, "<style>", "{title}", "<!--", "%s &lt;"])
def test_all_text_in_html_stays_text(text: str, tmp_path: Path) -> None:
    result = run_of(text)
    path = tmp_path / "run.html"
    result.to_html(path, title=text)
    html = path.read_text(encoding="utf-8")
    reader = read(html)
    assert reader.tags <= ALLOWED
    assert reader.attributes <= {
        "class",
        "style",
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
    }
    shown = "".join(reader.text)
    visible = text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    for part in ("Be", "Ask", "Think", "Hm", "Done", "not"):
        assert f"{part} {visible}" in shown
    assert visible in shown
    assert "http://" not in html
    assert "https://" not in html
    assert "<script" not in html


def test_the_timeline_shows_rounds_calls_results_and_durations() -> None:
    html = run_of("plain")._repr_html_()
    shown = "".join(read(html).text)
    for part in (
        "round 0",
        "round 1",
        'look(where="not plain")',
        "arguments that the model wrote",
        "status: going to not plain",
        "failed",
        "invalid",
        "0.00 s",
        "2 rounds, 4 tool calls",
    ):
        assert part in shown, part


def test_an_empty_result_can_be_shown() -> None:
    empty = ActResult[Any](rounds=0, total_time_seconds=0.0)
    assert str(empty).strip() == "0 rounds, 0 tool calls, 0.00 s"
    assert "0 rounds" in empty._repr_html_()


def test_arguments_of_any_kind_are_shown() -> None:
    def take(given: Any) -> int:
        """Take anything."""
        return 1

    asked = call("take", {"given": {"a": [1, None, "ü" * 2000]}})
    result = drive(make(Scripted(prediction("", asked), prediction("ok")), [take]))
    assert "characters)" in str(result)
    assert json.dumps("ü" * 2000, ensure_ascii=False).strip('"') in result._repr_html_()


def test_results_are_shown_as_what_they_are() -> None:
    def take(given: str) -> Any:
        """Give what is asked for."""
        png = b"\x89PNG\r\n\x1a\n rest"
        return {"text": "two\nlines", "image": ["Look", ToolImage(png)]}[given]

    asked = [call("take", {"given": given}, given) for given in ("text", "image")]
    result = drive(make(Scripted(prediction("", *asked), prediction("ok")), [take]))
    html = result._repr_html_()
    assert "two\nlines</pre>" in html
    assert 'src="data:image/png;base64,' in html
    assert read(html).attributes == {"class", "style", "alt", "src"}
