"""What this package announces to the clients: the namespace ``embedding`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

if TYPE_CHECKING:
    from .namespaces import AsyncEmbeddingNamespace, EmbeddingNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[EmbeddingNamespace, AsyncEmbeddingNamespace]] = Capability(
    name="embedding",
    sync_namespace="lmstudio_embed.namespaces:EmbeddingNamespace",
    async_namespace="lmstudio_embed.namespaces:AsyncEmbeddingNamespace",
    exports={
        "AsyncDownloadedEmbeddingModel": "lmstudio_embed.downloaded:AsyncDownloadedEmbeddingModel",
        "AsyncEmbeddingModel": "lmstudio_embed.models:AsyncEmbeddingModel",
        "AsyncEmbeddingNamespace": "lmstudio_embed.namespaces:AsyncEmbeddingNamespace",
        "AsyncEmbeddingStream": "lmstudio_embed.streams:AsyncEmbeddingStream",
        "Chunking": "lmstudio_embed.options:Chunking",
        "DownloadedEmbeddingModel": "lmstudio_embed.downloaded:DownloadedEmbeddingModel",
        "EmbeddingLoadModelConfig": "lmstudio_embed.config:EmbeddingLoadModelConfig",
        "EmbeddingLoadModelConfigDict": "lmstudio_embed.config:EmbeddingLoadModelConfigDict",
        "EmbeddingMatch": "lmstudio_embed.nearest:EmbeddingMatch",
        "EmbeddingModel": "lmstudio_embed.models:EmbeddingModel",
        "EmbeddingNamespace": "lmstudio_embed.namespaces:EmbeddingNamespace",
        "EmbeddingStream": "lmstudio_embed.streams:EmbeddingStream",
        "TextTooLongError": "lmstudio_embed.errors:TextTooLongError",
        "embedding_model": "lmstudio_embed.convenience:embedding_model",
        "search": "lmstudio_embed.nearest:search",
        "similarity": "lmstudio_embed.nearest:similarity",
    },
    model_kind="lmstudio_embed.kind:EMBEDDING_KIND",
)
