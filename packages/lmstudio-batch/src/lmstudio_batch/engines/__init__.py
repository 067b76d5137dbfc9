"""What runs the work of a batch: this process, or others on a cluster that exists."""

from __future__ import annotations

from .base import Engine, WorkerSpec, load_engine

__all__ = ["Engine", "WorkerSpec", "load_engine"]
