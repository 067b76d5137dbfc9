"""The engine ``ray``: chunks as calls of actors on a Ray cluster, that exists or is made here."""

from __future__ import annotations

import contextlib
import importlib
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from lmstudio_core.plugins.api import LMStudioError, LMStudioRuntimeError, error_text

from ..jobs.rows import Outcome, Row
from .base import EngineMissingError, WorkerSpec, default_workers
from .remote import answer, describe

__all__ = ["RayEngine", "load_ray"]

_IN_FLIGHT: Final = 3
"""Chunks of an actor at a time: one ends while the next are asked."""

_RETRIES: Final = 3
"""How often a chunk is asked again whose actor was lost."""

_OBJECT_STORE: Final = 200 * 1024 * 1024
"""Bytes for a cluster of this machine: chunks are small, and Ray would take a third of the memory."""

_CPUS: Final = 0.1
"""Of an actor: it waits for hosts. Whole CPUs make actors wait for ever on a small cluster."""


def load_ray() -> Any:
    """The module ``ray``.

    Raises:
        EngineMissingError: It is not installed.
    """
    # Read when Ray is imported or started: nothing is told to anybody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise EngineMissingError(
            "The engine 'ray' needs ray (the extra lmstudio-batch[ray]), which is not installed. Install "
            "it with: pip install ray"
        ) from error


class _Actor:
    """A process of the cluster. It connects to hosts when the first chunk comes, not before."""

    def about(self) -> tuple[str, int, str]:
        """Where it is, and in which version."""
        return describe()

    def answer(self, key: str, worker: WorkerSpec, rows: list[Row]) -> list[Outcome]:
        """Answer a chunk."""
        return answer(key, worker, rows)


class RayEngine:
    """Part of ``Engine``."""

    def __init__(self) -> None:
        self._ray = load_ray()
        self.chunk_rows: int = 32
        self.window: int = 256
        self._key = uuid.uuid4().hex
        self._actors: list[Any] = []
        self._busy: dict[Any, Any] = {}
        self._worker: Any = None
        self._ours = False

    def open(self, worker: WorkerSpec, workers: int | None, address: str | None) -> None:
        """Part of ``Engine``."""
        number = workers or default_workers()
        if not self._ray.is_initialized():
            self._init(address, number)
        # Threads of an actor: a chunk waits for its hosts most of the time.
        remote = self._ray.remote(
            num_cpus=_CPUS,
            max_restarts=-1,
            max_task_retries=_RETRIES,
            max_concurrency=_IN_FLIGHT + 1,
        )(_Actor)
        self._actors = [remote.remote() for _ in range(number)]
        self._check()
        self.chunk_rows = 256 if worker.spec.task == "embed" else 32
        self.window = self.chunk_rows * _IN_FLIGHT * number
        settings = replace(worker.settings, share=number)
        self._worker = self._ray.put(replace(worker, settings=settings))

    def _init(self, address: str | None, workers: int) -> None:
        settings: dict[str, Any] = {"address": address}
        if address is None and "RAY_ADDRESS" not in os.environ:
            settings = {
                "num_cpus": max(1, workers),
                "object_store_memory": _OBJECT_STORE,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
            }
            self._ours = True
        try:
            self._ray.init(log_to_driver=False, configure_logging=False, **settings)
        except Exception as error:
            raise LMStudioRuntimeError(
                f"No Ray cluster at {address or 'this machine'}: {error_text(error, named=True)}"
            ) from error

    def _check(self) -> None:
        """Make sure that each node has this package, in this version."""
        _, _, ours = describe()
        try:
            found = self._ray.get([actor.about.remote() for actor in self._actors], timeout=120)
        except Exception as error:
            raise LMStudioRuntimeError(
                "The actors of the Ray cluster cannot start; each node needs the package lmstudio-batch "
                f"{ours}: {error_text(error, named=True)}"
            ) from error
        for node, _, version in found:
            if version != ours:
                raise LMStudioRuntimeError(
                    f"The node {node} of the Ray cluster needs the package lmstudio-batch {ours}, and has "
                    f"version {version}."
                )

    def submit(self, chunk: Sequence[Row]) -> None:
        """Part of ``Engine``."""
        had = {id(actor): 0 for actor in self._actors}
        for actor in self._busy.values():
            had[id(actor)] += 1
        actor = min(self._actors, key=lambda one: had[id(one)])
        self._busy[actor.answer.remote(self._key, self._worker, list(chunk))] = actor

    def results(self, timeout: float) -> list[Outcome]:
        """Part of ``Engine``."""
        if not self._busy:
            time.sleep(timeout)
            return []
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=timeout)
        outcomes: list[Outcome] = []
        for ref in ready:
            del self._busy[ref]
            try:
                outcomes += self._ray.get(ref)
            except LMStudioError:
                raise
            except self._ray.exceptions.RayError as error:
                raise LMStudioRuntimeError(
                    f"Ray could not run a chunk: {error_text(error, named=True)}"
                ) from error
        return outcomes

    def status(self) -> list[Any]:
        """Part of ``Engine``: the actors know, and are not asked."""
        return []

    def close(self, cancel: bool) -> None:
        """Part of ``Engine``."""
        del cancel  # an actor that ends takes its chunks with it
        for actor in self._actors:
            with contextlib.suppress(Exception):  # it may be gone already
                self._ray.kill(actor, no_restart=True)
        self._actors, self._worker = [], None
        self._busy.clear()
        if self._ours:
            self._ray.shutdown()
            self._ours = False
