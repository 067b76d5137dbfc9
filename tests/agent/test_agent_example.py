"""The example of an agent over a SQLite file, with calls as a model would make them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from agent_scripts import Scripted, call, make_run, prediction, run_async, run_sync

pytest.importorskip("lmstudio")

FILE = Path(__file__).parents[2] / "examples" / "sqlite_agent.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("sqlite_agent", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table sold (name text, n integer)")
        connection.executemany("insert into sold values (?, ?)", [("tea", 3), ("cup", 5)])
    return path


def rows(path: Path) -> Any:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("select name, n from sold order by n").fetchall()


@pytest.mark.parametrize("run", [run_sync, run_async])
@pytest.mark.parametrize("approved", [True, False])
def test_it_reads_freely_and_asks_before_it_changes(
    example: Any, database: Path, run: Any, approved: bool
) -> None:
    asked: list[str] = []

    def approve(question: str) -> bool:
        asked.append(question)
        return approved

    calls = [
        call("tables", {}),
        call("query", {"sql": "select * from sold order by n;"}),
        call("query", {"sql": "delete from sold"}),
        call("query", {"sql": "select 1; drop table sold"}),
        call("change", {"sql": "drop table sold", "reason": "r"}),
        call("change", {"sql": "delete from sold where n = 3", "reason": "No more tea."}),
    ]
    script = Scripted(prediction("", *calls), prediction("Done."))
    options = {"guard_tool_call": example.guard(approve), "max_parallel_tool_calls": 1}
    records = run(make_run(script, example.tools(database), **options)).tool_calls
    told, read, written, two, dropped, deleted = records
    assert "CREATE TABLE sold" in told.content
    assert json.loads(read.content) == [{"name": "tea", "n": 3}, {"name": "cup", "n": 5}]
    assert written.outcome == "failed"
    assert "readonly" in written.content
    assert two.outcome == dropped.outcome == "denied"
    assert len(asked) == 1
    assert "No more tea." in asked[0]
    assert deleted.outcome == ("ok" if approved else "denied")
    assert rows(database) == ([("cup", 5)] if approved else [("tea", 3), ("cup", 5)])


def test_the_model_sees_neither_the_file_nor_the_sections_of_docstrings(
    example: Any, database: Path
) -> None:
    for tool in example.tools(database):
        shown = json.dumps([tool.description, *map(str, tool.parameters.values())])
        assert str(database) not in shown
        assert "Args:" not in shown
