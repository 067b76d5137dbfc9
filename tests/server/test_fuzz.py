"""Whatever comes in by HTTP, as a frame, file or template: an answer or a known error, and life goes on.

A few seconds each; an hour each with ``LMSTUDIO_TEST_DEEP=1``. Hypothesis keeps what failed, and shrinks it.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from http_client import PATIENCE, ask, get
from hypothesis import strategies as st
from wire_client import fake_server

from fuzzing import fuzz
from lmstudio_server.engines.base import ChatRequest, EngineError
from lmstudio_server.engines.llamacpp import templates
from lmstudio_server.engines.llamacpp.templates import Templates
from lmstudio_server.foreign.workers import Limits
from lmstudio_server.library.gguf import GgufError, read_header
from lmstudio_server.library.virtual import read_virtual_model
from lmstudio_server.wire.auth import parse_credentials
from lmstudio_server.wire.frames import parse

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/api/v1/chat",
    "/api/v1/models/load",
    "/api/v1/models/unload",
]
KEYS = [
    "model",
    "messages",
    "prompt",
    "input",
    "stream",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "max_tokens",
    "temperature",
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "function",
    "name",
    "arguments",
    "instance_id",
    "context_length",
]
leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["pocket", "user", "system", "tool", "image_url", "data:image/png;base64,x"])
)
value = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=15,
)
body = st.dictionaries(st.sampled_from(KEYS), value, max_size=8)


def test_http_bodies_by_route() -> None:
    with _Runner() as runner:
        serving = fake_server()
        server = runner.run(serving.__aenter__())

        def check(given_input: tuple[str, Any]) -> None:
            path, content = given_input
            sent = content if isinstance(content, bytes) else json.dumps(content).encode()

            async def send() -> None:
                answer = await asyncio.wait_for(ask(server, "POST", path, sent), PATIENCE)
                assert answer.status < 500 or answer.status == 501, answer.body
                if answer.status >= 400:
                    assert answer.error["message"]

            runner.run(send())

        try:
            assert fuzz(check, st.tuples(st.sampled_from(ROUTES), body | st.binary(max_size=40)))
            assert runner.run(get(server, "/v1/models")).status == 200
        finally:
            runner.run(serving.__aexit__(None, None, None))


class _Runner:
    """``asyncio.Runner``, which Python 3.10 lacks."""

    def __enter__(self) -> _Runner:  # noqa: PYI034
        self._loop = asyncio.new_event_loop()
        return self

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def test_frames_that_are_any_text() -> None:
    def check(text: str) -> None:
        parse(text)
        parse_credentials(text)

    pieces = st.sampled_from(
        [
            '{"type":',
            '"rpcCall"',
            '"callId":',
            "1e999",
            "[",
            "]",
            "{",
            "}",
            ",",
            '"\\ud800"',
            "9" * 9,
        ]
    )
    assert fuzz(check, st.text(max_size=60) | st.lists(pieces, max_size=30).map("".join))


def test_gguf_headers(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"

    def check(content: bytes) -> None:
        file.write_bytes(b"GGUF" + content)
        try:
            read_header(file)
        except GgufError:
            return

    number = st.sampled_from([0, 1, 3, 8, 9, 2**16, 2**31, 2**63, 2**64 - 1])
    piece = number.map(lambda n: struct.pack("<Q", n)) | st.binary(max_size=12)
    version = st.sampled_from([1, 2, 3, 4]).map(lambda n: struct.pack("<I", n))
    assert fuzz(check, st.tuples(version, st.lists(piece, max_size=12).map(b"".join)).map(b"".join))


def test_model_files() -> None:
    keys = st.sampled_from(
        ["model", "base", "key", "sources", "metadataOverrides", "config", "operation", "fields"]
    )
    entry = st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=15,
    )
    named = st.tuples(entry, entry).map(lambda e: {"model": "a/b", "base": e[0], "config": e[1]})
    assert fuzz(read_virtual_model, entry | named)


WILD = ["9**(9**9)", "'a' * 10**10", "[1] * 10**9", "range(9**9)|list", "lipsum(10**6)"]
LEAVES = st.sampled_from(
    [
        *(
            "messages",
            "m",
            "m.content",
            "x",
            "none",
            "true",
            "1",
            "0",
            "'a'",
            "'\\ud800'",
            "'\\0'",
            "self",
        ),
        *(
            "''.__class__.__mro__",
            "messages.__init__",
            "namespace(a=1)",
            "range(10**5)",
            "loop.index",
        ),
        *("raise_exception('no')", "strftime_now('%Y %Q')", "cycler(1, 2)", "caller()", "[]", "{}"),
    ]
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "*", "~", "/", "**", "in", "==", "and"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(
            inner,
            st.sampled_from(
                [
                    *(
                        "tojson",
                        "upper",
                        "list",
                        "join",
                        "length",
                        "trim",
                        "first",
                        "string",
                        "items",
                    ),
                    *(
                        "map('upper')",
                        "attr('__class__')",
                        "format(1)",
                        "batch(0)",
                        "indent(10**5)",
                    ),
                    *(
                        "center(10**7)",
                        "selectattr('role')",
                        "default('x')",
                        "pprint",
                        "wordwrap(0)",
                    ),
                ]
            ),
        ).map("|".join),
        st.tuples(inner, inner).map(lambda two: f"{two[0]}[{two[1]}]"),
        st.tuples(inner, inner).map(lambda two: f"{two[0]}({two[1]})"),
    ),
    max_leaves=5,
)
TEMPLATES = st.recursive(
    EXPRESSIONS.map("{{{{ {} }}}}".format) | st.text(max_size=5),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.tuples(
            st.sampled_from(
                [
                    ("{{% for m in {} %}}", "{% endfor %}"),
                    ("{{% for x in {} recursive %}}", "{{ loop(x) }}{% endfor %}"),
                    ("{{%- if {} -%}}", "{% else %}{% break %}{% endif %}"),
                    ("{{% set x %}}{}", "{% endset %}"),
                    ("{{% macro f(a={}) %}}", "{{ f(a) }}{% endmacro %}{{ f(1) }}"),
                    ("{{% include {} %}}", "{% import 'os' as x %}"),
                    ("{{% filter {} %}}", "{% endfilter"),
                ]
            ),
            EXPRESSIONS,
            inner,
        ).map(lambda part: part[0][0].format(part[1]) + part[2] + part[0][1]),
    ),
    max_leaves=4,
)


def test_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt, or the error of a template; and the next template is rendered."""
    monkeypatch.setattr(
        templates, "LIMITS", Limits(seconds=0.5, memory_bytes=128 * 2**20, answer_bytes=2**20)
    )
    asked = ChatRequest([{"role": "user", "content": "U"}])
    count = 0
    with _Runner() as runner:

        async def render(template: str) -> str:
            return await own.render(asked, template, constrained=False)

        def check(template: str) -> None:
            nonlocal count
            try:
                prompt = runner.run(asyncio.wait_for(render(template), PATIENCE))
            except EngineError as error:
                words = str(error.cause)
            else:
                words = "a prompt"
                count += 1
                assert len(prompt) <= 2**20
            assert words
            assert len(words) < 3000

        async def made() -> Templates:
            return Templates({}, "<M>")

        own = runner.run(made())
        try:
            assert fuzz(check, TEMPLATES)
            for wild in WILD:
                check(f"{{{{ {wild} }}}}")

            assert runner.run(render("{{ messages[0].content }}!")) == "U!"
        finally:
            runner.run(own.close())
    assert count, "no template could be rendered"
