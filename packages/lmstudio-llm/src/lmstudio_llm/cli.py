"""``lmstudio chat`` and ``lmstudio complete``."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from lmstudio_core.cli.common import get_model, network_options
from lmstudio_core.errors import LMStudioError, LMStudioModelNotFoundError

if TYPE_CHECKING:
    from lmstudio_core.client import Client

    from .chat import Chat
    from .models import LLM
    from .streams import PredictionStream

__all__ = ["chat", "complete"]

_F = TypeVar("_F", bound=Callable[..., Any])

_KEYS: Final = "Ctrl-C stops an answer, Ctrl-D ends."


def _connection_options(command: _F) -> _F:
    """``--host`` and ``--api-token``, and how the server is reached."""
    command = network_options(command)
    command = click.option("--api-token", help="The server's API token.")(command)
    return click.option("--host", help="host:port of the server; a local one by default.")(command)


@click.command()
@click.argument("model", required=False)
@click.option("-p", "--prompt", help="Ask this, print the answer, and end.")
@click.option("--system", help="Instructions for the model.")
@_connection_options
def chat(
    model: str | None,
    prompt: str | None,
    system: str | None,
    host: str | None,
    api_token: str | None,
) -> None:
    """Talk to MODEL, or to the one that is there.

    Ctrl-C stops an answer, Ctrl-D ends. With -p, or with text piped in, one answer is printed.
    """
    from .chat import Chat

    question = prompt if prompt is not None else _piped()
    conversation = Chat(system)
    if question is not None:
        conversation.add_user_message(question)
    with _client(host, api_token) as client:
        llm = _model(client, model)
        if question is None:
            _converse(llm, conversation)
        else:
            for _ in _echoed(llm.respond_stream(conversation)):
                pass


@click.command()
@click.argument("model")
@click.argument("text", required=False)
@_connection_options
def complete(model: str, text: str | None, host: str | None, api_token: str | None) -> None:
    """Let MODEL continue TEXT (or the text piped in), without any chat template."""
    prompt = text if text is not None else _piped()
    if prompt is None:
        raise click.UsageError("There is no text to continue: give TEXT, or pipe it in.")
    with _client(host, api_token) as client:
        for _ in _echoed(_model(client, model).complete_stream(prompt)):
            pass


def _client(host: str | None, api_token: str | None) -> Client:
    from lmstudio_core.client import Client

    return Client(host, api_token)


def _piped() -> str | None:
    """The text on standard input, unless that is a terminal."""
    if sys.stdin.isatty():
        return None
    text = sys.stdin.read()
    if not text.strip():
        raise click.UsageError(
            "What was piped in holds no text. Pipe some in, or give it as an argument (see --help)."
        )
    return text


def _model(client: Client, key: str | None) -> LLM:
    """The model named, else a loaded one, else the first that is downloaded."""
    if key is not None:
        return cast("LLM", get_model(client.llm, key))
    loaded = client.llm.list_loaded()
    if loaded:
        click.echo(f"Model: {loaded[0].identifier} (loaded)", err=True)
        return loaded[0]
    downloaded = client.llm.list_downloaded()
    if not downloaded:
        raise LMStudioModelNotFoundError(
            "The server has no language model; download one in LM Studio, or with 'lms get'."
        )
    found = downloaded[0].model_key
    which = "the only one downloaded" if len(downloaded) == 1 else "the first of those downloaded"
    click.echo(f"Model: {found} ({which})", err=True)
    return cast("LLM", get_model(client.llm, found))


def _converse(llm: LLM, conversation: Chat) -> None:
    with contextlib.suppress(ImportError):  # Windows edits lines by itself
        importlib.import_module("readline")  # gives input() arrow keys and a history
    click.echo(_KEYS, err=True)
    while True:
        try:
            question = input("> ")
        except EOFError:
            click.echo(err=True)
            return
        except KeyboardInterrupt:  # drops the line, as a shell does
            click.echo("\n" + _KEYS, err=True)
            continue
        if question.strip():
            _turn(llm, conversation, question)


def _turn(llm: LLM, conversation: Chat, question: str) -> None:
    """One question and its answer; what was said before Ctrl-C or an error stays in the chat."""
    conversation.add_user_message(question)
    answer: list[str] = []
    try:
        answer.extend(_echoed(llm.respond_stream(conversation)))
    except KeyboardInterrupt:
        click.echo(" [stopped]", err=True)
    except LMStudioError as error:
        click.echo(f"Error: {error}", err=True)
    if answer:
        conversation.add_assistant_response("".join(answer))
    else:
        conversation.pop()


def _echoed(stream: PredictionStream[Any]) -> Iterator[str]:
    """Print an answer as it comes, and a model's thoughts, dimmed, on a terminal alone."""
    thoughts = sys.stdout.isatty()
    with stream:
        for fragment in stream:
            if fragment.is_structural:
                continue
            if fragment.reasoning_type == "none":
                click.echo(fragment.content, nl=False)
                yield fragment.content
            elif thoughts and fragment.reasoning_type == "reasoning":
                click.echo(click.style(fragment.content, dim=True), nl=False)
    click.echo()
