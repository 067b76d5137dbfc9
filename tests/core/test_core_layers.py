"""At run time imports point down only; what is heavy or optional is behind one door."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lmstudio_core

ROOT = Path(lmstudio_core.__file__).parent
MODULES = {
    ".".join(("lmstudio_core", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}
ALLOWED_IN_PROTOCOL = {"pydantic", "pydantic_core", "typing_extensions", "lmstudio_core"}
NOT_IN_PROTOCOL = {"asyncio", "threading", "socket", "time", "ssl", "select", "selectors", "os"}
ALSO_IN_PROTOCOL = {
    # What a server says of an error is a struct, the one that the protocol has.
    "lmstudio_core.protocol.server_errors": "lmstudio_core.data",
    # Of limits only the types, which readers of annotations look for at run time.
    "lmstudio_core.protocol.runner": "lmstudio_core.timeouts",
}
BELOW_PROTOCOL = tuple(
    f"lmstudio_core.{part}" for part in ("protocol", "errors", "halves", "lenient")
)
FAMILY = {
    "lmstudio",
    "lmstudio_llm",
    "lmstudio_embed",
    "lmstudio_agent",
    "lmstudio_plugin",
    "lmstudio_server",
}


def imports(name: str) -> Iterator[str]:
    """The modules that a module imports when it runs, at its top or in a function."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for part in node.orelse:
                yield from walk(part)
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            inside = [f"{base}.{alias.name}" for alias in node.names]
            yield from (i if i in MODULES else base for i in inside)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(path.read_text("utf-8")))


def top(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("lmstudio_core.protocol")])
def test_the_protocol_does_no_io(name):
    for module in imports(name):
        assert top(module) in ALLOWED_IN_PROTOCOL | set(sys.stdlib_module_names), module
        assert top(module) not in NOT_IN_PROTOCOL, module
        if top(module) == "lmstudio_core":
            assert module == ALSO_IN_PROTOCOL.get(name) or module.startswith(BELOW_PROTOCOL), module


@pytest.mark.parametrize("name", ["lmstudio_core.errors", "lmstudio_core.protocol.server_errors"])
def test_errors_need_only_data(name):
    inside = {module for module in imports(name) if top(module) == "lmstudio_core"}
    assert inside <= {f"lmstudio_core.{part}" for part in ("errors", "data", "lenient", "halves")}


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("lmstudio_core.drivers")])
def test_drivers_know_neither_models_nor_plugins(name):
    allowed = tuple(f"lmstudio_core.{part}" for part in ("drivers", "timeouts"))
    for module in imports(name):
        if top(module) == "lmstudio_core":
            assert module.startswith((*allowed, *BELOW_PROTOCOL)), module


@pytest.mark.parametrize("name", [m for m in MODULES if m.startswith("lmstudio_core.models")])
def test_models_are_driven_by_whoever_runs_them(name):
    forbidden = tuple(f"lmstudio_core.{part}" for part in ("drivers", "client", "plugins"))
    for module in imports(name):
        # What a namespace is, is known without a client.
        allowed = module == "lmstudio_core.client.namespace"
        assert allowed or not module.startswith(forbidden), module


@pytest.mark.parametrize("name", MODULES)
def test_core_imports_none_of_the_other_packages(name):
    assert not {top(module) for module in imports(name)} & FAMILY


@pytest.mark.parametrize("name", MODULES)
def test_plugins_are_behind_one_door(name):
    doors = ("registry", "hookspecs", "installed", "checks")
    if name not in {f"lmstudio_core.plugins.{door}" for door in doors}:
        assert not {top(module) for module in imports(name)} & {"pluggy", "importlib_metadata"}


@pytest.mark.parametrize("name", MODULES)
def test_only_the_drivers_know_websockets(name):
    if "websockets" in {top(module) for module in imports(name)}:
        assert name.startswith("lmstudio_core.drivers")


def test_the_check_itself_sees_imports():
    found = set(imports("lmstudio_core.client.sync"))
    assert {"lmstudio_core.drivers.sync", "lmstudio_core.client.base", "types"} <= found
    assert not FAMILY & {top(module) for module in found}


@pytest.mark.parametrize("name", MODULES)
def test_files_stay_readable(name):
    source = MODULES[name].read_text("utf-8")
    too_long = [
        f"{node.name} has {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
        > 40
    ]
    assert not too_long
