"""Models of a kind whose package is not installed: they can be listed, inspected and unloaded."""

from __future__ import annotations

from typing import Any, Final

from ..config import ConfigModel
from .handles import AsyncModelHandle, SyncModelHandle
from .infos import EmbeddingModelInfo, EmbeddingModelInstanceInfo, LlmInfo, LlmInstanceInfo
from .kind import ModelKind

__all__ = ["GENERIC_KINDS", "AsyncModelHandleOfKind", "ModelHandleOfKind"]

_DOWNLOADED = "lmstudio_core.models.downloaded:DownloadedModel"
_ASYNC_DOWNLOADED = "lmstudio_core.models.downloaded:AsyncDownloadedModel"


class ModelHandleOfKind(SyncModelHandle):
    """A loaded model of a kind whose package is not installed."""

    def __init__(self, model_identifier: str, client: Any, kind: ModelKind) -> None:
        super().__init__(model_identifier, client)
        self._kind = kind  # type: ignore[misc] # one class serves every kind here


class AsyncModelHandleOfKind(AsyncModelHandle):
    """A loaded model of a kind whose package is not installed, for asyncio."""

    def __init__(self, model_identifier: str, client: Any, kind: ModelKind) -> None:
        super().__init__(model_identifier, client)
        self._kind = kind  # type: ignore[misc] # one class serves every kind here


def _generic(namespace: str, info: Any, instance_info: Any) -> ModelKind:
    return ModelKind(
        namespace=namespace,
        domain=namespace,
        info=info,
        instance_info=instance_info,
        load_config=ConfigModel,
        handle="lmstudio_core.models.generic:ModelHandleOfKind",
        async_handle="lmstudio_core.models.generic:AsyncModelHandleOfKind",
        downloaded=_DOWNLOADED,
        async_downloaded=_ASYNC_DOWNLOADED,
        context_length_key=f"{namespace}.load.contextLength",
    )


GENERIC_KINDS: Final = {
    "llm": _generic("llm", LlmInfo, LlmInstanceInfo),
    "embedding": _generic("embedding", EmbeddingModelInfo, EmbeddingModelInstanceInfo),
}
"""The kinds of models that servers have, for when no package for them is installed."""
