"""``lmstudio batch`` and ``lmstudio batch status``."""

from __future__ import annotations

from .batch import batch

__all__ = ["batch"]
