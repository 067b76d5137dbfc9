"""Loaded embedding models: the sync and the async facade."""

from __future__ import annotations

from .aio import AsyncEmbeddingModel
from .sync import EmbeddingModel

__all__ = ["AsyncEmbeddingModel", "EmbeddingModel"]
