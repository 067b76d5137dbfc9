"""An agent over a SQLite file: it reads freely, and asks before it changes anything.

    python examples/sqlite_agent.py shop.db "Which product sold best?"

Three safeguards work together: queries run on a read-only connection, whatever the model writes; a
guard refuses statements that do more than one thing; and changes need a person's approval.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import lmstudio as lms

MOST_ROWS = 50


def tables(database: Path) -> dict[str, str]:
    """Tell the tables of the database, each with the SQL that made it."""
    with read_only(database) as connection:
        found = connection.execute("select name, sql from sqlite_master where type = 'table'")
        return dict(found.fetchall())


def query(sql: str, database: Path) -> Iterator[dict[str, Any]]:
    """Read from the database.

    Args:
        sql: One SELECT statement.
    """
    with read_only(database) as connection:
        connection.row_factory = sqlite3.Row
        for at, row in enumerate(connection.execute(sql)):
            if at == MOST_ROWS:
                yield {"note": f"There are more than {MOST_ROWS} rows; ask for less."}
                return
            yield dict(row)


def change(sql: str, reason: str, database: Path) -> str:
    """Change the database, if the user approves.

    Args:
        sql: One INSERT, UPDATE or DELETE statement.
        reason: Why, in a sentence for the user.
    """
    del reason  # for the person who is asked
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        return f"{connection.execute(sql).rowcount} rows changed"


@contextlib.contextmanager
def read_only(database: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write."""
    address = f"{database.resolve().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        yield connection


def guard(approve: Callable[[str], bool]) -> Callable[[lms.ToolCallRequest], str | None]:
    """What decides on each call: nothing allows it, a text refuses it and is told to the model."""

    def decide(request: lms.ToolCallRequest) -> str | None:
        given = request.arguments or {}
        if request.name == "tables":
            return None
        sql = str(given.get("sql", "")).strip().rstrip(";")
        if not sqlite3.complete_statement(sql + ";") or ";" in sql:
            return "Give one whole statement at a time."
        if request.name == "query":
            return None
        if sql.split()[0].lower() not in ("insert", "update", "delete"):
            return "Only INSERT, UPDATE and DELETE are allowed."
        question = f"{given.get('reason')}\n  {sql}\nDo it?"
        return None if approve(question) else "The user said no."

    return decide


def tools(database: Path) -> list[lms.ToolFunctionDef]:
    """The tools, with the file filled in: the model does not see it."""
    return [
        lms.ToolFunctionDef.from_callable(
            functools.partial(tool, database=database),
            name=tool.__name__,
            description=(tool.__doc__ or "").split("\n")[0],
        )
        for tool in (tables, query, change)
    ]


def ask(question: str) -> bool:
    """Ask the person at the terminal."""
    return input(f"{question} [y/N] ").strip().lower() == "y"


def main(database: str, question: str) -> None:
    """Answer a question about a database."""
    model = lms.llm()
    result = model.act(
        question,
        tools(Path(database)),
        guard_tool_call=guard(ask),
        tool_timeout=10,
        max_prediction_rounds=8,
    )
    sys.stdout.write(f"{result.final}\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
