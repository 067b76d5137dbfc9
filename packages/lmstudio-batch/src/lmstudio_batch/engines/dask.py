"""The engine ``dask``: chunks as tasks of a Dask cluster, that exists or is made on this machine."""

from __future__ import annotations

import importlib
import queue
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from lmstudio_core.plugins.api import LMStudioRuntimeError, error_text

from ..jobs.rows import Outcome, Row
from .base import EngineMissingError, WorkerSpec, default_workers
from .remote import answer, describe

__all__ = ["DaskEngine"]

_IN_FLIGHT: Final = 3
"""Chunks of a process at a time: one ends while the next are asked."""

_RETRIES: Final = 3
"""How often a chunk is asked again whose process was lost: Dask's own limit is the scheduler's."""


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise EngineMissingError(
            "The engine 'dask' needs distributed (the extra lmstudio-batch[dask]), which is not "
            "installed. Install it with: pip install 'dask[distributed]'"
        ) from error


class DaskEngine:
    """Part of ``Engine``."""

    def __init__(self) -> None:
        self._module = _distributed()
        self.chunk_rows: int = 32
        self.window: int = 256
        self._client: Any = None
        self._cluster: Any = None
        self._key = uuid.uuid4().hex
        self._worker: Any = None
        self._futures: set[Any] = set()
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def open(self, worker: WorkerSpec, workers: int | None, address: str | None) -> None:
        """Part of ``Engine``."""
        try:
            if address is None:
                self._cluster = self._local(workers or default_workers())
            self._client = self._module.Client(self._cluster or address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise LMStudioRuntimeError(
                f"No Dask scheduler answers at {address}: {error_text(error)}"
            ) from error
        self._check_workers(address)
        threads = sum(self._client.nthreads().values())
        settings = replace(worker.settings, share=max(1, len(self._client.nthreads())))
        self.chunk_rows = 256 if worker.spec.task == "embed" else 32
        self.window = self.chunk_rows * _IN_FLIGHT * max(1, threads)
        self._worker = self._client.scatter(
            replace(worker, settings=settings), broadcast=True, hash=False
        )

    def _local(self, workers: int) -> Any:
        """A cluster of this machine: on loopback alone, and without a dashboard."""
        # Several threads a process: a chunk waits for its host most of the time.
        return self._module.LocalCluster(
            n_workers=workers,
            threads_per_worker=_IN_FLIGHT,
            processes=True,
            dashboard_address="127.0.0.1:0",  # None would take port 8787 on all addresses
            host="127.0.0.1",
        )

    def _check_workers(self, address: str | None) -> None:
        """Make sure that each process has this package, in this version."""
        self._client.wait_for_workers(1, timeout=30)
        _, _, ours = describe()
        found: dict[str, Any] = self._client.run(describe, on_error="return")
        for node, about in found.items():
            if isinstance(about, Exception) or about[2] != ours:
                said = "lacks it" if isinstance(about, Exception) else f"has version {about[2]}"
                raise LMStudioRuntimeError(
                    f"The worker {node} of the cluster {address or 'on this machine'} needs the package "
                    f"lmstudio-batch {ours}, and {said}. Install it in the workers' environment."
                )

    def submit(self, chunk: Sequence[Row]) -> None:
        """Part of ``Engine``."""
        # Not pure: two equal chunks are two chunks.
        future = self._client.submit(
            answer, self._key, self._worker, list(chunk), pure=False, retries=_RETRIES
        )
        self._futures.add(future)
        future.add_done_callback(self._out.put)

    def results(self, timeout: float) -> list[Outcome]:
        """Part of ``Engine``."""
        try:
            future = self._out.get(timeout=timeout)
        except queue.Empty:
            return []
        self._futures.discard(future)
        if future.status == "error":
            raise future.exception()
        found: list[Outcome] = future.result()
        return found

    def status(self) -> list[Any]:
        """Part of ``Engine``: the processes know, and are not asked."""
        return []

    def close(self, cancel: bool) -> None:
        """Part of ``Engine``."""
        if self._client is None:
            return
        if cancel and self._futures:
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        self._worker = None
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._client = self._cluster = None
