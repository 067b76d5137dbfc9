"""``lmstudio batch``: every row of a file, asked of one host or of many."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lmstudio_cli import echo, print_json
from lmstudio_core.plugins.api import Client, LMStudioValueError, error_text, is_terminal, json_text

from ..driver import check_fields, partial_path, run_batch
from ..errors import BatchStoppedError
from ..jobs.ids import survey
from ..jobs.journal import read_state
from ..jobs.options import BatchReport, RunOptions
from ..jobs.requests import Requests
from ..jobs.rows import Row
from ..jobs.sources import Source, open_source
from ..jobs.spec import BatchSpec
from ..namespaces import worker_spec
from ..pool.members import Member

__all__ = ["batch"]

_LINE_SECONDS = 30.0

_SHOWN = 3
"""Rows that --dry-run shows."""


class _Batch(click.Group):
    """``batch FILE`` runs one, ``batch status OUT`` tells of one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """``run`` stands for everything that is no other command."""
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options before the file are those of ``run``, too."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Batch)
def batch() -> None:
    """Ask a model about every row of a file, on one host or on many.

    `lmstudio batch FILE --out OUT` runs a batch (`lmstudio batch run --help` lists its options).
    """


@batch.command(hidden=True)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A .jsonl or .parquet file."
)
@click.option("-m", "--model", help="The key or identifier of the model.")
@click.option("--host", multiple=True, help="host:port of a server; repeat it for more of them.")
@click.option("--api-token", help="The servers' API token.")
@click.option(
    "--prompt", help="What to ask, with fields of the row in braces: 'Summarise: {text}'."
)
@click.option("--system", help="A system prompt.")
@click.option(
    "--task",
    type=click.Choice(["respond", "complete", "embed"]),
    default="respond",
    show_default=True,
)
@click.option("--format", "form", type=click.Choice(["rows", "openai"]), default="rows")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The most tokens of an answer.")
@click.option("--temperature", type=click.FloatRange(min=0), help="Randomness; 0 for none.")
@click.option("--engine", default="local", show_default=True, help="local, ray, dask or another.")
@click.option("--address", help="Of the engine's cluster, if there is one.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes of an engine on a cluster.")
@click.option("--id", "id_field", help="The field with a row's own id.")
@click.option(
    "--on-error", type=click.Choice(["keep", "skip", "stop"]), default="keep", show_default=True
)
@click.option("--order", type=click.Choice(["input", "done"]), default="input", show_default=True)
@click.option("--limit", type=click.IntRange(min=1), help="The first rows alone.")
@click.option("--max-tokens-total", type=click.IntRange(min=1), help="Stop after so many tokens.")
@click.option("--retries", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--row-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds of a row."
)
@click.option("--retry-failed", is_flag=True, help="Ask rows that ended with an error again.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on.")
@click.option("--force", is_flag=True, help="Replace --out if it is there.")
@click.option("--dry-run", is_flag=True, help="Show what would be asked, and ask nothing.")
def run(
    file: Path, out: Path | None, host: tuple[str, ...], api_token: str | None, **given: Any
) -> None:
    """Ask a model about every row of FILE (.jsonl, .csv, .txt or .parquet).

    What is done is kept in OUT.partial, so after an interruption of any kind the same command goes on
    where it was.
    """
    spec = _spec(given)
    source = open_source(file)
    if given["dry_run"]:
        _show(source, spec, given)
        return
    if out is None:
        raise click.UsageError("--out is missing: the file that the answers go to.")
    hosts = [Member(one, api_token=api_token) for one in host] or [_found(api_token)]
    options = RunOptions(
        on_error=given["on_error"],
        order=given["order"],
        id="custom_id"
        if spec.format == "openai" and given["id_field"] is None
        else given["id_field"],
        limit=given["limit"],
        max_tokens_total=given["max_tokens_total"],
        progress=_progress(),
        restart=given["restart"],
        retry_failed=given["retry_failed"],
        force=given["force"],
        engine=given["engine"],
        workers=given["workers"],
        address=given["address"],
    )
    worker = worker_spec(spec, hosts, retries=given["retries"], row_timeout=given["row_timeout"])
    partial = partial_path(out)
    if not given["restart"] and (state := read_state(partial)) is not None and state["rows"]:
        echo(f"Going on after {_rows(state['rows'])} done before.", err=True)
    try:
        report = run_batch(file, out, worker, options)
    except BatchStoppedError as error:
        raise click.ClickException(error_text(error)) from error
    except KeyboardInterrupt:
        echo(f"\nWhat is done is kept in {partial}; the same command goes on from there.", err=True)
        raise
    _tell(report)


def _progress() -> bool | Callable[[int, int | None], None]:
    """A bar on a terminal; else, in a log, a line each half minute."""
    if is_terminal(sys.stderr):
        return True
    told = time.monotonic()

    def tell(done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= _LINE_SECONDS:
            told = time.monotonic()
            of = "" if total is None else f" of {total:,}"
            echo(f"{done:,}{of} rows done.", err=True)

    return tell


def _spec(given: dict[str, Any]) -> BatchSpec:
    settings = {"maxTokens": given["max_tokens"], "temperature": given["temperature"]}
    config = {name: value for name, value in settings.items() if value is not None}
    return BatchSpec(
        given["model"],
        given["task"],
        given["prompt"],
        given["system"],
        config=config or None,
        format=given["form"],
    )


def _found(api_token: str | None) -> Member:
    """The server that any command would use: workers are told, and never look for one."""
    with Client(None, api_token) as client:
        return Member(str(client.api_host), api_token=client.api_token)


def _show(source: Source, spec: BatchSpec, given: dict[str, Any]) -> None:
    check_fields(source, spec)
    total = survey(source, given["id_field"], given["limit"])
    requests = Requests(spec)
    for position, entry in enumerate(itertools.islice(source.rows(), _SHOWN)):
        try:
            if entry.problem:
                raise LMStudioValueError(entry.problem)
            row = Row(position, None, entry.fields)
            asked = requests.text(row) if spec.task == "embed" else requests.arguments(row)[0]
            shown = asked if isinstance(asked, str) else json_text(asked.to_dict())
            echo(f"Row {position + 1}: {shown}")
        except LMStudioValueError as error:
            echo(f"Row {position + 1} cannot be asked: {error_text(error)}")
    echo(f"{_rows(total or 0)} would be asked.", err=True)


def _tell(report: BatchReport) -> None:
    failed = (
        f", {report.failed:,} of them with an error (see {report.errors})" if report.failed else ""
    )
    tokens = f", {report.tokens:,} tokens" if report.tokens else ""
    echo(f"{_rows(report.rows)} done into {report.out}{failed}{tokens}.", err=True)
    for host in report.hosts:
        why = f" ({host.why})" if host.why else ""
        echo(
            f"  {host.name}: {host.state}{why}, {host.done:,} done, {host.failed:,} failed",
            err=True,
        )


def _rows(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


@batch.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(out: Path, as_json: bool) -> None:
    """Tell how far the batch of the output OUT is."""
    state = read_state(partial_path(out))
    if state is None:
        done = "It is whole." if out.exists() else "Nothing was begun."
        raise click.ClickException(f"There is no batch under way for {out}. {done}")
    if as_json:
        print_json(state)
        return
    echo(
        f"{_rows(state['rows'])} done, {state['failed']:,} with an error, {state['tokens']:,} tokens."
    )
    echo(
        "A run is going on."
        if state["running"]
        else "No run is going on; the same command goes on."
    )
