"""What both commands need: a server, a model on it, and lines of text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from lmstudio_core.cli.common import get_model, network_options
from lmstudio_core.errors import LMStudioModelNotFoundError

if TYPE_CHECKING:
    from lmstudio_core.client import Client

    from ..models import EmbeddingModel

__all__ = ["STDIN", "connect", "connection_options", "find_model", "texts_in"]

STDIN = "-"

_F = TypeVar("_F", bound=Callable[..., Any])


def connection_options(command: _F) -> _F:
    """``--model``, ``--host`` and ``--api-token``, and how the server is reached."""
    command = network_options(command)
    command = click.option("--api-token", help="The server's API token.")(command)
    command = click.option("--host", help="host:port of the server; a local one by default.")(
        command
    )
    return click.option(
        "--model", "model_key", help="The embedding model; default: the one there."
    )(command)


def connect(host: str | None, api_token: str | None) -> Client:
    """A client for the server that the options name."""
    from lmstudio_core.client import Client

    return Client(host, api_token)


def find_model(client: Client, key: str | None) -> EmbeddingModel:
    """The model named, else a loaded one, else the first that is downloaded."""
    if key is not None:
        return cast("EmbeddingModel", get_model(client.embedding, key))
    loaded = client.embedding.list_loaded()
    if loaded:
        click.echo(f"Model: {loaded[0].identifier} (loaded)", err=True)
        return loaded[0]
    downloaded = client.embedding.list_downloaded()
    if not downloaded:
        raise LMStudioModelNotFoundError(
            "The server has no embedding model. Download one in LM Studio; for the bundled server, "
            "run `lmstudio get all-minilm-l6-v2`."
        )
    found = downloaded[0].model_key
    click.echo(f"Model: {found} (the first of {len(downloaded)} downloaded)", err=True)
    return cast("EmbeddingModel", get_model(client.embedding, found))


def texts_in(source: str) -> Iterator[str]:
    """The lines of a UTF-8 file (or standard input) that are not blank, without their ends.

    Raises:
        click.ClickException: It cannot be read, or is not UTF-8.
    """
    try:
        if source == STDIN:
            yield from _lines(sys.stdin.buffer)
        else:
            with Path(source).open("rb") as stream:
                yield from _lines(stream)
    except OSError as error:
        raise click.ClickException(
            f"{source} cannot be read: {error.strerror or error}."
        ) from error


def _lines(stream: Any) -> Iterator[str]:
    for number, raw in enumerate(stream, 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise click.ClickException(
                f"Line {number:,} is not UTF-8 ({error.reason}). Convert the input first, such as "
                "with iconv."
            ) from error
        if line.strip():
            yield line
