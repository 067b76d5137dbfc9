"""Many LM Studio hosts as one model, and batches that survive anything."""

from __future__ import annotations

__version__ = "2.0.0"

__all__: list[str] = []
