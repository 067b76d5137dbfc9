"""Nothing that servers, models, files or plugins write steers a terminal, whatever prints it."""

from __future__ import annotations

import ast
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import click
import pytest
from cli_scripts import downloaded, loaded
from click.testing import CliRunner

from lmstudio_cli import command, printing
from lmstudio_cli.command import build
from lmstudio_cli.plugins import problem_lines
from lmstudio_cli.printing import Wrapping, echo, print_json
from lmstudio_core.plugins.state import PluginState
from lmstudio_core.program import terminal
from lmstudio_core.program.progress import ProgressBar
from lmstudio_testing import FakeServer, ServerFailure

ROOT = Path(__file__).parents[2]
EVIL = "x\x1b]52;c;ZXZpbA==\x07\x1b]0;title\x07\x1b[2J\x9b2J\x85\u202e\x7f\r\x08"
STEERING = set(EVIL) - {"x"} - set("]52;c;ZXZpbA==0titleJ[")


def is_safe(text: str) -> bool:
    return not STEERING & set(text)


@pytest.fixture
def evil(server: FakeServer) -> FakeServer:
    quant = {"name": EVIL, "bits": 4}
    fields = {"architecture": EVIL, "quantization": quant, "paramsString": EVIL}
    fields |= {"deviceIdentifier": EVIL}
    server.on("system.listDownloadedModels", [downloaded(f"{EVIL}/a", **fields)])
    server.on("system.listDownloadedModelVariants", [downloaded(f"{EVIL}/a", **fields)])
    server.on("llm.listLoaded", [loaded(EVIL, EVIL, **fields)])
    server.on("embedding.listLoaded", [])
    server.on("llm.getInstanceProcessingState", {"status": EVIL, "queued": 0})
    server.on("system.version", {"version": EVIL, "build": 1})
    server.on("runtime.listEngines", [{"name": EVIL, "version": EVIL, "engine": EVIL}])
    server.on("runtime.getEngineSelections", {})
    name = {"type": "catalog", "identifier": EVIL}
    server.on("repository.searchModels", {"results": [{"name": EVIL, "identifier": name}]})
    option = {"name": EVIL, "quantization": EVIL, "sizeBytes": 1, "fitEstimation": EVIL}
    option |= {"downloadIdentifier": "d", "indexedModelIdentifier": "i", "compatibilityType": EVIL}
    server.on("repository.getModelDownloadOptions", {"results": [option]})
    server.on_channel("repository.downloadModel", [{"type": "success", "defaultIdentifier": EVIL}])
    entry = {"type": "server.log", "level": EVIL, "content": f"{EVIL}\n{EVIL}"}
    server.on_channel(
        "diagnostics.streamLogs", [{"type": "log", "log": {"timestamp": 1000, "data": entry}}]
    )
    server.llm("model").respond(EVIL, times=4)
    return server


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        ("ls",),
        ("ls", "a"),
        ("ps",),
        ("version",),
        ("log", "--limit", "1"),
        ("runtime", "ls"),
        ("get", "x"),
        ("get", "x", "--list"),
    ],
    ids=" ".join,
)
def test_what_servers_say(evil: FakeServer, arguments: tuple[str, ...], as_json: bool) -> None:
    command_line = [*arguments, "--host", evil.api_host, *(["--json"] if as_json else [])]
    done = CliRunner().invoke(build(), command_line)
    assert is_safe(done.output), done.output
    assert "x\\" in done.output or arguments == ("version",), done.output
    if as_json:
        for line in done.stdout.splitlines() if arguments[0] == "log" else [done.stdout]:
            json.loads(line)


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str]:
    """Exit code of the real entry point, and all that it printed."""
    with pytest.raises(SystemExit) as caught:
        command.run([*arguments])
    printed = capsys.readouterr()
    return caught.value.code, printed.out + printed.err


