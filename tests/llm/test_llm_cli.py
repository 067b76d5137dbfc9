"""``lmstudio chat`` and ``lmstudio complete`` against a scripted server."""

from __future__ import annotations

import builtins
from typing import Any

import click
import pytest
from click.testing import CliRunner
from llm_scripts import HELLO, INFO, fragment, success

from lmstudio_cli.printing import AnswerPrinter
from lmstudio_core.config import kv_values
from lmstudio_llm import cli
from lmstudio_testing import FakeServer, ServerFailure


def invoke(server: FakeServer, *args: str, stdin: str | bytes | None = None) -> Any:
    group = click.Group()
    group.add_command(cli.chat)
    group.add_command(cli.complete)
    host = ["--host", server.api_host]
    return CliRunner().invoke(group, [*args, *host], input=stdin)


@pytest.fixture
def loaded(server: FakeServer) -> FakeServer:
    server.on("llm.listLoaded", [INFO])
    server.on("llm.getModelInfo", INFO)
    server.on_channel("llm.getOrLoad", [{"type": "alreadyLoaded", "info": INFO}])
    server.on_channel("llm.predict", HELLO)
    server.on_channel("llm.completeRawText", HELLO)
    return server


def asked(server: FakeServer, endpoint: str = "llm.predict") -> Any:
    return server.requests_to(endpoint)[-1].parameter


def test_one_shot(loaded: FakeServer) -> None:
    done = invoke(loaded, "chat", "-p", "hi", "--system", "Be brief.")
    assert done.exit_code == 0
    assert done.stdout == "Hello\n"
    assert done.stderr == "Model: scripted (loaded)\n"
    roles = [message["role"] for message in asked(loaded)["history"]["messages"]]
    assert roles == ["system", "user"]


def test_piped(loaded: FakeServer) -> None:
    assert invoke(loaded, "chat", "scripted", stdin="hi\n").stdout == "Hello\n"
    empty = invoke(loaded, "chat", stdin=" ")
    assert empty.exit_code == 2
    assert "piped in holds no text" in empty.stderr


def test_complete(loaded: FakeServer) -> None:
    assert invoke(loaded, "complete", "Once").stdout == "Hello\n"
    assert asked(loaded, "llm.completeRawText")["rawPrompt"] == "Once"
    for stdin, *arguments in (["Twice"], ["Twice", "-"], ["Twice", "-", "-m", "scripted"]):
        assert invoke(loaded, "complete", *arguments, stdin=stdin).stdout == "Hello\n"
        assert asked(loaded, "llm.completeRawText")["rawPrompt"] == "Twice"
    assert invoke(loaded, "complete", "Once", stdin="more").exit_code == 0
    assert asked(loaded, "llm.completeRawText")["rawPrompt"] == "Once\n\nmore"
    assert invoke(loaded, "complete", stdin="").exit_code == 2
    assert invoke(loaded, "complete", "scripted", "Once").stderr == ""  # the model is named
    assert asked(loaded, "llm.completeRawText")["rawPrompt"] == "Once"
    assert invoke(loaded, "complete", "one", "Once", "-m", "two").exit_code == 2
    assert "put it in quotes" in invoke(loaded, "complete", "Once", "upon", "a").stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("-p", "Summarize:"), "a document\n", "Summarize:\n\na document\n"),
        (("-p", "Summarize:"), "", "Summarize:"),
        (("-p", "Summarize:"), "\n \n", "Summarize:"),
        (("-p", "-"), "a document\r\n", "a document\n"),
        ((), "\ufeffa document", "a document"),
    ],
)
def test_what_is_piped_in_follows_the_prompt(
    loaded: FakeServer, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    assert invoke(loaded, "chat", *arguments, stdin=stdin).exit_code == 0
    (message,) = asked(loaded)["history"]["messages"]
    assert message["content"][0]["text"] == said


def test_what_is_piped_in_is_text(loaded: FakeServer) -> None:
    done = invoke(loaded, "chat", "-p", "Hi", stdin=b"caf\xe9")
    assert done.exit_code == 1
    assert "not UTF-8 (unexpected end of data at byte 3)" in done.stderr


def test_both_ways_to_name_a_model(loaded: FakeServer) -> None:
    for names in (["scripted"], ["-m", "scripted"], ["scripted", "--model", "scripted"]):
        assert invoke(loaded, "chat", "-p", "hi", *names).stdout == "Hello\n"
    assert invoke(loaded, "chat", "-p", "hi", "one", "-m", "two").exit_code == 2


def test_an_answer_does_not_steer_the_terminal(loaded: FakeServer) -> None:
    steering = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b2J\u202e"
    loaded.on_channel("llm.predict", [fragment(f"a{steering}\r"), fragment("\nb"), success()])
    done = invoke(loaded, "chat", "-p", "hi")
    assert done.stdout == "a\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\x9b2J\\u202e\nb\n"


def test_thoughts_and_markers_are_not_printed(loaded: FakeServer) -> None:
    loaded.on_channel(
        "llm.predict",
        [fragment("hm", "reasoning"), fragment("<|x|>", "none", True), fragment("Yes"), success()],
    )
    assert invoke(loaded, "chat", "-p", "hi").stdout == "Yes\n"


def test_without_a_loaded_model_the_first_downloaded_is_taken(loaded: FakeServer) -> None:
    loaded.on("llm.listLoaded", [])
    loaded.on("system.listDownloadedModels", [INFO])
    done = invoke(loaded, "chat", "-p", "hi")
    assert done.stdout == "Hello\n"
    assert done.stderr == "Model: scripted (the only one downloaded)\n"
    loaded.on("system.listDownloadedModels", [INFO, INFO])
    assert "the first of 2 downloaded" in invoke(loaded, "chat", "-p", "hi").stderr
    loaded.on("system.listDownloadedModels", [{"type": "embedding"}])
    assert "no language model" in str(invoke(loaded, "chat", "-p", "hi").exception)


class Terminal:
    """What a person types: lines, or an interruption."""

    def __init__(self, *lines: str | BaseException) -> None:
        self.lines = list(lines)

    def __call__(self, prompt: str = "") -> str:
        line = self.lines.pop(0) if self.lines else EOFError()
        if isinstance(line, BaseException):
            raise line
        return line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*lines: str | BaseException) -> None:
        monkeypatch.setattr(cli, "is_terminal", lambda _: True)
        monkeypatch.setattr(builtins, "input", Terminal(*lines))

    return use


