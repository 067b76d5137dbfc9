"""What this package announces to the clients: the namespace ``embedding`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.capability import Capability

from . import HOME_OF

if TYPE_CHECKING:
    from .namespaces import AsyncEmbeddingNamespace, EmbeddingNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[EmbeddingNamespace, AsyncEmbeddingNamespace]] = Capability(
    name="embedding",
    sync_namespace="lmstudio_embed.namespaces:EmbeddingNamespace",
    async_namespace="lmstudio_embed.namespaces:AsyncEmbeddingNamespace",
    exports={name: f"lmstudio_embed.{home}:{name}" for name, home in HOME_OF.items()},
    model_kind="lmstudio_embed.kind:EMBEDDING_KIND",
)