@pytest.mark.parametrize(
    "arguments", [("chat", "-p", "hi"), ("complete", "hi"), ("agent", "hi")], ids=" ".join
)
def test_what_models_say(
    evil: FakeServer,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    code, shown = ended(capsys, *arguments, "-m", "model", "--host", evil.api_host)
    assert code == 0, shown
    assert is_safe(shown)
    assert "x\\x1b]52;c;" in shown


@pytest.mark.parametrize("arguments", [("ps",), ("chat", "-p", "hi"), ("load", "a")], ids=" ".join)
def test_errors(
    evil: FakeServer,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    evil.on("llm.listLoaded", ServerFailure(EVIL, cause=EVIL, suggestion=EVIL))
    evil.on_channel("llm.loadModel", lambda channel: channel.fail(ServerFailure(EVIL)))
    code, shown = ended(capsys, *arguments, "--host", evil.api_host)
    assert code == 1
    assert is_safe(shown)
    assert "\\x1b[2J" in shown


@pytest.mark.parametrize(
    "raised",
    [click.UsageError(EVIL), click.ClickException(EVIL), OSError(EVIL), ZeroDivisionError(EVIL)],
    ids=lambda raised: type(raised).__name__,
)
def test_whatever_a_command_raises(capsys: pytest.CaptureFixture[str], raised: Exception) -> None:
    def function() -> None:
        raise raised

    with pytest.raises(SystemExit):
        command.end_with(click.Command("toys", callback=function), [], "toys")
    shown = capsys.readouterr().err
    assert is_safe(shown)
    assert "Error: " in shown
    assert "Traceback" not in shown


def test_an_unknown_mistake_is_whole_for_whoever_looks_for_it(monkeypatch: Any) -> None:
    def function() -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("LMSTUDIO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        command.end_with(click.Command("toys", callback=function), [], "toys")


def test_plugins() -> None:
    state = PluginState(EVIL, "hooks", EVIL, EVIL, "failed", f"{EVIL}\n{EVIL}", value=EVIL)
    for text, style in problem_lines([state]):
        assert is_safe(printed(text, **style))


def printed(text: str, **style: Any) -> str:
    @click.command()
    def show() -> None:
        echo(text, **style)

    return CliRunner().invoke(show).output


def test_a_plugin_that_raises_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    handler = printing._LastResort(logging.WARNING)
    try:
        raise ZeroDivisionError(EVIL)
    except ZeroDivisionError:
        record = logging.LogRecord(
            "lmstudio", logging.WARNING, "f", 1, "the plugin %s failed", (EVIL,), None
        )
        record.exc_info = sys.exc_info()
    handler.emit(record)
    shown = capsys.readouterr().err
    assert shown.startswith("Warning: the plugin x\\x1b]52")
    assert "failed: ZeroDivisionError: x\\x1b" in shown
    assert shown.count("\n") == 1
    assert is_safe(shown)


def test_warnings(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    printing.say_warnings()
    warnings.showwarning(UserWarning(EVIL), UserWarning, "file.py", 1)
    shown = capsys.readouterr().err
    assert shown.startswith("Warning: x\\x1b")
    assert is_safe(shown)


class Tty:
    """A file that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


def test_progress(monkeypatch: Any) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    file: Any = Tty()
    ProgressBar(f"Loading {EVIL}\nnext", file=file)(1.0)
    assert is_safe(file.text.replace("\r", "", 1))
    assert "\n" not in file.text
    monkeypatch.setenv("TERM", "dumb")
    file = Tty()
    ProgressBar("Loading", file=file)(1.0)
    assert file.text == ""


def test_json_is_safe_and_says_the_same() -> None:
    @click.command()
    def show() -> None:
        print_json({"key": EVIL, "text": "Grüße\ud800"})

    shown = CliRunner().invoke(show).stdout
    assert is_safe(shown)
    assert "Grüße" in shown
    assert json.loads(shown) == {"key": EVIL, "text": "Grüße\ud800"}


def test_what_is_harmless_stays() -> None:
    text = "Tab\tand\nlines, ünïcödé, 日本語, 👩\u200d👩\u200d👧, עברית"
    assert terminal.visible(text) == text
    assert terminal.one_line("a\tb\nc") == "a\\tb\\nc"


# -- the one way -----------------------------------------------------------------------------------

OUTSIDE = [
    path
    for pattern in ("*/cli.py", "*/cli/*.py", "*/commands/*.py", "*/fetch/command.py")
    for path in sorted((ROOT / "packages").glob(f"*/src/{pattern}"))
    if path.name not in ("printing.py", "tables.py")
]


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_command_prints_through_the_shared_part(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in {
                ("click", "echo"),
                ("click", "secho"),
                ("click", "style"),
                ("click", "progressbar"),
            }, node.lineno
        assert not (isinstance(node, ast.Name) and node.id == "print"), ast.dump(node)


# -- words at the edge -----------------------------------------------------------------------------


def wrapped(*pieces: str, columns: int = 10) -> str:
    wrapping = Wrapping(lambda: columns)
    return "".join([*map(wrapping.feed, pieces), wrapping.end()])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("one two three", "one two\nthree"),
        ("exactly ten", "exactly\nten"),
        ("exactly te", "exactly te"),
        ("a\n    b cdefg", "a\n    b\ncdefg"),
        ("averyverylongword x", "averyverylongword x"),
        ("averyverylongword and", "averyverylongword\nand"),
        ("0123456789  x", "0123456789\nx"),
        ("日本語日本語日本語", "日本語日本\n語日本語"),
        ("one  two\n\nthree", "one  two\n\nthree"),
        ("trailing  \nnext", "trailing\nnext"),
        ("\tx abc", "\tx\nabc"),
        ("", ""),
    ],
)
def test_words_are_kept_whole(text: str, shown: str) -> None:
    assert wrapped(text) == shown
    assert wrapped(*text) == shown, "however it comes in pieces"


def test_a_word_is_shown_when_it_fills_a_line() -> None:
    wrapping = Wrapping(lambda: 5)
    assert wrapping.feed("abc") == ""
    assert wrapping.feed("de") == "abcde"


# -- help ------------------------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> Any:
    context = click.Context(group)
    yield path, group
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)


@pytest.mark.parametrize("path", [path for path, _ in commands(build())], ids=" ".join)
def test_help_shows_whole_sentences_on_one_line(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(build(), [*path, "--help"], terminal_width=80).stdout
    listed = shown.partition("Commands:\n")[2].rstrip("\n").split("\n")
    assert len(listed) >= 1
    for line in listed:
        assert line[2] != " ", f"{line!r} goes on"
        assert line.endswith("."), line
        assert not line.endswith("..."), line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plgins",), "Did you mean 'plugins'?"),
        (("runtime", "lst"), "There is no command 'lst'."),
        (("server", "statsu"), "Did you mean 'status'?"),
        (("plugin", "nwe"), "Did you mean 'new'?"),
        (("frobnicate",), "lmstudio --help lists them"),
        (("ls", "--knd", "llm"), "--kind"),
        (("chat", "--modle", "x"), "--model"),
    ],
)
def test_mistakes_have_a_likeness(arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(build(), arguments, prog_name="lmstudio")
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("name", ["agent", "chat", "complete", "embed", "similar"])
def test_every_command_names_its_model_in_the_same_way(name: str) -> None:
    group = build()
    found = group.get_command(click.Context(group), name)
    assert found is not None
    (option,) = [p for p in found.params if "--model" in p.opts]
    assert option.opts == ["-m", "--model"]
