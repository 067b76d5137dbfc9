"""What engines on a cluster share: the worker of a process, and the refusal of other versions."""

from __future__ import annotations

import atexit
import os
import socket
import threading
from collections.abc import Sequence
from typing import Final

from lmstudio_core import __version__

from ..jobs.rows import Outcome, Row
from ..pool.sync import LoopThread
from .base import WorkerSpec
from .worker import Worker

__all__ = ["answer", "describe"]

_MOST_KEPT: Final = 4
"""Workers that a process keeps although nobody uses them: pipelines come back batch by batch."""

_lock = threading.Lock()
_workers: dict[str, _Kept] = {}


class _Kept:
    """A worker of this process: its connections and what it knows of hosts outlive a chunk."""

    def __init__(self, worker: WorkerSpec) -> None:
        self.users = 0
        self._thread = LoopThread("lmstudio-batch")
        self._worker = Worker(worker)

    def answer(self, rows: Sequence[Row]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._thread.run(self._worker.process(rows, outcomes.extend))
        return outcomes

    def close(self) -> None:
        self._thread.run(self._worker.aclose())
        self._thread.close()


def answer(key: str, worker: WorkerSpec, rows: Sequence[Row]) -> list[Outcome]:
    """Answer a chunk in this process; run by the engine's processes.

    Args:
        key: Of the batch.
        worker: What this process is told.
        rows: The chunk.

    Raises:
        NoHostError: No host takes work.
    """
    with _lock:  # threads of one process share its worker
        kept = _workers.pop(key, None) or _Kept(worker)
        _workers[key] = kept  # the last used stands last
        kept.users += 1
        idle = [name for name, one in _workers.items() if not one.users]
        for name in idle[: max(0, len(_workers) - _MOST_KEPT)]:
            _workers.pop(name).close()
    try:
        return kept.answer(rows)
    finally:
        with _lock:
            kept.users -= 1


def forget() -> None:
    """Close what this process has open."""
    with _lock:
        for kept in _workers.values():
            kept.close()
        _workers.clear()


atexit.register(forget)


def describe() -> tuple[str, int, str]:
    """This node, this process, and the version that all packages of the family have on it."""
    return socket.gethostname(), os.getpid(), __version__
