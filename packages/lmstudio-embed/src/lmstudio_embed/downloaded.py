"""Downloaded embedding models."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from typing_extensions import Unpack

from lmstudio_core.models.downloaded import AsyncDownloadedModel, DownloadedModel
from lmstudio_core.timeouts import CallLimits

if TYPE_CHECKING:
    from lmstudio_core.models.infos import EmbeddingModelInfo
    from lmstudio_core.models.operations import LoadProgressCallback

    from .config import EmbeddingLoadConfigInput
    from .models import AsyncEmbeddingModel, EmbeddingModel

__all__ = ["AsyncDownloadedEmbeddingModel", "DownloadedEmbeddingModel"]


class DownloadedEmbeddingModel(DownloadedModel):
    """An embedding model on the server's disk.

    Example:
        >>> len(client.embedding.list_downloaded()[0].model().embed("Hello"))
        128
    """

    _namespace: ClassVar[str | None] = "embedding"

    if TYPE_CHECKING:

        @property
        def info(self) -> EmbeddingModelInfo: ...  # noqa: D102
        def load_new_instance(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            instance_identifier: str | None = ...,
            config: EmbeddingLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> EmbeddingModel: ...
        def model(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            config: EmbeddingLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> EmbeddingModel: ...


class AsyncDownloadedEmbeddingModel(AsyncDownloadedModel):
    """An embedding model on the server's disk, for asyncio.

    Example:
        >>> async def main() -> None:
        ...     found = await client.embedding.list_downloaded()
        ...     print(await (await found[0].model()).embed("Hello"))
    """

    _namespace: ClassVar[str | None] = "embedding"

    if TYPE_CHECKING:

        @property
        def info(self) -> EmbeddingModelInfo: ...  # noqa: D102
        async def load_new_instance(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            instance_identifier: str | None = ...,
            config: EmbeddingLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> AsyncEmbeddingModel: ...
        async def model(  # noqa: D102
            self,
            *,
            ttl: int | None = ...,
            config: EmbeddingLoadConfigInput | None = ...,
            on_load_progress: LoadProgressCallback | None = ...,
            device: str | None = ...,
            **limits: Unpack[CallLimits],
        ) -> AsyncEmbeddingModel: ...
