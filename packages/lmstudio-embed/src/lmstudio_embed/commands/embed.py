"""``lmstudio embed``: the vectors of a file's lines, into a file."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmstudio_cli import connection_options, echo, model_option
from lmstudio_core.errors import LMStudioServerError
from lmstudio_core.program.progress import ProgressBar
from lmstudio_core.program.terminal import is_terminal

from ..errors import TextTooLongError
from ..options import DEFAULT_IN_FLIGHT, Chunking, EmbedOptions
from .common import STDIN, connect, find_model, texts_counted, texts_in
from .journal import Journal
from .outputs import check_output, write_output

if TYPE_CHECKING:
    from ..models import EmbeddingModel
    from ..streams import EmbeddingStream

__all__ = ["embed"]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the vectors go: a .npy, .parquet or .jsonl file.",
)
@model_option
@connection_options
@click.option("--chunk", is_flag=True, help="Embed texts that are too long in parts.")
@click.option("--chunk-size", type=click.IntRange(min=8), help="Tokens of a part; implies --chunk.")
@click.option("--overlap", type=click.IntRange(min=0), help="Tokens that parts have in common.")
@click.option("--normalize", is_flag=True, help="Scale the vectors to length 1.")
@click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do about a text that cannot be embedded.",
)
@click.option(
    "--max-in-flight",
    type=click.IntRange(min=1),
    default=DEFAULT_IN_FLIGHT,
    show_default=True,
    help="Texts on their way to the server at a time.",
)
@click.option("--restart", is_flag=True, help="Begin anew instead of going on.")
@click.option("--force", is_flag=True, help="Replace --out if it is there.")
def embed(
    file: str,
    out: Path,
    model: str | None,
    host: str | None,
    api_token: str | None,
    chunk: bool,
    chunk_size: int | None,
    overlap: int | None,
    normalize: bool,
    on_error: str,
    max_in_flight: int,
    restart: bool,
    force: bool,
) -> None:
    """Embed each line of FILE that is not blank.

    FILE may be - for standard input. Row n of the output is the n-th such line. What is done is kept in a journal beside the output,
    so after an interruption the same command goes on where it was.
    """
    chunking = None
    if chunk or chunk_size is not None or overlap is not None:
        chunking = Chunking(size=chunk_size, overlap=overlap)
    check_output(out, force=force)
    with connect(host, api_token) as client:
        found = find_model(client, model)
        how = {
            "model": found.get_info().model_key,
            "chunk": None if chunking is None else [chunking.size, chunking.overlap],
            "normalize": normalize,
        }
        journal = Journal(out.with_name(out.name + ".partial"), how)
        options = EmbedOptions(max_in_flight, chunking=chunking, normalize=normalize)
        _Run(journal, found, options).embed(file, skip=on_error == "skip", restart=restart)
    _finish(out, journal, file)


class _Run:
    """One run of the command: from where the journal ends to the end of the input."""

    def __init__(self, journal: Journal, model: EmbeddingModel, options: EmbedOptions) -> None:
        self._journal = journal
        self._model = model
        self._options = options
        self._waiting: deque[str] = deque()

    def embed(self, source: str, *, skip: bool, restart: bool) -> None:
        with self._journal as journal:
            texts = texts_in(source)
            journal.resume(texts, restart=restart)
            if journal.count:
                echo(f"Going on after {texts_counted(journal.count)} done before.", err=True)
            self._go_on(source, texts, skip)

    def _go_on(self, source: str, texts: Iterator[str], skip: bool) -> None:
        journal = self._journal
        try:
            with _bar(source, journal.count) as advance:
                self._embed_rest(texts, skip, advance)
        except BaseException:
            if journal.count:
                are = "is" if journal.count == 1 else "are"
                echo(
                    f"\n{texts_counted(journal.count)} {are} done and kept in {journal.path}; the "
                    "same command again goes on from there.",
                    err=True,
                )
            raise

    def _embed_rest(self, texts: Iterator[str], skip: bool, advance: Callable[[], None]) -> None:
        remembered = self._remembered(texts)
        stream: EmbeddingStream[Any] = self._model.embed_stream(
            remembered,
            on_error="return",
            chunk=self._options.chunking or False,
            normalize=self._options.normalize,
            max_in_flight=self._options.max_in_flight,
        )
        with stream:
            for result in stream:
                text = self._waiting.popleft()
                if isinstance(result, LMStudioServerError) and not skip:
                    raise click.ClickException(
                        f"Text {self._journal.count + 1:,} ({_shortened(text)}) "
                        f"{_failed(result)}\nWith --on-error skip it is left without a vector."
                    )
                self._journal.add(text, result)
                advance()

    def _remembered(self, texts: Iterator[str]) -> Iterator[str]:
        for text in texts:
            self._waiting.append(text)
            yield text


@contextlib.contextmanager
def _bar(source: str, done: int) -> Generator[Callable[[], None]]:
    """A bar on a terminal, if the input can be read twice to know how long it is."""
    if source == STDIN or not is_terminal(sys.stderr):
        yield lambda: None
        return
    total = sum(1 for _ in texts_in(source))
    with ProgressBar("Embedding") as bar:
        numbers = itertools.count(done + 1)
        yield lambda: bar(next(numbers), total)


def _finish(out: Path, journal: Journal, source: str) -> None:
    if not journal.count:
        journal.path.unlink(missing_ok=True)
        where = "standard input" if source == STDIN else source
        raise click.ClickException(f"There is no text in {where}: every line is blank.")
    if journal.width is None:
        first = next(journal.entries())
        raise click.ClickException(
            f"None of the {journal.count:,} texts could be embedded; the first: {first.error}"
            if journal.count > 1
            else f"The only text could not be embedded: {first.error}"
        )
    write_output(out, journal)
    left_out = f", {journal.failed:,} of them without a vector" if journal.failed else ""
    echo(
        f"Embedded {texts_counted(journal.count)}{left_out} into {out} "
        f"({journal.width // 4} dimensions).",
        err=True,
    )


def _failed(error: LMStudioServerError) -> str:
    """What became of a text, and what to do about it in the words of the command line."""
    if not isinstance(error, TextTooLongError):
        return f"could not be embedded: {error}"
    return (
        f"has {error.tokens:,} tokens, and the model takes {error.context_length:,}. Shorten it, add "
        "--chunk to embed it in parts, or load the model with a larger --context-length if it was "
        "trained for one."
    )


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
