"""Docstrings: every example in them runs, and every public name has what its reader needs.

Examples may use whatever ``lmstudio`` offers, ``client``, ``model`` and ``embedder`` (of the pocket
models), ``chat``, ``add``, ``multiply``, ``FakeServer``, and what their own module has. ``async def main()``
is run with those of an ``AsyncClient``: by ``asyncio.run(main())``, else at the end.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lmstudio
from lmstudio_core.client.default import reset_default_client
from lmstudio_testing import FakeServer

PACKAGES = (
    *("lmstudio_core", "lmstudio_llm", "lmstudio_embed", "lmstudio_agent", "lmstudio_server"),
    *("lmstudio_batch", "lmstudio_cli", "lmstudio_plugin", "lmstudio_testing"),
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
RUN_MAIN = "asyncio.run(main())\n"


def documented() -> Iterator[Any]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if "__main__" in found.name or "hook-" in found.name:
                continue
            try:
                module = importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if str(error.name).startswith("lmstudio"):
                    raise
                continue  # an adapter, whose extra is not installed
            for test in doctest.DocTestFinder(exclude_empty=True).find(module):
                if test.examples:
                    yield pytest.param(test, id=test.name)


@pytest.fixture(scope="module")
def pocket() -> Iterator[str]:
    pytest.importorskip("lmstudio_server.testing", reason="the embedded server is not installed")
    from lmstudio_server.testing import running_server

    with running_server() as server:
        yield server.host


def run(example: doctest.Example, names: dict[str, Any]) -> str:
    """What the example prints, an expression's value included; or what it raises."""
    printed = io.StringIO()
    tree = ast.parse(example.source)
    try:
        with contextlib.redirect_stdout(printed):
            if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
                value = eval(example.source, names)
                if value is not None:
                    print(repr(value))
            else:
                exec(example.source, names)
    except Exception as error:
        if example.exc_msg is None or type(error).__name__ not in example.exc_msg:
            raise
        return example.want
    assert example.exc_msg is None, f"nothing was raised: {example.exc_msg}"
    return printed.getvalue()


def add(a: int, b: int) -> int:
    """Add two whole numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two whole numbers."""
    return a * b


@pytest.mark.parametrize("test", list(documented()))
def test_its_examples_run(
    test: doctest.DocTest,
    pocket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("LMSTUDIO_API_HOST", pocket)
    monkeypatch.chdir(tmp_path)
    request.addfinalizer(reset_default_client)  # the next test's server is another one
    with lmstudio.Client(pocket) as client:
        names: dict[str, Any] = {name: getattr(lmstudio, name) for name in lmstudio.__all__}
        names |= {**test.globs, "asyncio": asyncio, "lmstudio": lmstudio, "client": client}
        names |= {"model": client.llm.model("pocket"), "chat": lmstudio.Chat("Be brief.")}
        names["embedder"] = client.embedding.model("pocket-embedding")
        names |= {"add": add, "multiply": multiply, "FakeServer": FakeServer}

        async def with_async_client() -> None:
            async with lmstudio.AsyncClient(pocket) as names["client"]:
                names["model"] = await names["client"].llm.model("pocket")
                names["embedder"] = await names["client"].embedding.model("pocket-embedding")
                await names["main"]()

        names["run_main"] = lambda: asyncio.run(with_async_client())
        ran = False
        for example in test.examples:
            if example.options.get(doctest.SKIP):
                continue  # needs what only LM Studio or another server has
            if example.source == RUN_MAIN:
                example, ran = doctest.Example("run_main()", example.want), True
            printed = run(example, names)
            if example.want:  # without one, what the model says is not the point
                checker = doctest.OutputChecker()
                assert checker.check_output(example.want, printed, FLAGS), printed
        if inspect.iscoroutinefunction(names.get("main")) and not ran:
            names["run_main"]()


def public_names() -> Iterator[Any]:
    """The classes and functions that ``lmstudio`` offers, each once: some have several names."""
    found = {getattr(lmstudio, name) for name in lmstudio.__all__ if name[0] != "_"} - {None}
    # Python 3.10 takes "dict[str, int]" for a class.
    found = [thing for thing in found if typing.get_origin(thing) is None]
    offered = [thing for thing in found if inspect.isclass(thing) or inspect.isfunction(thing)]
    for thing in sorted(offered, key=lambda thing: thing.__qualname__):
        yield pytest.param(thing, id=thing.__qualname__)


def functions_of(thing: Any) -> Iterator[Any]:
    """A public function, or the public methods of a class that the family wrote."""
    if not inspect.isclass(thing):
        yield thing
        return
    for name, member in inspect.getmembers(thing):
        function = getattr(member, "__func__", member)
        if not inspect.isfunction(function) or name[0] == "_":
            continue
        if function.__module__.startswith("lmstudio"):  # and not one of pydantic's
            yield function


@pytest.mark.parametrize("thing", list(public_names()))
def test_public_names_say_what_they_are_and_show_it(thing: Any) -> None:
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert text, "it has no docstring of its own"
    assert "Example:\n" in text
    assert ">>> " in text.partition("Example:\n")[2], "its example is not one that runs"


@pytest.mark.parametrize("thing", list(public_names()))
def test_parameters_are_described(thing: Any) -> None:
    for function in functions_of(thing):
        text = inspect.getdoc(function)
        assert text, f"{function.__qualname__} has no docstring"
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name in ("self", "cls") or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ):
                continue
            described = re.search(rf"^\s+{parameter.name}(, \w+)*: ", text, re.MULTILINE)
            assert described, f"{function.__qualname__} says nothing of {parameter.name}"


def server_functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The functions and methods of the server that others of its modules call."""
    root = Path(str(importlib.import_module("lmstudio_server").__file__)).parent
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        holders = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
        for holder in holders:
            if isinstance(holder, ast.ClassDef) and holder.name[0] == "_":
                continue
            for node in holder.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
                    yield f"{path.relative_to(root)}:{node.name}", node


def test_the_server_describes_parameters_where_they_are_many() -> None:
    silent = []
    for name, node in server_functions():
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        names = {argument.arg for argument in arguments} - {"self", "cls"}
        of_click = "ctx" in names or any("click" in ast.unparse(d) for d in node.decorator_list)
        text = ast.get_docstring(node) or ""
        if len(names) >= 3 and not of_click and "Args:\n" not in text:
            silent.append(name)
    assert not silent
