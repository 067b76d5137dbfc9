"""What makes a model an embedding model."""

from __future__ import annotations

from typing import Final

from lmstudio_core.models.infos import EmbeddingModelInfo, EmbeddingModelInstanceInfo
from lmstudio_core.models.kind import ModelKind

from .config import EmbeddingLoadModelConfig

__all__ = ["EMBEDDING_KIND"]

EMBEDDING_KIND: Final = ModelKind(
    namespace="embedding",
    domain="embedding",
    info=EmbeddingModelInfo,
    instance_info=EmbeddingModelInstanceInfo,
    load_config=EmbeddingLoadModelConfig,
    handle="lmstudio_embed.models:EmbeddingModel",
    async_handle="lmstudio_embed.models:AsyncEmbeddingModel",
    downloaded="lmstudio_embed.downloaded:DownloadedEmbeddingModel",
    async_downloaded="lmstudio_embed.downloaded:AsyncDownloadedEmbeddingModel",
    context_length_key="embedding.load.contextLength",
)
"""The description of embedding models for ``lmstudio_core.models``."""
