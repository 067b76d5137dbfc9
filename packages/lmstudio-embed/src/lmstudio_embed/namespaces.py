"""``client.embedding``: embedding models of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Unpack

from lmstudio_core.models.kind import ModelKind
from lmstudio_core.models.namespaces import AsyncModelNamespace, SyncModelNamespace
from lmstudio_core.timeouts import CallLimits

from .config import EmbeddingLoadConfigInput
from .downloaded import AsyncDownloadedEmbeddingModel, DownloadedEmbeddingModel
from .kind import EMBEDDING_KIND
from .models import AsyncEmbeddingModel, EmbeddingModel

if TYPE_CHECKING:
    from lmstudio_core.models.handles import ModelSpecifierInput
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo


__all__ = ["AsyncEmbeddingNamespace", "EmbeddingNamespace"]


class EmbeddingNamespace(
    SyncModelNamespace[EmbeddingModel, DownloadedEmbeddingModel, EmbeddingLoadConfigInput]
):
    """Embedding models: load, list and unload them.

    Example:
        >>> len(client.embedding.model("pocket-embedding").embed("Hello"))
        128
    """

    server_namespace: ClassVar[str] = "embedding"
    kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        def get_model_info(  # noqa: D102
            self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
        ) -> EmbeddingModelInstanceInfo: ...


class AsyncEmbeddingNamespace(
    AsyncModelNamespace[
        AsyncEmbeddingModel, AsyncDownloadedEmbeddingModel, EmbeddingLoadConfigInput
    ]
):
    """Embedding models, for asyncio: load, list and unload them.

    Example:
        >>> async def main() -> None:
        ...     model = await client.embedding.model("pocket-embedding")
        ...     print(await model.embed("Hello"))
    """

    server_namespace: ClassVar[str] = "embedding"
    kind: ClassVar[ModelKind] = EMBEDDING_KIND

    if TYPE_CHECKING:

        async def get_model_info(  # noqa: D102
            self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
        ) -> EmbeddingModelInstanceInfo: ...
