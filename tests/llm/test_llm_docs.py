"""Every example in the package's docstrings runs, against the pocket model where it needs one."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import inspect
import io
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import lmstudio_llm
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.client.default import reset_default_client

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def documented() -> Iterator[Any]:
    for found in pkgutil.walk_packages(lmstudio_llm.__path__, "lmstudio_llm."):
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
    """What the example prints, an expression's value included."""
    printed = io.StringIO()
    tree = ast.parse(example.source)
    with contextlib.redirect_stdout(printed):
        if len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
            value = eval(example.source, names)
            if value is not None:
                print(repr(value))
        else:
            exec(example.source, names)
    return printed.getvalue()


@pytest.mark.parametrize("test", list(documented()))
def test_example(
    test: doctest.DocTest,
    pocket: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("LMSTUDIO_API_HOST", pocket)
    request.addfinalizer(reset_default_client)  # the next test's server is another one
    with Client(pocket) as client:
        names: dict[str, Any] = {name: getattr(lmstudio_llm, name) for name in lmstudio_llm.__all__}
        names |= {"asyncio": asyncio, "client": client, "model": client.llm.model("pocket")}
        for example in test.examples:
            printed = run(example, names)
            if example.want:  # without one, what the model says is not the point
                checker = doctest.OutputChecker()
                assert checker.check_output(example.want, printed, FLAGS), printed
        if inspect.iscoroutinefunction(main := names.get("main")):

            async def run_main() -> None:
                async with AsyncClient(pocket) as names["client"]:
                    names["model"] = await names["client"].llm.model("pocket")
                    await main()

            asyncio.run(run_main())
