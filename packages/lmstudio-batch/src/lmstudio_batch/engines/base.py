"""The contract of engines, and how one is found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final, Protocol, cast

from lmstudio_core.plugins.api import LMStudioRuntimeError, PluginLoadError, error_text

from ..errors import BatchInputError
from ..jobs.rows import Outcome, Row
from ..jobs.spec import BatchSpec
from ..pool.settings import PoolSettings

__all__ = ["ENGINE_GROUP", "Engine", "EngineMissingError", "WorkerSpec", "load_engine"]

ENGINE_GROUP: Final = "lmstudio.batch_engines"

_OURS: Final = {
    "local": "lmstudio_batch.engines.local:LocalEngine",
    "dask": "lmstudio_batch.engines.dask:DaskEngine",
    "ray": "lmstudio_batch.engines.ray:RayEngine",
}
"""Known without metadata, too: a frozen program may have none."""


class EngineMissingError(LMStudioRuntimeError):
    """What an engine needs is not installed."""

    _unsaid = "The engine is not installed."


@dataclass(frozen=True)
class WorkerSpec:
    """All that a worker is told; plain data.

    Attributes:
        spec: What is asked of every row.
        hosts: The members, as plain data with their tokens. Never empty: a worker looks for no server.
        settings: Of the worker's pool.
        encode: Whether outcomes hold the records as JSON, and not the results.
    """

    spec: BatchSpec
    hosts: tuple[dict[str, Any], ...] = field(repr=False)
    settings: PoolSettings
    encode: bool = True


class Engine(Protocol):
    """Runs chunks of rows on workers.

    Attributes:
        chunk_rows: Rows of a chunk that suit it.
        window: The most rows that it wants at a time.
    """

    chunk_rows: int
    window: int

    def open(self, worker: WorkerSpec, workers: int | None, address: str | None) -> None:
        """Start, or connect to, what runs the work.

        Args:
            worker: For every worker.
            workers: How many; ``None`` leaves it to the engine.
            address: Of a cluster that exists; ``None`` for one of the engine's own.
        """

    def submit(self, chunk: Sequence[Row]) -> None:
        """Take a chunk; returns at once."""

    def results(self, timeout: float) -> list[Outcome]:
        """Outcomes in any order as they come; empty if none came in ``timeout`` seconds.

        Raises:
            LMStudioError: The engine cannot go on.
        """
        ...

    def status(self) -> list[Any]:
        """How each host is doing, where that is known."""
        ...

    def close(self, cancel: bool) -> None:
        """End it; ``cancel`` what is in flight first."""


def load_engine(name: str) -> Engine:
    """The engine of that name.

    Raises:
        BatchInputError: There is none.
        EngineMissingError: What it needs is not installed.
        PluginLoadError: It is broken.
    """
    found = {entry.name: entry.value for entry in entry_points(group=ENGINE_GROUP)}
    known = {**found, **_OURS}  # the family's names are the family's
    if name not in known:
        raise BatchInputError(
            f"There is no engine {name!r}; there are {', '.join(sorted(known))}. Others come with "
            f"packages that announce them in {ENGINE_GROUP}."
        )
    module, _, attribute = known[name].partition(":")
    try:
        import importlib

        engine: Any = getattr(importlib.import_module(module), attribute)()
    except LMStudioRuntimeError:
        raise
    except Exception as error:
        raise PluginLoadError(
            f"The engine {name!r} cannot be used: {error_text(error, named=True)}", plugin=name
        ) from error
    return cast("Engine", engine)


def default_workers() -> int:
    """How many processes suit this machine."""
    return max(1, min(4, os.cpu_count() or 1))
