"""``lmstudio ls``, ``ps``, ``load`` and ``unload`` against a scripted server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from cli_scripts import downloaded, lines, loaded, run, run_json
from click.testing import CliRunner

from lmstudio_cli.command import build
from lmstudio_cli.command import run as command_line
from lmstudio_cli.common import print_table
from lmstudio_testing import ServerFailure

EMBEDDING = downloaded(
    "all-minilm",
    "embedding",
    sizeBytes=46_000_000,
    paramsString=None,
    quantization=None,
    architecture="bert",
)


@pytest.fixture(autouse=True)
def script(server: Any) -> None:
    server.on("system.listDownloadedModels", [downloaded("qwen/qwen3-4b"), EMBEDDING])
    server.on("llm.listLoaded", [loaded("qwen/qwen3-4b")])
    server.on("embedding.listLoaded", [])
    server.on("llm.getInstanceProcessingState", {"status": "idle", "queued": 0})


# -- ls ------------------------------------------------------------------------------------------


def test_ls(server: Any) -> None:
    assert run(server, "ls").stdout == lines("""
        MODEL          KIND       PARAMS  ARCHITECTURE  QUANT   SIZE
        qwen/qwen3-4b  llm        4B      qwen3         Q4_K_M  2.50 GB  loaded
        all-minilm     embedding          bert                  46.0 MB
        2 in all, 2.55 GB
    """)


def test_ls_of_one_kind(server: Any) -> None:
    assert run(server, "ls", "--kind", "embedding").stdout == lines("""
        MODEL       KIND       ARCHITECTURE  SIZE
        all-minilm  embedding  bert          46.0 MB
        1 in all, 46.0 MB
    """)


def test_ls_of_variants_and_devices(server: Any) -> None:
    variants = [downloaded("m@q4"), downloaded("m@q8", deviceIdentifier="laptop")]
    server.on("system.listDownloadedModelVariants", variants)
    assert run(server, "ls", "m").stdout == lines("""
        MODEL  KIND  PARAMS  ARCHITECTURE  QUANT   SIZE     DEVICE
        m@q4   llm   4B      qwen3         Q4_K_M  2.50 GB
        m@q8   llm   4B      qwen3         Q4_K_M  2.50 GB  laptop
        2 in all, 5.00 GB
    """)


def test_ls_of_a_model_that_is_not_there(server: Any) -> None:
    server.on("system.listDownloadedModelVariants", [])
    refused = run(server, "ls", "qwen3-4", code=4)
    assert "Did you mean qwen/qwen3-4b?" in refused.stderr
    assert refused.stdout == ""
    assert run(server, "ls", "zzz", "--json", code=4).stdout == ""


def test_ls_of_a_model_without_variants_is_the_model(server: Any) -> None:
    server.on("system.listDownloadedModelVariants", [])
    assert "1 in all" in run(server, "ls", "qwen3-4b").stdout


def test_ls_of_a_name_that_two_models_have(server: Any) -> None:
    """The server takes one of them; whoever asks has to know that there are more."""
    server.on("system.listDownloadedModels", [downloaded("a/m"), downloaded("b/m")])
    server.on("system.listDownloadedModelVariants", [downloaded("a/m")])
    assert "a/m, b/m. Use one of these keys." in run(server, "ls", "m", code=4).stderr
    both = [downloaded("m@q4"), downloaded("m@q8")]
    server.on("system.listDownloadedModels", both)
    server.on("system.listDownloadedModelVariants", both)
    assert "2 in all" in run(server, "ls", "m").stdout


def test_ls_as_json_is_what_the_server_said(server: Any) -> None:
    found = run_json(server, "ls")
    assert [info["modelKey"] for info in found] == ["qwen/qwen3-4b", "all-minilm"]
    assert found[0]["quantization"] == {"name": "Q4_K_M", "bits": 4}


def test_ls_of_nothing(server: Any) -> None:
    server.on("system.listDownloadedModels", [])
    assert run(server, "ls").stdout == "No model is downloaded.\n"
    assert run_json(server, "ls") == []


# -- ps ------------------------------------------------------------------------------------------


def test_ps(server: Any) -> None:
    other = loaded("mine", ttlMs=None, contextLength=0, deviceIdentifier="laptop")
    server.on("llm.listLoaded", [loaded("qwen/qwen3-4b"), other])
    states = iter([{"status": "generating", "queued": 2}])

    def state(_: Any) -> Any:
        return next(states, None) or ServerFailure("gone")

    server.on("llm.getInstanceProcessingState", state)
    assert run(server, "ps").stdout == lines("""
        IDENTIFIER     MODEL          KIND  STATUS                  CONTEXT  SIZE     TTL     DEVICE
        qwen/qwen3-4b  qwen/qwen3-4b  llm   generating (+2 queued)  4096     2.50 GB  60 min
        mine           qwen/qwen3-4b  llm   unknown                          2.50 GB          laptop
    """)


def test_ps_as_json(server: Any) -> None:
    (found,) = run_json(server, "ps")
    assert found["identifier"] == "qwen/qwen3-4b"
    assert found["processingState"] == {"status": "idle", "queued": 0}


def test_ps_of_nothing(server: Any) -> None:
    server.on("llm.listLoaded", [])
    assert run(server, "ps").stdout == "No model is loaded.\n"
    assert run_json(server, "ps") == []


# -- load ----------------------------------------------------------------------------------------


@pytest.fixture
def loading(server: Any) -> None:
    server.on_channel(
        "llm.loadModel",
        [{"type": "progress", "progress": 0.5}, {"type": "success", "info": loaded("mine")}],
    )
    server.on("llm.getModelInfo", loaded("mine"))


@pytest.mark.usefixtures("loading")
def test_load(server: Any) -> None:
    done = run(server, "load", "qwen3-4b")
    assert done.stdout == "mine is loaded (2.50 GB, context 4096 tokens).\n"
    assert done.stderr == ""  # no bar where nobody looks
    (request,) = server.requests_to("llm.loadModel")
    assert request.parameter["modelKey"] == "qwen/qwen3-4b"
    assert "ttlMs" not in request.parameter


@pytest.mark.usefixtures("loading")
def test_load_with_everything(server: Any) -> None:
    options = ("--identifier", "mine", "--ttl", "60", "--device", "laptop")
    config = ("--context-length", "512", "--gpu", "0.5")
    found = run_json(server, "load", "qwen/qwen3-4b", *options, *config)
    assert found["identifier"] == "mine"
    parameter = server.requests_to("llm.loadModel")[0].parameter
    assert parameter["identifier"] == "mine"
    assert parameter["ttlMs"] == 60_000
    assert parameter["deviceIdentifier"] == "laptop"
    fields = parameter["loadConfigStack"]["layers"][0]["config"]["fields"]
    assert {"key": "llm.load.contextLength", "value": 512} in fields
    assert {"key": "llm.load.llama.acceleration.offloadRatio", "value": 0.5} in fields


def test_estimates_load_nothing(server: Any) -> None:
    memory = {
        "confidence": "high",
        "modelBytes": 2e9,
        "contextBytes": 1e8,
        "totalBytes": 2.1e9,
        "totalVramBytes": 0,
    }
    server.on("llm.estimateModelUsage", {"memory": memory, "passesGuardrails": False})
    assert run(server, "load", "qwen3-4b", "--estimate").stdout == lines("""
        2.10 GB of memory: 2.00 GB for the model, 100 MB for the context; 0 B of it on graphics \
