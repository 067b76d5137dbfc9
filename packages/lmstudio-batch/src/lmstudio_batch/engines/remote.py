"""What engines on a cluster share: the worker of a process, and the refusal of other versions."""

from __future__ import annotations

import atexit
import os
import socket
import threading
from collections.abc import Sequence

from ..jobs.rows import Outcome, Row
from ..pool.sync import LoopThread
from .base import WorkerSpec
from .worker import Worker

__all__ = ["answer", "describe"]

_lock = threading.Lock()
_workers: dict[str, tuple[LoopThread, Worker]] = {}
"""A worker for each batch of this process: connections and health outlive a chunk."""


def answer(key: str, worker: WorkerSpec, rows: Sequence[Row]) -> list[Outcome]:
    """Answer a chunk in this process; run by the engine's processes.

    Args:
        key: Of the batch.
        worker: What this process is told.
        rows: The chunk.

    Raises:
        NoHostError: No host takes work.
    """
    with _lock:
        if key not in _workers:
            for thread, other in _workers.values():  # a batch that has ended
                thread.run(other.aclose())
                thread.close()
            _workers.clear()
            _workers[key] = (LoopThread("lmstudio-batch"), Worker(worker))
        thread, made = _workers[key]
    outcomes: list[Outcome] = []
    thread.run(made.process(rows, outcomes.extend))
    return outcomes


def forget() -> None:
    """Close what this process has open."""
    with _lock:
        for thread, worker in _workers.values():
            thread.run(worker.aclose())
            thread.close()
        _workers.clear()


atexit.register(forget)


def describe() -> tuple[str, int, str]:
    """This node, this process, and the version of this package on it."""
    from .. import __version__

    return socket.gethostname(), os.getpid(), __version__
