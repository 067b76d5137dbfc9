"""Runs a batch: reads rows, gives them to an engine, and keeps what comes of them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmstudio_core.plugins.api import (
    LMStudioError,
    LMStudioServerError,
    ProgressBar,
    error_text,
    is_mapping,
)

from .engines import Engine, WorkerSpec, load_engine
from .errors import BatchInputError, BatchStoppedError, JournalError
from .jobs.ids import id_of, survey
from .jobs.journal import Journal
from .jobs.options import BatchReport, RunOptions
from .jobs.requests import error_record
from .jobs.rows import BatchRow, Outcome, Row
from .jobs.sinks import check_output, errors_path, write_output
from .jobs.sources import Source, open_source
from .jobs.spec import BatchSpec, prompt_fields

__all__ = ["partial_path", "run_batch", "stream_batch"]

_TICK = 0.5
"""Seconds after which the journal is looked at although nothing came."""


def partial_path(out: Path) -> Path:
    """Where the journal of an output is."""
    return out.with_name(f"{out.name}.partial")


def run_batch(given: Any, out: Path, worker: WorkerSpec, options: RunOptions) -> BatchReport:
    """Answer every row of an input into an output file.

    Raises:
        BatchInputError: The input or the settings cannot be right; nothing was sent.
        JournalError: The journal is another's, or in use.
        BatchStoppedError: It ended early; what is done is in the journal.
    """
    check_output(out, worker.spec, force=options.force)
    source = open_source(given)
    check_fields(source, worker.spec)
    total = survey(source, options.id, options.limit)
    engine = load_engine(options.engine)
    began = time.monotonic()
    journal = Journal(partial_path(out), worker.spec.decides())
    with journal:
        journal.resume(restart=options.restart, retry_failed=options.retry_failed)
        run = _Run(source, worker, options, journal, engine, total)
        try:
            run.go()
        finally:
            journal.flush_if_due()
        keep = options.on_error == "keep"
        openai = worker.spec.format == "openai"
        write_output(out, journal, order=options.order, keep=keep, openai=openai)
        journal.remove()
    report = run.report(time.monotonic() - began)
    errors = errors_path(out) if journal.failed else None
    return replace(report, out=out, errors=errors)


def check_fields(source: Source, spec: BatchSpec) -> None:
    """Make sure that the prompt's fields are in the input.

    Raises:
        BatchInputError: One is in none of the first rows.
    """
    if spec.prompt is None or not (there := source.first_fields()):
        return
    for name in prompt_fields(spec.prompt):
        if name not in there:
            names = ", ".join(sorted(there)[:12])
            raise BatchInputError(
                f"The prompt names the field {name!r}, which none of the first rows of {source.name} has; "
                f"they have {names}."
            )


class _Run:
    """One run of a batch, from what its journal has to the end of its input."""

    def __init__(
        self,
        source: Source,
        worker: WorkerSpec,
        options: RunOptions,
        journal: Journal,
        engine: Engine,
        total: int | None,
    ) -> None:
        self._source = source
        self._worker = worker
        self._options = options
        self._journal = journal
        self._engine = engine
        self._total = total
        self._resumed = journal.count
        self._digests: dict[int, str] = {}
        self._hosts: tuple[Any, ...] = ()

    def go(self) -> None:
        """Answer all rows that have no answer yet.

        Raises:
            BatchStoppedError: It ended early.
        """
        rows = self._open_rows()
        first = next(rows, None)
        if first is None:
            return  # nothing is left: no host is asked
        with _shown(self._options, self._total) as advance:
            cancel = True
            try:
                self._engine.open(self._worker, self._options.workers, self._options.address)
                self._pump(itertools.chain([first], rows), advance)
                cancel = False
            except (BatchInputError, BatchStoppedError, JournalError):
                raise
            except LMStudioError as error:
                raise self._stopped(error_text(error)) from error
            finally:
                if not cancel:
                    self._hosts = tuple(self._engine.status())
                self._engine.close(cancel)

    def _pump(self, rows: Iterator[Row], advance: Callable[[int], object]) -> None:
        ended = False
        while True:
            while not ended and len(self._digests) < self._engine.window:
                chunk = list(itertools.islice(rows, self._engine.chunk_rows))
                ended = not chunk or self._is_spent()
                if chunk:
                    self._engine.submit(chunk)
            if not self._digests:
                break
            if self._options.stop is not None and self._options.stop.is_set():
                raise self._stopped("it was cancelled")
            for outcome in self._engine.results(_TICK):
                self._take(outcome)
            self._journal.flush_if_due()
            advance(self._journal.count)
        if self._is_spent() and next(rows, None) is not None:
            limit = self._options.max_tokens_total
            raise self._stopped(f"max_tokens_total={limit:,} is spent")

    def _is_spent(self) -> bool:
        limit = self._options.max_tokens_total
        return limit is not None and self._journal.tokens >= limit

    def _take(self, outcome: Outcome) -> None:
        digest = self._digests.pop(outcome.position, None)
        if digest is None:
            return  # it was asked twice, and counts once
        if not outcome.ok and self._options.on_error == "stop":
            problem = f"row {outcome.position + 1:,} failed: {_words(outcome.payload)}"
            raise self._stopped(problem)
        self._journal.add(outcome, digest)

    def _open_rows(self) -> Iterator[Row]:
        """The rows without an answer; those that cannot be read have their end here."""
        entries = itertools.islice(self._source.rows(), self._options.limit)
        rows = 0
        for position, entry in enumerate(entries):
            rows = position + 1
            if self._journal.has(position):
                self._journal.check_digest(position, entry.digest, self._source.name)
                continue
            row = Row(position, id_of(entry.fields, self._options.id), entry.fields)
            self._digests[position] = entry.digest
            if not entry.problem:
                yield row
                continue
            error = BatchInputError(entry.problem)
            record = error_record(self._worker.spec, row, error)
            self._take(Outcome(position, False, record, "", 0, 0))
        self._journal.check_end(rows, self._source.name)

    def _stopped(self, why: str) -> BatchStoppedError:
        done = self._journal.count
        return BatchStoppedError(
            f"The batch was stopped: {why.rstrip('.')}. {done:,} row{'' if done == 1 else 's'} are done and "
            f"kept in {self._journal.path}; the same call goes on from there.",
            report=self.report(0.0),
        )

    def report(self, seconds: float) -> BatchReport:
        """How far it came."""
        j = self._journal
        return BatchReport(j.count, j.failed, self._resumed, j.tokens, seconds, hosts=self._hosts)


def _words(payload: Any) -> str:
    error = json.loads(payload).get("error")
    return str(error["message"] if is_mapping(error) else error)


def _shown(
    options: RunOptions, total: int | None
) -> AbstractContextManager[Callable[[int], object]]:
    """What is told of the progress."""
    if callable(options.progress):
        tell = options.progress
        return nullcontext(lambda done: tell(done, total))
    if options.progress:
        return _Bar(total)
    return nullcontext(lambda _done: None)


class _Bar(AbstractContextManager[Callable[[int], object]]):
    """A bar on a terminal."""

    def __init__(self, total: int | None) -> None:
        self._bar = ProgressBar("Answering")
        self._total = total

    def __enter__(self) -> Callable[[int], object]:
        return lambda done: self._bar(done, self._total or done)

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def stream_batch(
    rows: Iterable[Any], worker: WorkerSpec, options: RunOptions
) -> Generator[BatchRow, None, None]:
    """Answer rows as they come, and yield them as they end.

    Raises:
        BatchStoppedError: No host takes work any more.
    """
    source = open_source(rows)
    check_fields(source, worker.spec)
    engine = load_engine(options.engine)
    open_rows: dict[int, Row] = {}
    entries = enumerate(itertools.islice(source.rows(), options.limit))
    ended = False
    try:
        engine.open(worker, options.workers, options.address)
        while True:
            while not ended and len(open_rows) < engine.window:
                chunk: list[Row] = []
                for position, entry in itertools.islice(entries, engine.chunk_rows):
                    row = Row(position, id_of(entry.fields, options.id), entry.fields)
                    if entry.problem:
                        error = BatchInputError(entry.problem)
                        yield BatchRow(position, row.id, None, error, "", 0)
                        continue
                    open_rows[position] = row
                    chunk.append(row)
                ended = not chunk
                if chunk:
                    engine.submit(chunk)
            if not open_rows:
                return
            if options.stop is not None and options.stop.is_set():
                return
            for outcome in engine.results(_TICK):
                if outcome.position in open_rows:
                    yield _batch_row(open_rows.pop(outcome.position), outcome)
    finally:
        engine.close(cancel=True)


def _batch_row(row: Row, outcome: Outcome) -> BatchRow:
    result, error = outcome.payload, None
    if not outcome.ok:
        error, result = result, None
        if not isinstance(error, LMStudioError):
            error = LMStudioServerError(error_text(error, named=True))
    return BatchRow(row.position, row.id, result, error, outcome.host, outcome.attempts)
