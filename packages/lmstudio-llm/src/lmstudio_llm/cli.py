"""``lmstudio chat`` and ``lmstudio complete``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from lmstudio_cli import (
    AnswerPrinter,
    LineReader,
    choose_model,
    connection_options,
    echo,
    given_text,
    model_option,
    say,
)
from lmstudio_core.errors import LMStudioError
from lmstudio_core.program.terminal import is_terminal

if TYPE_CHECKING:
    from lmstudio_core.client import Client

    from .chat import Chat
    from .models import LLM
    from .streams import PredictionStream

__all__ = ["chat", "complete"]

_KEYS: Final = "/help lists commands; Ctrl-C stops an answer, Ctrl-D ends."

_HELP: Final = """\
/help    this list
/clear   forget what was said
/exit    end, as Ctrl-D does
Ctrl-C stops an answer. Text that is pasted may have several lines. \
A message that begins with a slash needs a blank before it."""


_NO_TEXT: Final = (
    "There is nothing to answer: what was piped in holds no text. Pipe some in, or give it by -p."
)


@click.command()
@click.argument("model_key", metavar="[MODEL]", required=False)
@model_option
@click.option("-p", "--prompt", help="Ask this, print the answer, and end; - reads the input.")
@click.option("--system", help="Instructions for the model.")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="OWNER/NAME",
    help="An LM Studio plugin that takes part; may be repeated. For the bundled server.",
)
@connection_options
def chat(
    model_key: str | None,
    model: str | None,
    prompt: str | None,
    system: str | None,
    plugins: tuple[str, ...],
    host: str | None,
    api_token: str | None,
) -> None:
    """Talk to a model.

    MODEL is the same as --model. Ctrl-C stops an answer, Ctrl-D ends. With -p, or with text piped
    in, one answer is printed; with both, the text follows the prompt.
    """
    from .chat import Chat

    model = _one_model(model_key, model)
    talks = prompt is None and is_terminal(sys.stdin)
    question = None if talks else given_text(prompt, _NO_TEXT)
    with _client(host, api_token) as client:
        llm: LLM = choose_model(client.llm, "llm", model)
        if question is None:
            _Conversation(client, llm, system, plugins).run()
            return
        conversation = Chat(system)
        conversation.add_user_message(question)
        for _ in _answered(client, llm, conversation, plugins):
            pass


@click.command()
@click.argument("words", nargs=-1, metavar="[MODEL] [TEXT]")
@model_option
@connection_options
def complete(
    words: tuple[str, ...], model: str | None, host: str | None, api_token: str | None
) -> None:
    """Let a model continue a text.

    TEXT is continued as it is, without any chat template; with text piped in, that follows it, and
    - reads the input alone. MODEL before it is the same as --model.
    """
    if len(words) > 2:
        raise click.UsageError("TEXT is one argument: put it in quotes.")
    *before, text = words or (None,)
    model = _one_model(before[0] if before else None, model)
    prompt = given_text(text, "There is no text to continue: give TEXT, or pipe some in.")
    with _client(host, api_token) as client:
        llm: LLM = choose_model(client.llm, "llm", model)
        for _ in _printed(llm.complete_stream(prompt)):
            pass


def _one_model(argument: str | None, option: str | None) -> str | None:
    if None not in (argument, option) and argument != option:
        raise click.UsageError(f"MODEL ({argument}) and --model ({option}) are two models.")
    return argument or option


def _client(host: str | None, api_token: str | None) -> Client:
    from lmstudio_core.client import Client

    return Client(host, api_token)


class _Conversation:
    """Questions and answers at a prompt, until the input ends."""

    def __init__(
        self, client: Client, llm: LLM, system: str | None, plugins: tuple[str, ...]
    ) -> None:
        self._client = client
        self._plugins = plugins
        self._llm = llm
        self._system = system
        self._ended = False
        self._forget()

    def _forget(self) -> None:
        from .chat import Chat

        self._chat = Chat(self._system)

    def run(self) -> None:
        """Read, answer, and again."""
        read = LineReader()
        say(_KEYS)
        while not self._ended:
            try:
                question = read("> ")
            except EOFError:
                echo(err=True)
                return
            except KeyboardInterrupt:  # drops the line, as a shell does
                say("\n" + _KEYS)
                continue
            if _is_command(question):
                self._obey(question.split()[0])
            elif question.strip():
                self._turn(question)

    def _obey(self, command: str) -> None:
        if command in ("/exit", "/quit", "/bye"):
            self._ended = True
        elif command == "/clear":
            self._forget()
            echo("What was said is forgotten.", err=True)
        else:
            unknown = "" if command in ("/help", "/?") else f"There is no command {command}.\n"
            say(f"{unknown}{_HELP}")

    def _turn(self, question: str) -> None:
        """One question and its answer; what was said before Ctrl-C or an error stays in the chat."""
        self._chat.add_user_message(question)
        answer: list[str] = []
        try:
            answer.extend(_answered(self._client, self._llm, self._chat, self._plugins))
        except KeyboardInterrupt:
            echo("[stopped]", err=True)
        except LMStudioError as error:
            echo(f"Error: {error}", err=True)
        if answer:
            self._chat.add_assistant_response("".join(answer))
        else:
            self._chat.pop()


def _is_command(line: str) -> bool:
    """Whether it is for the program: one line that begins with a slash and a word, and is no path."""
    first = line.split(maxsplit=1)[0] if line.startswith("/") else ""
    return "\n" not in line.strip() and len(first) > 1 and "/" not in first[1:]


def _answered(
    client: Client, llm: LLM, conversation: Chat, plugins: tuple[str, ...]
) -> Iterator[str]:
    """Print the answer to a chat as it comes; with plugins by the server that asks them."""
    if not plugins:
        return _printed(llm.respond_stream(conversation))
    from .plugin_chats import printed_with_plugins

    return printed_with_plugins(client, llm.identifier, conversation, plugins)


def _printed(stream: PredictionStream[Any]) -> Iterator[str]:
    """Print an answer as it comes, and a model's thoughts, dimmed, on a terminal alone."""
    thoughts = is_terminal(sys.stdout)
    printer = AnswerPrinter()
    try:
        with stream:
            for fragment in stream:
                if fragment.is_structural:
                    continue
                if fragment.reasoning_type == "none":
                    printer.write(fragment.content)
                    yield fragment.content
                elif thoughts and fragment.reasoning_type == "reasoning":
                    printer.write(fragment.content, dim=True)
    finally:
        printer.end()
