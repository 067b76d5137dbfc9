"""The imports of every package of the family, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
Kind = Literal["run", "local", "types"]
"""When an import happens: with the module, when a function is called, or only for type checkers."""


@dataclass(frozen=True)
class Import:
    """One name that a module of the family imports from another one of it.

    ``name`` is ``None`` where ``module`` itself is what was imported.
    """

    importer: str
    kind: Kind
    module: str
    name: str | None


def sources() -> list[Path]:
    """The folders that import packages lie in."""
    return [ROOT / "src", *sorted(ROOT.glob("packages/*/src"))]


def modules() -> dict[str, Path]:
    """Every module of the family, and its file."""
    found: dict[str, Path] = {}
    for source in sources():
        for path in sorted(source.rglob("*.py")):
            name = ".".join(path.relative_to(source).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def package(module: str) -> str:
    """The import package that a module is of."""
    return module.partition(".")[0]


def room(module: str) -> str:
    """The folder or file right below the package that a module is in."""
    return ".".join(module.split(".")[:2])


class Reader:
    """Reads the imports of the given modules."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def of(self, module: str) -> Iterator[Import]:
        """The imports of one module from modules of the family."""
        path = self._files[module]
        here = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node, kind in _import_nodes(ast.parse(path.read_text("utf-8")), "run"):
            for target, name in self._targets(node, here):
                if target != module:
                    yield Import(module, kind, target, name)

    def _targets(
        self, node: ast.Import | ast.ImportFrom, here: str
    ) -> Iterator[tuple[str, str | None]]:
        if isinstance(node, ast.Import):
            yield from ((a.name, None) for a in node.names if a.name in self._files)
            return
        parts = here.split(".")
        above = parts[: len(parts) - node.level + 1] if node.level else []
        base = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            if f"{base}.{alias.name}" in self._files:
                yield f"{base}.{alias.name}", None
            elif base in self._files:
                yield base, alias.name


def _import_nodes(node: ast.AST, kind: Kind) -> Iterator[tuple[ast.Import | ast.ImportFrom, Kind]]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield node, kind
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for part in node.body:
            yield from _import_nodes(part, "types")
        for part in node.orelse:
            yield from _import_nodes(part, kind)
    else:
        if kind == "run" and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            kind = "local"
        for part in ast.iter_child_nodes(node):
            yield from _import_nodes(part, kind)


def circles(edges: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """The groups of nodes that can each reach all others of their group."""
    graph: dict[str, set[str]] = {}
    for start, end in edges:
        graph.setdefault(start, set()).add(end)
        graph.setdefault(end, set())
    reach = {node: _reachable(graph, node) for node in graph}
    groups = {
        frozenset({node, *(other for other in reach[node] if node in reach[other])})
        for node in graph
    }
    return {group for group in groups if len(group) > 1}


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for node in graph[waiting.pop()] - seen:
            seen.add(node)
            waiting.append(node)
    return seen
