"""What commands are given: a text, as an argument or piped in, and a model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lmstudio_core.errors import LMStudioModelNotFoundError
from lmstudio_core.program.progress import ProgressBar
from lmstudio_core.program.terminal import is_terminal

from .printing import echo

if TYPE_CHECKING:
    from collections.abc import Iterator


_STDIN: Final = "-"
"""How an argument says that standard input is meant."""

_F = TypeVar("_F", bound=Callable[..., Any])

_KINDS: Final = {"llm": "language model", "embedding": "embedding model"}


def model_option(command: _F) -> _F:  # public
    """``-m`` and ``--model``, by which every command that uses a model names it."""
    return click.option(
        "-m", "--model", "model", help="Which model; by default one that is loaded, or the first."
    )(command)


def can_ask() -> bool:  # public
    """Whether somebody is there to read a question on standard error, and to answer it."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def given_text(argument: str | None, missing: str) -> str:  # public
    """The text of a command: its argument, and below it what is piped in.

    ``-`` as the argument reads standard input alone, from a terminal, too.

    Args:
        argument: The argument, if it was given.
        missing: What to say if there is no text at all.

    Raises:
        click.UsageError: There is none.
        click.ClickException: What is piped in is not UTF-8.
    """
    piped = "" if argument != _STDIN and is_terminal(sys.stdin) else _read()
    text = piped
    if argument is not None and argument != _STDIN:
        text = f"{argument}\n\n{piped}" if piped.strip() else argument
    if not text.strip():
        raise click.UsageError(missing)
    return text


def _read() -> str:
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] # closed, or no console
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"What was piped in is not UTF-8 ({error.reason} at byte {error.start:,}). Convert it "
            "first, such as with iconv."
        ) from error


def get_model(namespace: Any, key: str) -> Any:  # public
    """A model of ``client.llm`` or its like, loaded if need be; a terminal sees how far that is."""
    with ProgressBar(f"Loading {key}") as bar:
        return namespace.model(key, on_load_progress=bar)


def choose_model(namespace: Any, kind: str, key: str | None) -> Any:  # public
    """The model named, else a loaded one, else the first that is downloaded.

    Args:
        namespace: ``client.llm`` or ``client.embedding``.
        kind: ``"llm"`` or ``"embedding"``.
        key: What ``--model`` says.

    Raises:
        LMStudioModelNotFoundError: There is none.
    """
    if key is not None:
        return get_model(namespace, key)
    if loaded := namespace.list_loaded():
        echo(f"Model: {loaded[0].identifier} (loaded)", err=True)
        return loaded[0]
    if not (downloaded := namespace.list_downloaded()):
        raise LMStudioModelNotFoundError(
            f"The server has no {_KINDS.get(kind, kind)}. {' '.join(_advice(kind))}"
        )
    found = downloaded[0].model_key
    many = f"the first of {len(downloaded)} downloaded; -m names another"
    echo(
        f"Model: {found} ({'the only one downloaded' if len(downloaded) == 1 else many})", err=True
    )
    return get_model(namespace, found)


def _advice(kind: str) -> Iterator[str]:
    yield "Download one in LM Studio, or with `lmstudio get`."
    if kind == "embedding":
        yield "For the bundled server: `lmstudio get all-minilm-l6-v2`."
