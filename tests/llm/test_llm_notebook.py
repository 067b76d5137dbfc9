"""What notebooks show of answers, conversations and lists of models."""

from __future__ import annotations

import re
from typing import Any

import pytest
from llm_scripts import INFO, fragment, success
from markdown_it import MarkdownIt

import lmstudio as lms
from lmstudio_llm.notebook import safe_markdown
from lmstudio_testing import FakeServer

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J"
RENDER = MarkdownIt("commonmark")  # with HTML, as notebooks have it


@pytest.fixture
def client(server: FakeServer) -> Any:
    server.on("llm.listLoaded", [{**INFO, "identifier": EVIL}])
    server.on("embedding.listLoaded", [])
    server.on("system.listDownloadedModels", [{**INFO, "modelKey": EVIL, "architecture": None}])
    server.on("llm.getModelInfo", INFO)
    with lms.Client(server.api_host) as client:
        yield client


def answered(server: FakeServer, client: Any, text: str, **options: Any) -> Any:
    server.on_channel("llm.predict", [fragment(text), success()])
    return lms.LLM("scripted", client).respond("hi", **options)


def test_an_answer_is_shown_as_markdown(server: FakeServer, client: Any) -> None:
    shown = answered(server, client, "# Title\n\n- **bold**")._repr_markdown_()
    assert RENDER.render(shown).startswith("<h1>Title</h1>\n<ul>\n<li><strong>bold</strong>")


def test_structured_output_is_shown_as_json(server: FakeServer, client: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    result = answered(server, client, '{"a": "```\\n<b>"}', response_format=schema)
    shown = result._repr_markdown_()
    assert RENDER.render(shown).count("<pre>") == 1
    assert '<code class="language-json">{' in RENDER.render(shown)
    assert "<b>" not in RENDER.render(shown)


@pytest.mark.parametrize(
    "text",
    [
        EVIL,
        f"`{EVIL}`",
        f"``{EVIL}`",
        f"```\n{EVIL}\n```",
        f"```x {EVIL}\n{EVIL}",
        f"```\n~~~\n{EVIL}",
        f"~~~\n```\n{EVIL}\n~~~\n{EVIL}",
        f"    ```\n{EVIL}\n```",
        f"```a`b\n{EVIL}\n```",
        f"> ```\n{EVIL}",
        f"- ```\n{EVIL}\n- `x",
        f"\\`{EVIL}`",
        "[x](javascript:alert(1))",
        "[x]( <javascript:alert(1)>)",
        "[x](JAVASCRIPT&#58;alert(1))",
        "[x](data:text/html,x)",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "<javascript:alert(1)>",
        "![x](http://example.com/steal?q=1)",
        "![x][y]\n\n[y]: http://example.com/steal",
    ],
)
def test_nothing_in_an_answer_is_obeyed(text: str) -> None:
    shown = safe_markdown(text)
    rendered = MarkdownIt("commonmark", {"linkify": False})
    rendered.validateLink = lambda _: True  # type: ignore[method-assign] # as little as there may be
    html = rendered.render(shown)
    tags = set(re.findall(r"<(\w+)", html))
    assert tags <= {"p", "pre", "code", "a", "ul", "li", "blockquote", "h1"}, html
    assert not re.search(r'href="(?!https?:)', html), html
    assert "\x1b" not in html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("1 < 2 & 3", "<p>1 &lt; 2 &amp; 3</p>"),
        ("[site](https://example.com)", '<p><a href="https://example.com">site</a></p>'),
        (
            "```python\nif a < b:\n```",
            '<pre><code class="language-python">if a &lt; b:\n</code></pre>',
        ),
        ("``a ` b``", "<p><code>a ` b</code></p>"),
    ],
)
def test_what_is_harmless_looks_as_it_should(text: str, html: str) -> None:
    assert RENDER.render(safe_markdown(text)).strip() == html


def test_a_conversation(client: Any) -> None:
    chat = lms.Chat("Be brief.")
    chat.add_user_message(EVIL)
    chat.add_assistant_response("Two\nlines")
    shown = chat._repr_html_()
    assert re.findall(r"<b>(\w+)</b>", shown) == ["system", "user", "assistant"]
    assert "Two\nlines" in shown
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


def test_lists_of_models_are_tables(client: Any) -> None:
    for models in (
        client.list_downloaded_models(),
        client.llm.list_downloaded(),
        client.list_loaded_models(),
        client.llm.list_loaded(),
    ):
        assert isinstance(models, list)
        shown = models._repr_html_()
        assert shown.startswith("<table>")
        assert shown.count("<tr>") == 2
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
    assert "<th>Architecture</th>" not in client.llm.list_downloaded()._repr_html_()
    assert client.embedding.list_loaded()._repr_html_() == "<p>No models.</p>"
