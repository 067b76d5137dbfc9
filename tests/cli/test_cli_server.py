"""``lmstudio version``, ``log``, ``runtime`` and ``completion``; the bar; the whole command."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_scripts import lines, run, run_json
from click.testing import CliRunner

import lmstudio_core as lms
from lmstudio_cli.command import build
from lmstudio_core.program.progress import ProgressBar, size_text
from lmstudio_testing import FakeServer

ENGINE = {
    "name": "llama.cpp-x86_64",
    "version": "1.50.0",
    "engine": "llama.cpp",
    "platform": "linux",
    "cpu": {"architecture": "x86_64"},
    "supportedModelFormatNames": ["GGUF"],
}


# -- version -------------------------------------------------------------------------------------


def test_version(server: Any) -> None:
    server.on("system.version", {"version": "0.4.0", "build": 7})
    assert run(server, "version").stdout == lines(f"""
        lmstudio {lms.__version__}
        server 0.4.0 (build 7) at {server.api_host}
    """)
    expected = {"host": server.api_host, "version": "0.4.0", "build": 7}
    assert run_json(server, "version") == {"lmstudio": lms.__version__, "server": expected}


@pytest.mark.parametrize("variable", ["LMSTUDIO_API_HOST", "LM_API_TOKEN"])
def test_a_wrong_variable_is_not_taken_for_no_server(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "nonsense")
    done = lmstudio("version")
    assert done.returncode == 2
    assert variable in done.stderr


def test_version_without_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LMSTUDIO_STATE_DIR", str(tmp_path))  # one may run on this machine
    monkeypatch.setattr(lms.Client, "find_default_local_api_host", classmethod(lambda _: None))
    done = CliRunner().invoke(build(), ["version"])
    assert done.exit_code == 0
    assert done.stdout.endswith("No LM Studio server is running.\n")
    done = CliRunner().invoke(build(), ["version", "--json"])
    assert json.loads(done.stdout)["server"] is None


# -- log -----------------------------------------------------------------------------------------

LOG = [
    {"type": "server.log", "level": "info", "content": "Listening\non port 1"},
    {"type": "llm.prediction.output", "output": "Hi", "modelIdentifier": "m"},
]
PACKETS = [{"type": "log", "log": {"timestamp": 1000, "data": data}} for data in LOG]


def test_log(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on_channel("diagnostics.streamLogs", PACKETS)
    shown = run(server, "log").stdout.splitlines()
    assert [line.partition(" ")[2] for line in shown[::2]] == [
        "info server.log: Listening",
        "llm.prediction.output m: Hi",
    ]
    assert shown[1] == "    on port 1"


def test_log_as_json_is_one_event_a_line(server: Any) -> None:
    server.on_channel("diagnostics.streamLogs", PACKETS)
    events = [json.loads(line) for line in run(server, "log", "--json").stdout.splitlines()]
    assert [event["data"] for event in events] == LOG


def test_log_ends_after_so_many(server: Any) -> None:
    server.on_channel("diagnostics.streamLogs", lambda channel: channel.send(*PACKETS))
    assert len(run(server, "log", "--limit", "1", "--json").stdout.splitlines()) == 1
    server.requests[0].wait_for_message("stop")


def test_an_interrupt_is_how_the_log_ends(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    server.on_channel("diagnostics.streamLogs", lambda channel: None)
    monkeypatch.setattr("lmstudio_core.manage.diagnostics.LogStream.__next__", interrupt)
    assert run(server, "log").stdout == ""
    server.wait_for_request("diagnostics.streamLogs").wait_for_message("stop")


# -- runtime -------------------------------------------------------------------------------------


def test_engines(server: Any) -> None:
    server.on("runtime.listEngines", [ENGINE, {**ENGINE, "version": "1.49.0"}])
    pairs = [["GGUF", {"name": "llama.cpp-x86_64", "version": "1.50.0"}]]
    server.on("runtime.getEngineSelections", {"json": pairs, "meta": {"values": ["map"]}})
    assert run(server, "runtime", "ls").stdout == lines("""
        ENGINE                   KIND       FORMATS  SELECTED FOR
        llama.cpp-x86_64@1.50.0  llama.cpp  GGUF     GGUF
        llama.cpp-x86_64@1.49.0  llama.cpp  GGUF
    """)
    found = run_json(server, "runtime", "ls")
    assert [engine["selectedFor"] for engine in found] == [["GGUF"], []]


def test_engines_are_selected_removed_and_downloaded(server: Any) -> None:
    server.on("runtime.selectEngine")
    server.on("runtime.removeEngine")
    server.on_channel("runtime.downloadRuntimeExtension", [{"type": "success"}])
    assert run(server, "runtime", "select", "e@1").stdout == "e@1 runs GGUF models now.\n"
    assert run(server, "runtime", "remove", "e@1").stdout == "e@1 is removed.\n"
    assert run(server, "runtime", "get", "e@1").stdout == "e@1 is installed.\n"
    assert run_json(server, "runtime", "get", "e@1", "--keep-selections") == {"installed": "e@1"}
    assert [request.parameter for request in server.requests][2:] == [
        {"name": "e", "version": "1", "updateSelections": True},
        {"name": "e", "version": "1", "updateSelections": False},
    ]
    assert "NAME@VERSION" in run(server, "runtime", "select", "e", code=2).stderr


def test_extensions_are_searched(server: Any) -> None:
    extension = {**ENGINE, "type": "engine", "package": "p", "localVersions": ["1.50.0"]}
    server.on("runtime.searchRuntimeExtensions", {"extensions": [extension]})
    assert run(server, "runtime", "search", "llama").stdout == lines("""
        ENGINE                   TYPE    FORMATS  INSTALLED
        llama.cpp-x86_64@1.50.0  engine  GGUF     1.50.0
    """)
    assert run_json(server, "runtime", "search")[0]["localVersions"] == ["1.50.0"]
    server.on("runtime.searchRuntimeExtensions", {"extensions": []})
    assert "No engine" in run(server, "runtime", "search", "zzz").stdout
    assert run_json(server, "runtime", "search", "zzz") == []


def test_the_machine_is_shown(server: Any) -> None:
    hardware = {
        "gpuSurveyResult": {
            "gpuInfo": [
                {"name": "Card", "totalMemoryCapacityBytes": 8e9, "detectionPlatform": "CUDA"}
            ]
        },
        "cpuSurveyResult": {
            "cpuInfo": {
                "name": "Chip",
                "architecture": "x86_64",
                "supportedInstructionSetExtensions": ["AVX2"],
            }
        },
    }
    engine = {
        **ENGINE,
        "compatibility": {"status": "compatible"},
        "hardwareSurvey": hardware,
        "memoryInfo": {"ramCapacity": 16e9, "vramCapacity": 8e9, "totalMemory": 24e9},
    }
    server.on("runtime.surveyHardware", {"status": "ok", "engines": [engine]})
    shown = run(server, "runtime", "survey", "--all").stdout
    assert shown.splitlines() == [
        "llama.cpp-x86_64@1.50.0: compatible",
        "  processor: Chip, x86_64 AVX2",
        "  graphics: Card, 8.00 GB, CUDA",
        "  memory: 16.0 GB, graphics 8.00 GB",
    ]
    assert run_json(server, "runtime", "survey")["status"] == "ok"


# -- completion and exit codes -------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = CliRunner().invoke(build(), ["completion", shell])
    assert done.exit_code == 0
    assert "_LMSTUDIO_COMPLETE" in done.stdout


def test_completion_of_a_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "_LMSTUDIO_COMPLETE": "bash_complete",
        "COMP_WORDS": "lmstudio runtime s",
        "COMP_CWORD": "2",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code = "from lmstudio_cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,search", "plain,select", "plain,survey"]


def lmstudio(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from lmstudio_cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_exit_codes_of_the_command_itself() -> None:
    with FakeServer() as server:
        server.on("system.listDownloadedModels", [])
        server.on("llm.listLoaded", [])
        server.on("embedding.listLoaded", [])
        host = ("--host", server.api_host)
        assert lmstudio("ls", *host).returncode == 0
        assert lmstudio("runtime", "ls", *host).returncode == 1
        assert lmstudio("ls", "--nothing").returncode == 2
        assert lmstudio("load", "m", *host).returncode == 4
    gone = lmstudio("ls", *host)
    assert gone.returncode == 3
    assert gone.stderr.startswith("Error: ")
    assert "Traceback" not in gone.stderr


# -- the bar -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    clock = iter(range(100))
    monkeypatch.setattr("lmstudio_core.program.progress.time.monotonic", lambda: next(clock))
    screen = Terminal()
    with ProgressBar("Loading", file=screen) as bar:
        bar(0.0)
        bar(0.5)
        bar(1.0)
    drawn = screen.getvalue().split("\r")[1:]
    assert drawn[1] == "Loading [############............]  50%"
    assert drawn[2] == "Loading [########################] 100%"
    assert drawn[3].strip() == drawn[4] == ""


def test_a_bar_for_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen = Terminal()
    bar = ProgressBar(file=screen)
    update = {"downloadedBytes": 5e8, "totalBytes": 2e9, "speedBytesPerSecond": 1e7}
    bar(lms.DownloadProgressUpdate.from_dict(update))
    assert screen.getvalue().endswith(" 25%  500 MB of 2.00 GB, 10.0 MB/s")
    bar(lms.DownloadProgressUpdate())  # too soon after the other: not drawn
    assert screen.getvalue().count("\r") == 1


def test_no_bar_where_nobody_looks() -> None:
    file = io.StringIO()
    with ProgressBar("Loading", file=file) as bar:
        bar(0.5)
    assert file.getvalue() == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (46_000_000, "46.0 MB"),
        (999_600_000, "1.00 GB"),
        (3.2e15, "3200 TB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert size_text(size) == text


def test_a_notebook_shows_the_bar_too() -> None:
    class OutStream(io.StringIO):
        __module__ = "ipykernel.iostream"

    screen = OutStream()
    with ProgressBar("Loading", file=screen) as bar:
        bar(0.5)
    assert "50%" in screen.getvalue()
