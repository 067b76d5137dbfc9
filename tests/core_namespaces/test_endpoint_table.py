"""``docs/endpoints.md`` is true: every endpoint, a call that exists, and a test that exists."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packet_schemas import SCHEMAS

import lmstudio_core as lms
from lmstudio_core.manage.repository import LmLink
from lmstudio_core.protocol.endpoints import ENDPOINTS
from lmstudio_plugin import PredictionController

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "endpoints.md"
ROW = re.compile(
    r"\| `(\w+\.\w+)` \| (call|channel) \| (.+) \| (yes|nothing|error) \| `(.+)::(\w+)` \|"
)


class Row(NamedTuple):
    endpoint: str
    kind: str
    calls: list[str]
    server: str
    file: str
    test: str


def rows() -> list[Row]:
    found = map(ROW.fullmatch, PAGE.read_text(encoding="utf-8").splitlines())
    return [
        Row(m[1], m[2], re.findall(r"`([\w.]+)\(\)`", m[3]), m[4], m[5], m[6]) for m in found if m
    ]


ROWS = rows()


def test_the_table_and_the_code_name_the_same_endpoints() -> None:
    listed = [(row.endpoint, row.kind) for row in ROWS]
    kinds = {"rpc": "call", "channel": "channel"}
    assert listed == [(str(e), kinds[e.kind]) for e in ENDPOINTS]
    assert len(set(listed)) == len(listed) == 93


def test_the_protocol_has_no_others() -> None:
    if not (index := SCHEMAS / "_index.json").exists():
        pytest.skip("the protocol's schemas are not here")
    namespaces = json.loads(index.read_text(encoding="utf-8"))["namespaces"]
    there = {
        (f"{namespace}.{name}", kind)
        for namespace, kinds in namespaces.items()
        for kind, names in kinds.items()
        for name in names
    }
    assert {(str(e), e.kind) for e in ENDPOINTS} == there
    for endpoint in ENDPOINTS:
        schema = json.loads((SCHEMAS / f"{endpoint.namespace}.json").read_text(encoding="utf-8"))
        assert schema["endpoints"][endpoint.name]["serialization"] == endpoint.serialization


def test_what_the_bundled_server_offers_of_them() -> None:
    pytest.importorskip("lmstudio_server")
    from lmstudio_server.api.namespaces import NAMESPACES

    there = {
        f"{namespace}.{name}": endpoint.offer
        for namespace, table in NAMESPACES.items()
        for name, endpoint in table.endpoints.items()
    }
    assert {row.endpoint: row.server for row in ROWS} == there


def owner(path: str, endpoint: str) -> Any:
    """The class, or the namespace, that a call of the table is made on."""
    client = lms.Client("127.0.0.1:1")
    first, _, rest = path.partition(".")
    if path.startswith("client.repository.lm_link"):
        return LmLink
    if first == "client":
        return getattr(client, rest.partition(".")[0])
    if first == "model":
        return lms.LLM if endpoint.startswith("llm.") else lms.EmbeddingModel
    homes = {
        "found": lms.AvailableModel,
        "option": lms.ModelDownloadOption,
        "work": PredictionController,
    }
    return homes[first]


def what_a_test_says(file: str, test: str) -> str:
    """The source of a test, and of those things of its file that it uses."""
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    tree = ast.parse(source)
    defined: dict[str, ast.AST] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            defined[node.name] = node
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            defined[node.targets[0].id] = node
    assert test in defined, f"{file} has no {test}"
    wanted, seen = [test], dict[str, str]()
    while wanted:
        name = wanted.pop()
        if name in defined and name not in seen:
            node = defined[name]
            decorators = getattr(node, "decorator_list", [])
            seen[name] = "".join(ast.unparse(part) for part in (node, *decorators))
            wanted += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return "\n".join(seen.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.endpoint)
def test_the_call_and_the_test_exist(row: Row) -> None:
    assert row.calls
    for call in row.calls:
        assert callable(getattr(owner(call, row.endpoint), call.rpartition(".")[2])), call
    said = what_a_test_says(row.file, row.test)
    names = [row.endpoint.partition(".")[2], *(call.rpartition(".")[2] for call in row.calls)]
    assert any(re.search(rf"\b{name}\b", said) for name in names), f"{row.test} is about others"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.endpoint)
def test_the_code_uses_the_endpoint(row: Row) -> None:
    name = row.endpoint.partition(".")[2]
    sources = [
        path.read_text(encoding="utf-8")
        for package in ("core", "llm", "embed", "plugin")
        for path in (ROOT / "packages" / f"lmstudio-{package}" / "src").rglob("*.py")
        if path.name != "endpoints.py"
    ]

    assert any(f'"{name}"' in source for source in sources)
