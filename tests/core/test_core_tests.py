"""What CONTRIBUTING.md says of the tests themselves, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WAITING = TESTS / "waiting.py"


def sleeps(source: str) -> Iterator[int]:
    """The lines in which a test lets time pass and waits for nothing.

    ``sleep(0)`` gives others their turn. An event that was made on the spot is set by nobody, so a
    limit for it is a sleep by another name, as is a timer that is to strike at the right moment (other
    than one that gives up when all patience is at an end).
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        limits = [*node.args, *(keyword.value for keyword in node.keywords)]
        nothing = all(isinstance(limit, ast.Constant) and limit.value == 0 for limit in limits)
        fresh = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)
        made = ast.unparse(node.func.value.func) if fresh else ""
        if (
            (name == "sleep" and not nothing)
            or (name == "wait" and made.endswith("Event") and limits)
            or (name == "Timer" and ast.unparse(limits[0]) != "PATIENCE")
        ):
            yield node.lineno


def test_tests_do_not_sleep():
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        if path != WAITING
        for line in sleeps(path.read_text("utf-8"))
    ]
    assert not found, "wait for what the test is about; if nothing announces it, see waiting.py"


@pytest.mark.parametrize(
    "line",
    ["time.sleep(0.1)", "await asyncio.sleep(delay)", "sleep(1)", "await anyio.sleep(PATIENCE)",
     "threading.Event().wait(0.1)", "await trio.sleep(seconds=3)", "Event().wait(timeout=t)",
     "threading.Timer(0.3, strike).start()"],
)  # fmt: skip
def test_sleeping_is_seen(line):
    assert list(sleeps(f"async def test():\n    {line}")) == [2]


@pytest.mark.parametrize(
    "line",
    ["await asyncio.sleep(0)", "release.wait(PATIENCE)", "await asyncio.Event().wait()",
     "on_fragment=asyncio.sleep", "thread.join(20)", "threading.Timer(PATIENCE, process.kill)", "await wait_for(call, 5)"],
)  # fmt: skip
def test_waiting_for_something_is_no_sleep(line):
    assert list(sleeps(f"async def test():\n    {line}")) == []