cards (confidence: high).
        The server would refuse to load it.
    """)
    found = run_json(server, "load", "qwen3-4b", "--estimate")
    assert found["passesGuardrails"] is False


def test_an_unknown_model_has_an_exit_code_of_its_own(server: Any) -> None:
    failed = run(server, "load", "qwen", code=4)
    assert failed.stdout == ""
    assert failed.stderr == (
        "Error: No downloaded model has the key 'qwen'. Did you mean qwen/qwen3-4b?\n"
    )


def test_an_ambiguous_key_lists_the_candidates(server: Any) -> None:
    server.on("system.listDownloadedModels", [downloaded("a/m"), downloaded("b/m")])
    assert "a/m, b/m. Use one of these keys." in run(server, "load", "m", code=4).stderr


def test_an_identifier_in_use_is_an_error(server: Any) -> None:
    server.on_channel("llm.loadModel", ServerFailure('"mine" already exists'))
    failed = run(server, "load", "qwen3-4b", "--identifier", "mine", code=1)
    assert failed.stderr == 'Error: "mine" already exists\nEndpoint: llm.loadModel\n'


@pytest.mark.parametrize("gpu", ["fast", "2", "-0.5"])
def test_a_wrong_share_of_the_gpu_is_a_usage_error(server: Any, gpu: str) -> None:
    assert "from 0 to 1" in run(server, "load", "m", "--gpu", gpu, code=2).stderr


# -- unload --------------------------------------------------------------------------------------


def test_unload(server: Any) -> None:
    server.on("llm.unloadModel")
    assert run(server, "unload", "qwen/qwen3-4b").stdout == "qwen/qwen3-4b is unloaded.\n"
    assert run_json(server, "unload", "--all") == {"unloaded": ["qwen/qwen3-4b"]}
    server.on("llm.listLoaded", [])
    assert run(server, "unload", "--all").stdout == "No model is loaded.\n"


def test_unloading_everything_on_one_device(server: Any) -> None:
    """What is elsewhere, or has gone by itself meanwhile, is no error."""
    server.on("llm.listLoaded", [loaded("here"), loaded("there", deviceIdentifier="laptop")])
    server.on("llm.unloadModel")
    done = run(server, "unload", "--all", "--device", "laptop")
    assert done.stdout == "there is unloaded.\n"
    unloaded = server.requests_to("llm.unloadModel")[-1].parameter
    assert unloaded == {"identifier": "there", "deviceIdentifier": "laptop"}
    done = run(server, "unload", "--all", "--device", "desk")
    assert done.stdout == "No model is loaded on the device 'desk'.\n"
    gone = {
        "code": "generic.noModelMatchingQuery",
        "loadedModelsSample": [],
        "totalLoadedModels": 0,
    }
    server.on("llm.unloadModel", ServerFailure("It has gone", displayData=gone))
    assert run(server, "unload", "--all").stdout == "No model is loaded.\n"
    assert "It has gone" in run(server, "unload", "here", code=4).stderr


def test_unload_needs_to_know_what(server: Any) -> None:
    assert "--all" in run(server, "unload", code=2).stderr
    assert "--all" in run(server, "unload", "--all", "m", code=2).stderr
    assert "Loaded are: qwen/qwen3-4b" in run(server, "unload", "m", code=4).stderr


# -- servers that are not there ------------------------------------------------------------------


@pytest.mark.parametrize("command", [["ls"], ["ps"], ["unload", "m"], ["runtime", "ls"], ["log"]])
def test_no_server_has_an_exit_code_of_its_own(command: list[str]) -> None:
    failed = CliRunner().invoke(build(), [*command, "--host", "127.0.0.1:1"])
    assert failed.exit_code == 3
    assert failed.stderr.startswith("Error: ")
    assert failed.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls", "--host", "nowhere"], "A server's address is 'host:port'"),
        (["ls", "--host", "127.0.0.1:1", "--api-token", "no"], "The API token does not look like"),
        (["server", "status", "--host", "a:b:c"], "A server's address is 'host:port'"),
    ],
)
def test_a_wrong_option_is_an_error_of_the_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(arguments)
    assert ended.value.code == 2
    assert f"Error: {said}" in capsys.readouterr().err


def test_an_interrupt_stops_the_load(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    def start(channel: Any) -> None:
        channel.send({"type": "progress", "progress": 0.5})

    server.on_channel("llm.loadModel", start)
    monkeypatch.setattr("lmstudio_core.program.progress.ProgressBar.__call__", interrupt)
    result = CliRunner().invoke(build(), ["load", "qwen3-4b", "--host", server.api_host])
    assert result.exit_code == 1  # click's; the command itself ends with 130
    server.requests_to("llm.loadModel")[0].wait_for_message("cancel")


def completed(words: str, **environment: str) -> list[str]:
    """What bash gets for a line; the words before the cursor."""
    variables = {
        **os.environ,
        "_LMSTUDIO_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", "from lmstudio_cli import main; main()"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_a_shell_completes_the_names_of_models(server: Any) -> None:
    keys = [downloaded("qwen/qwen3-4b"), EMBEDDING]
    server.on("system.listDownloadedModels", keys)
    server.on("llm.listLoaded", [loaded("one"), loaded("two")])
    server.on("embedding.listLoaded", [])
    server.on("llm.getModelInfo", loaded("two"))
    host = {"LMSTUDIO_API_HOST": server.api_host}
    assert completed("lmstudio load ", **host) == ["qwen/qwen3-4b", "all-minilm"]
    assert completed("lmstudio load qwen3", **host) == ["qwen/qwen3-4b"]
    assert completed("lmstudio chat ", **host) == ["qwen/qwen3-4b"]
    assert completed("lmstudio unload t", **host) == ["two"]


def test_without_a_server_nothing_is_completed_and_none_is_started(tmp_path: Path) -> None:
    nowhere = {"LMSTUDIO_STATE_DIR": str(tmp_path)}
    assert completed("lmstudio load ", **nowhere) == []
    assert list(tmp_path.glob("*.json")) == []
    assert completed("lmstudio load ", LMSTUDIO_API_HOST="127.0.0.1:1") == []


Table = Callable[..., list[str]]


@pytest.fixture
def table_on_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Table:
    """The lines of a table on a terminal of so many columns, without colours."""

    def shown(columns: int, *table: Any) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(*table)
        return [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]

    return shown


def test_a_narrow_terminal_gets_a_table_that_fits(table_on_terminal: Table) -> None:
    lines = table_on_terminal(40, ("NAME", "SIZE"), [("a" * 60, "1 kB"), ("short", "2 kB")])
    assert [len(line) <= 40 for line in lines] == [True] * 3
    assert lines[1] == "a" * 33 + "…  1 kB"


def test_a_narrow_terminal_keeps_what_people_copy(table_on_terminal: Table) -> None:
    lines = table_on_terminal(
        39, ("MODEL", "KIND", "ARCHITECTURE"), [("pocket-embedding", "embedding", "gemma3 tiny")]
    )
    assert lines[1] == "pocket-embedding  embedding  gemma3 ti…"
    lines = table_on_terminal(39, ("MODEL", "KIND"), [("a" * 50, "embedding-" * 4)])
    assert lines[1] == "a" * 28 + "…  embeddi…"
    header = ("MODEL", "KIND", "ARCHITECTURE", "SIZE")
    rows = [("acme/pocket-embedd", "embedding", "gemma3 tiny", "1.08 MB")]
    assert table_on_terminal(39, header, rows)[1] == "acme/pocket-embedd  embedding  1.08 MB"


def test_names_in_wide_characters_or_with_brackets_are_shown_as_they_are(
    table_on_terminal: Table,
) -> None:
    rows = [("千问", "1 kB"), ("[red]x[/red]", "2 kB"), ("a:smile:", "3 kB")]
    assert table_on_terminal(80, ("MODEL", "SIZE"), rows)[1:] == [
        "千问          1 kB",
        "[red]x[/red]  2 kB",
        "a:smile:      3 kB",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of Unix")
def test_a_locale_without_unicode_does_not_break_a_table() -> None:
    code = "from lmstudio_cli.common import print_table as p; p(('A', 'B'), [('a' * 90, 'b')])"
    ours, theirs = os.openpty()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "40"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=theirs, stderr=subprocess.PIPE
    )
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert f"{'a' * 36}…  b" in drawn
