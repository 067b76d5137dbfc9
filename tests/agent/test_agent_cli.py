"""``lmstudio agent``: tasks from the command line, with the pocket model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli_terminal import Terminal
from lmstudio_server.testing import running_server

TOOLS = '''
"""Tools for a test."""
from lmstudio_agent import ToolCallContext

__all__ = ["multiply"]

def multiply(a: float, b: float, context: ToolCallContext) -> float:
    """Given two numbers a and b, return the product of them."""
    context.status("calculating")
    context.warn("this may take long")
    return a * b

number = 7
'''
TASK = "What is 12345 multiplied by 54321?"
SERVER = str(Path(__file__).parent / "mcp_server.py")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


@pytest.fixture
def run(host: str, tmp_path: Path) -> Run:
    (tmp_path / "my_tools.py").write_text(TOOLS)
    (tmp_path / "this_is_empty.py").touch()
    (tmp_path / "this_is_broken.py").write_text("1 / 0")

    def start(*args: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        code = "from lmstudio_cli import main; main()"
        command = [sys.executable, "-c", code, "agent", "--host", host, *args]
        return subprocess.run(
            command, cwd=tmp_path, input=typed, capture_output=True, text=True, timeout=100
        )

    return start


@pytest.mark.parametrize(
    "tools", ["my_tools", "my_tools:multiply", "my_tools.py", "./my_tools.py:multiply"]
)
def test_calls_and_the_outcome_are_shown(run: Run, tools: str, tmp_path: Path) -> None:
    done = run(TASK, "--tools", tools, "--yes", "-m", "pocket", "--html", "run.html")
    assert done.returncode == 0, done.stderr
    assert "670592745" in done.stdout
    assert "→ multiply(a=12345, b=54321)" in done.stderr
    assert "← multiply(a=12345, b=54321) → 670592745" in done.stderr
    assert "\n  status: calculating\n" in done.stderr
    assert done.stderr.count("this may take long") == 1
    assert "2 rounds, 1 tool call" in done.stderr
    assert "670592745" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_piped_task_and_an_mcp_server(run: Run) -> None:
    pytest.importorskip("mcp")
    done = run("--mcp", f"{sys.executable} {SERVER}", "--yes", typed=TASK)
    assert done.returncode == 0, done.stderr
    assert "rounds" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--tools", "no_such_module"], "cannot be imported"),
        (["--tools", "my_tools:divide"], "no function 'divide'"),
        (["--tools", "my_tools:number"], "no function 'number'"),
        (["--tools", "this_is_empty"], "no function of its own"),
        (["--tools", "this_is_broken"], "cannot be imported: ZeroDivisionError"),
        (["--tools", "my_tools.py:multipli"], "Did you mean 'multiply'?"),
        (["--tools", "nowhere/my_tools.py"], "there is no such file"),
        (["--mcp", "it's"], "as a shell would"),
        (["--html", "no-such-folder/run.html"], "There is no folder"),
        (["--toolset", "no-such-toolset"], "no-such-toolset"),
        (["--max-rounds", "0"], "max-rounds"),
    ],
)
def test_mistakes_are_explained(run: Run, args: list[str], said: str) -> None:
    done = run(TASK, *args)
    assert done.returncode in (1, 2), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_task_there_is_nothing_to_do(run: Run) -> None:
    done = run("--tools", "my_tools")
    assert done.returncode == 2
    assert "There is no TASK" in done.stderr


def test_without_a_terminal_nothing_runs_that_nobody_allowed(run: Run) -> None:
    done = run(TASK, "--tools", "my_tools")
    assert done.returncode == 2
    assert "Allow all calls with --yes" in done.stderr
    assert done.stdout == ""
    assert run("Hello", "-m", "pocket").returncode == 0  # there are no tools to ask about


@pytest.mark.parametrize(
    ("keys", "allowed"),
    [(["q", "x", "Y"], True), (["a"], True), (["hm", "n"], False), ([""], False)],
)
def test_only_an_answer_decides(
    run: Run, host: str, tmp_path: Path, keys: list[str], allowed: bool
) -> None:
    arguments = ("agent", TASK, "--tools", "my_tools.py", "--max-rounds", "2", "--host", host)
    with Terminal(*arguments, cwd=tmp_path) as terminal:
        terminal.expect("Run multiply(a=12345, b=54321)?")
        for key in keys:
            terminal.expect("[y]es, [n]o, [a]lways ")
            terminal.type(f"{key}\n")
        assert terminal.end() == 0
        assert ("→ multiply(a=12345, b=54321)" in terminal.shown) is allowed
        assert ("denied" in terminal.shown) is not allowed


def test_ctrl_c_at_the_question_ends_it(run: Run, host: str, tmp_path: Path) -> None:
    with Terminal(
        "agent", TASK, "--tools", "my_tools.py", "--host", host, cwd=tmp_path
    ) as terminal:
        terminal.expect("[a]lways ")
        terminal.interrupt("Interrupted.")
        assert terminal.end() == 130