def test_a_conversation(loaded: FakeServer, terminal: Any) -> None:
    terminal("hi", " ", "and?")
    done = invoke(loaded, "chat", "scripted")
    assert done.exit_code == 0
    assert done.stdout == "Hello\nHello\n"
    texts = [m["content"][0]["text"] for m in asked(loaded)["history"]["messages"]]
    assert texts == ["hi", "Hello", "and?"]
    assert kv_values(asked(loaded)["predictionConfigStack"]["layers"][0]["config"]) == {}


def test_ctrl_c_at_the_prompt_drops_the_line_and_says_how_to_end(
    loaded: FakeServer, terminal: Any
) -> None:
    terminal(KeyboardInterrupt(), "hi")
    done = invoke(loaded, "chat", "scripted")
    assert done.exit_code == 0
    assert done.stdout == "Hello\n"
    assert done.stderr.count("Ctrl-D ends") == 2


def test_ctrl_c_stops_an_answer_and_keeps_it(
    loaded: FakeServer, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal("hi", "and?")
    real, interrupts = AnswerPrinter.write, [KeyboardInterrupt()]

    def write(printer: AnswerPrinter, text: str, **style: Any) -> None:
        if text == "lo" and interrupts:
            raise interrupts.pop()
        real(printer, text, **style)

    monkeypatch.setattr(AnswerPrinter, "write", write)
    done = invoke(loaded, "chat", "scripted")
    assert "[stopped]" in done.stderr
    assert done.stdout == "Hel\nHello\n"
    texts = [m["content"][0]["text"] for m in asked(loaded)["history"]["messages"]]
    assert texts == ["hi", "Hel", "and?"]


def test_an_error_does_not_end_the_conversation(loaded: FakeServer, terminal: Any) -> None:
    terminal("hi", "and?")
    answers: list[Any] = [ServerFailure("Out of memory")]

    def script(channel: Any) -> None:
        if answers:
            channel.fail(answers.pop())
            return
        channel.send(*HELLO)
        channel.close()

    loaded.on_channel("llm.predict", script)
    done = invoke(loaded, "chat", "scripted")
    assert "Out of memory" in done.stderr
    assert done.stdout == "Hello\n"
    assert len(asked(loaded)["history"]["messages"]) == 1


def test_commands_are_not_sent_to_the_model(loaded: FakeServer, terminal: Any) -> None:
    terminal(
        "/help", "/helo", "hi", "/clear", "/etc/passwd is a file", " /help", "/a\n/b", "/exit", "no"
    )
    done = invoke(loaded, "chat", "scripted", "--system", "Be brief.")
    assert done.exit_code == 0
    assert done.stderr.count("/clear") == 2
    assert "There is no command /helo." in done.stderr
    texts = [m["content"][0]["text"] for m in asked(loaded)["history"]["messages"]]
    sent = ["/etc/passwd is a file", " /help", "/a\n/b"]
    assert [text for text in texts if text != "Hello"] == ["Be brief.", *sent]
