"""For people's own pipelines: ``RowMapper`` for Ray Data, ``partition_mapper`` for Dask data frames."""

from __future__ import annotations

import importlib
import json
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from typing_extensions import Unpack

from .engines.remote import answer
from .jobs.rows import Row
from .jobs.sinks import vector_of
from .jobs.spec import BatchSpec
from .namespaces import Hosts, PoolOptions, worker_spec

__all__ = ["COLUMNS", "RowMapper", "partition_mapper", "partition_meta"]

COLUMNS: Final = ("output", "error", "host", "attempts", "tokens")
"""What is added to the rows. An error is a column: one that is raised would end the whole data set."""

_CPUS: Final = 0.1
"""Of an actor of Ray: it waits for hosts. With a whole CPU each, small clusters wait for ever."""


class RowMapper:  # public
    """Answers batches of rows; for ``map_batches`` of Ray Data, and for anything like it.

    Nothing is connected to before the first batch comes. It pickles as plain data.

    Args:
        spec: What is asked of every row.
        hosts: ``"host:port"`` texts or ``Member`` objects; there is no default, since a worker never
            looks for a server.
        share: Of how many workers this is one: each takes its part of a host's slots.
        **options: ``retries``, ``row_timeout``, ``idle_timeout``, ``hedge``, ``missing``, ``patience``.

    Raises:
        BatchInputError: An argument cannot be right.
        NoHostError: No host takes work.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {text}", config={"maxTokens": 8})
        >>> mapper = RowMapper(spec, [client.api_host])
        >>> found = mapper({"text": ["Cats sleep.", "Dogs bark."]})
        >>> print(list(found), found["error"])
        ['text', 'output', 'error', 'host', 'attempts', 'tokens'] [None, None]
        >>> ds.map_batches(mapper, batch_size=256, **mapper.ray_options())  # doctest: +SKIP
    """

    def __init__(
        self, spec: BatchSpec, hosts: Hosts, *, share: int = 1, **options: Unpack[PoolOptions]
    ) -> None:
        worker = worker_spec(spec, hosts, **options)
        self._worker = replace(worker, settings=replace(worker.settings, share=share))
        # Workers of one pipeline keep their connections from batch to batch.
        self._key = uuid.uuid4().hex

    def __call__(self, batch: Any) -> Any:
        """Answer the rows of a batch.

        Args:
            batch: A dict of columns, or a pandas data frame.

        Returns:
            The same with the columns ``output``, ``error``, ``host``, ``attempts`` and ``tokens``.
        """
        if isinstance(batch, Mapping):
            columns = cast("Mapping[str, Any]", batch)
            rows = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
            return {**columns, **self._answers(rows)}
        frame = batch.copy()
        names = [str(name) for name in batch.columns]
        rows = [
            dict(zip(names, row, strict=True)) for row in batch.itertuples(index=False, name=None)
        ]
        for name, values in self._answers(rows).items():
            # As Series of objects: a column of vectors is no matrix.
            frame[name] = importlib.import_module("pandas").Series(
                values, index=frame.index, dtype=_DTYPES[name]
            )
        return frame

    def _answers(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        given = [Row(position, None, fields) for position, fields in enumerate(rows)]
        columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in COLUMNS}
        for outcome in answer(self._key, self._worker, given):
            record = json.loads(outcome.payload)
            output = record.get("output")
            if (vector := vector_of(record)) is not None:
                output = list(struct.unpack(f"<{len(vector) // 4}f", vector))
            if isinstance(output, dict):
                output = json.dumps(output, ensure_ascii=False)
            values = (output, record.get("error"), outcome.host, outcome.attempts, outcome.tokens)
            for name, value in zip(COLUMNS, values, strict=True):
                columns[name][outcome.position] = value
        return columns

    @staticmethod
    def ray_options() -> dict[str, Any]:
        """What ``map_batches`` needs besides, so that a small cluster does not wait for ever."""
        return {"num_cpus": _CPUS, "batch_format": "pandas"}


def partition_mapper(
    spec: BatchSpec, hosts: Hosts, *, share: int = 1, **options: Unpack[PoolOptions]
) -> Callable[[Any], Any]:  # public
    """A function of a pandas partition, for ``map_partitions`` of a Dask data frame.

    A lazy result that is used twice asks twice: ``persist()`` it, or write it to a file.

    Args:
        spec: What to ask of each row.
        hosts: The hosts, as of ``RowMapper``.
        share: How many mappers work at a time, which divide the hosts' slots.
        **options: As of ``Pool``.

    Returns:
        The function.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {text}")
        >>> mapper = partition_mapper(spec, [client.api_host])
        >>> ddf.map_partitions(mapper, meta=partition_meta(ddf, spec))  # doctest: +SKIP
    """
    return RowMapper(spec, hosts, share=share, **options)


def partition_meta(frame: Any, spec: BatchSpec) -> Any:  # public
    """The columns that ``partition_mapper`` gives, for ``meta=``; Dask would else ask to find out.

    Args:
        frame: The Dask (or pandas) data frame.
        spec: What is asked.

    Returns:
        A pandas data frame without rows.

    Example:
        >>> spec = BatchSpec("pocket", prompt="Summarise: {text}")
        >>> import pandas  # doctest: +SKIP
        >>> frame = pandas.DataFrame({"text": ["Cats sleep."]})  # doctest: +SKIP
        >>> list(partition_meta(frame, spec))  # doctest: +SKIP
        ['text', 'output', 'error', 'host', 'attempts', 'tokens']
    """
    del spec  # every task gives the same columns
    pandas = importlib.import_module("pandas")
    meta: Any = getattr(frame, "_meta", frame).iloc[:0].copy()
    for name in COLUMNS:
        meta[name] = pandas.Series([], dtype=_DTYPES[name])
    return meta


_DTYPES: Final = {
    "output": "object",
    "error": "object",
    "host": "object",
    "attempts": "int64",
    "tokens": "int64",
}
