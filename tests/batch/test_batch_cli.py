"""``lmstudio batch``: runs, resumes, shows, and says what is wrong."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from lmstudio_batch.errors import BatchStoppedError
from lmstudio_batch.jobs.spec import BatchSpec
from lmstudio_cli.command import build
from lmstudio_core.client import Client


@pytest.fixture
def echo(server):
    server.llm().answer(lambda prediction: prediction.prompt.upper())
    return server


def run(*arguments, ok=True):
    done = CliRunner().invoke(build(), ["batch", *map(str, arguments)])
    assert (done.exit_code == 0) == ok, done.output
    return f"{done.output}\n{done.exception}"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": f"row {n}"}) + "\n" for n in range(300)), "utf-8")
    return path


def test_a_file_is_answered(echo, source, tmp_path):
    out = tmp_path / "out.jsonl"
    said = run(
        source, "--out", out, "--host", echo.api_host, "--prompt", "Say {text}", "--limit", 20
    )
    assert "20 rows done into" in said
    assert f"{echo.api_host}: up, 20 done, 0 failed" in said
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["output"] for row in rows] == [f"SAY ROW {n}" for n in range(20)]
    assert "(--force) replaces it" in run(source, "--out", out, "--host", echo.api_host, ok=False)


def test_it_stops_and_goes_on(echo, source, tmp_path):
    out = tmp_path / "out.jsonl"
    arguments = (source, "--out", out, "--host", echo.api_host)
    assert "Nothing was begun" in run("status", out, ok=False)
    said = run(*arguments, "--max-tokens-total", 5, ok=False)
    assert "goes on from there" in said
    assert "No run is going on" in run("status", out)
    state = json.loads(run("status", out, "--json").removesuffix("None"))
    assert 0 < state["rows"] < 300
    assert f"Going on after {state['rows']} rows" in run(*arguments)
    assert "It is whole" in run("status", out, ok=False)


def test_a_dry_run_asks_nothing(echo, source):
    said = run(source, "--dry-run", "--prompt", "Say {text}", "--host", echo.api_host)
    assert "Row 1: Say row 0" in said
    assert "300 rows would be asked" in said
    assert not echo.requests
    said = run(source, "--dry-run", "--prompt", "Say {word}", ok=False)
    assert "names the field 'word'" in said


def test_options_come_first_too_and_help_is_there(echo, source, tmp_path):
    run("--host", echo.api_host, "--out", tmp_path / "out.jsonl", "--limit", 1, source)
    assert "status" in run("--help")
    assert "--retry-failed" in run("run", "--help")
    assert "--out is missing" in run(source, ok=False)


def test_the_library_finds_what_the_command_began(echo, source, tmp_path):
    out = tmp_path / "out.jsonl"
    run(source, "--out", out, "--host", echo.api_host, "--max-tokens-total", 5, ok=False)
    with Client(echo.api_host) as client:
        with pytest.raises(BatchStoppedError):
            client.batch.run(source, out, BatchSpec(), max_tokens_total=5)
        assert client.batch.run(source, out, BatchSpec()).rows == 300
