"""What both commands need: a server, a model on it, and lines of text."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from lmstudio_cli import choose_model

if TYPE_CHECKING:
    from lmstudio_core.client import Client

    from ..models import EmbeddingModel

__all__ = ["STDIN", "connect", "find_model", "texts_counted", "texts_in"]

STDIN = "-"


def connect(host: str | None, api_token: str | None) -> Client:
    """A client for the server that the options name."""
    from lmstudio_core.client import Client

    return Client(host, api_token)


def find_model(client: Client, key: str | None) -> EmbeddingModel:
    """The model named, else a loaded one, else the first that is downloaded."""
    return cast("EmbeddingModel", choose_model(client.embedding, "embedding", key))


def texts_counted(number: int) -> str:
    """``"1 text"`` or ``"2 texts"``."""
    return f"{number:,} text{'' if number == 1 else 's'}"


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
