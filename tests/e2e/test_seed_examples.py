"""The project page's three examples, unmodified but for the model's key, on a bare machine.

No LM Studio runs here, so each finds the embedded server; only the first has to start it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CONVENIENCE = """
import lmstudio as lms
print(lms.llm("pocket").respond("What is the meaning of life?"))      # convenience API, default client
"""

SCOPED = """
import lmstudio as lms
with lms.Client() as client: print(client.llm.model("pocket").respond("What is the meaning of life?"))
"""

ASYNC = """
import asyncio
import lmstudio as lms
async def main():
    async with lms.AsyncClient() as client: print(await (await client.llm.model("pocket")).respond("What is the meaning of life?"))
asyncio.run(main())
"""

ANSWER = "The meaning of life is 42.\n"


def python(run, program: str, **options):
    return run(sys.executable, "-c", program, **options)


def test_three_styles_on_one_server(run) -> None:
    first = python(run, CONVENIENCE)
    assert (first.stdout, first.returncode) == (ANSWER, 0), first.stderr
    assert first.stderr.count("\n") == 1  # the one line that announces the server
    assert "LMSTUDIO_EMBEDDED=0" in first.stderr
    for program in (SCOPED, ASYNC, CONVENIENCE):
        again = python(run, program)
        assert (again.stdout, again.stderr) == (ANSWER, "")


def test_the_question_that_quickstart_asks_last(run) -> None:
    script = Path(__file__).parents[2] / "scripts" / "first_answer.py"
    for _ in range(2):  # with a server that it starts, and with one that runs
        asked = run(sys.executable, str(script))
        assert asked.returncode == 0, asked.stderr
        assert ANSWER in asked.stdout


def test_the_server_outlives_the_program_that_started_it_and_can_be_stopped(run) -> None:
    python(run, CONVENIENCE)
    status = run("lmstudio", "server", "status", "--json")
    assert status.returncode == 0, status.stderr
    pid = _pids(json.loads(status.stdout))[0]
    assert Path(f"/proc/{pid}").exists() or not Path("/proc").exists()
    stopped = run("lmstudio", "server", "stop")
    assert stopped.returncode == 0
    assert str(pid) in stopped.stdout
    assert run("lmstudio", "server", "status").returncode == 3


def _pids(found) -> list[int]:
    if isinstance(found, dict):
        return ([found["pid"]] if "pid" in found else []) + _pids(list(found.values()))
    if isinstance(found, list):
        return [pid for item in found for pid in _pids(item)]
    return []


def test_turned_off(run) -> None:
    failed = python(run, CONVENIENCE, env={"LMSTUDIO_EMBEDDED": "0"})
    assert failed.returncode == 1
    message = failed.stderr.partition("LMStudioConnectionError: ")[2]
    for port in (41343, 52993, 16141, 39414, 22931):
        assert f"127.0.0.1:{port}" in message
    for way in ("Start LM Studio", "LMSTUDIO_API_HOST", "LMSTUDIO_EMBEDDED"):
        assert way in message


def test_an_explicit_host_starts_nothing(run) -> None:
    program = 'import lmstudio as lms; lms.Client("127.0.0.1:9").list_loaded_models()'
    failed = python(run, program)
    assert "LMStudioConnectionError: No server answers at 127.0.0.1:9" in failed.stderr
    assert run("lmstudio", "server", "status").returncode == 3


def test_looking_for_a_server_starts_none(run) -> None:
    program = "import lmstudio as lms; print(lms.Client.find_default_local_api_host())"
    assert python(run, program).stdout == "None\n"
    assert run("lmstudio", "server", "status").returncode == 3


def test_command_line(run) -> None:
    answer = run("lmstudio", "chat", "-p", "What is the capital of France?")
    assert (answer.stdout, answer.returncode) == ("The capital of France is Paris.\n", 0)
    piped = run("lmstudio", "chat", "pocket", stdin="What is the capital of Italy?\n")
    assert piped.stdout == "The capital of Italy is Rome.\n"
    text = run("lmstudio", "complete", "pocket", "The capital of France")
    assert text.returncode == 0, text.stderr
    assert text.stdout.strip()
    wrong = run("lmstudio", "chat", "pokcet", "-p", "Hi")
    assert wrong.returncode == 4  # no such model
    assert "pocket" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_plugins_command_shows_all_healthy(run) -> None:
    listed = run("lmstudio", "plugins", "--json")
    assert listed.returncode == 0, listed.stdout
    states = json.loads(listed.stdout)
    assert {"llm", "embedding", "agent", "models", "system", "files", "repository"} <= {
        s["name"] for s in states if s["kind"] == "capability"
    }
    assert {s["state"] for s in states} == {"ok"}
