"""Halves of surrogate pairs, which JSON may hold and UTF-8 may not: in any field they are answered in form."""

from __future__ import annotations

import copy
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lmstudio_core.lenient import is_list, is_mapping
from lmstudio_server.testing import ServerProcess, running_server

HALF = "\ud800"
CHAT: dict[str, Any] = {
    "model": "pocket",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
    ],
    "max_tokens": 1,
    "stop": ["s"],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"]}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "stream": ("/v1/chat/completions", {**CHAT, "stream": True}),
    "schema": (
        "/v1/chat/completions",
        {
            "model": "pocket",
            "messages": [{"role": "user", "content": "a"}],
            "max_tokens": 1,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": SCHEMA},
            },
        },
    ),
    "completion": ("/v1/completions", {"model": "pocket", "prompt": "p", "max_tokens": 1}),
    "embedding": ("/v1/embeddings", {"model": "pocket-embedding", "input": ["a"]}),
    "rest": ("/api/v1/chat", {"model": "pocket", "input": "x", "system_prompt": "s"}),
    "load": ("/api/v1/models/load", {"model": "no such model"}),
    "unload": ("/api/v1/models/unload", {"instance_id": "x"}),
    "download": ("/api/v1/models/download", {"model": "not a name"}),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server() as one:
        yield one


def places(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there are texts."""
    if isinstance(value, str):
        yield path
    elif is_mapping(value):
        for key in value:
            yield from places(value[key], (*path, key))
    elif is_list(value):
        for number, inner in enumerate(value):
            yield from places(inner, (*path, number))


def with_half(body: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    here: Any = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] += HALF
    return changed


@pytest.mark.parametrize("name", BODIES)
def test_every_field(name: str, server: ServerProcess) -> None:
    route, body = BODIES[name]
    connection = http.client.HTTPConnection(server.host, timeout=30)
    for path in places(body):
        connection.request(
            "POST", route, json.dumps(with_half(body, path)), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        said = answer.read().decode()
        assert answer.status in (200, 400, 404, 501), (path, said)
        if answer.status != 200:
            assert json.loads(said)["error"]["message"], path
    connection.close()
    log = server.log.read_text("utf-8")
    assert "Traceback" not in log
    assert "--- Logging error ---" not in log
