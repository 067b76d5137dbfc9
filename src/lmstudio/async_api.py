"""What is for asyncio, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_agent.results import ActResult as ActResult
    from lmstudio_core.client import AsyncClient as AsyncClient
    from lmstudio_core.files import AsyncFilesNamespace
    from lmstudio_core.manage.repository import AsyncRepositoryNamespace
    from lmstudio_core.manage.repository.available import AsyncAvailableModel as AsyncAvailableModel
    from lmstudio_core.manage.repository.available import (
        AsyncModelDownloadOption as AsyncModelDownloadOption,
    )
    from lmstudio_core.manage.system import AsyncSystemNamespace
    from lmstudio_core.models.downloaded import AnyAsyncDownloadedModel as AnyAsyncDownloadedModel
    from lmstudio_core.models.downloaded import AsyncDownloadedModel as AsyncDownloadedModel
    from lmstudio_core.models.handles import AsyncModelHandle as AsyncModelHandle
    from lmstudio_embed.downloaded import (
        AsyncDownloadedEmbeddingModel as AsyncDownloadedEmbeddingModel,
    )
    from lmstudio_embed.models import AsyncEmbeddingModel as AsyncEmbeddingModel
    from lmstudio_embed.namespaces import AsyncEmbeddingNamespace
    from lmstudio_llm.chat import Chat as Chat
    from lmstudio_llm.downloaded import AsyncDownloadedLlm as AsyncDownloadedLlm
    from lmstudio_llm.models import AsyncLLM as AsyncLLM
    from lmstudio_llm.namespaces import AsyncLLMNamespace
    from lmstudio_llm.results import T as T
    from lmstudio_llm.streams import AsyncPredictionStream as AsyncPredictionStream

    _AsyncSessionEmbedding = AsyncEmbeddingNamespace
    _AsyncSessionFiles = AsyncFilesNamespace
    _AsyncSessionLlm = AsyncLLMNamespace
    _AsyncSessionRepository = AsyncRepositoryNamespace
    _AsyncSessionSystem = AsyncSystemNamespace

_HOMES: Final = {
    "ActResult": "lmstudio_agent.results:ActResult",
    "AnyAsyncDownloadedModel": "lmstudio_core.models.downloaded:AnyAsyncDownloadedModel",
    "AsyncAvailableModel": "lmstudio_core.manage.repository.available:AsyncAvailableModel",
    "AsyncClient": "lmstudio_core.client:AsyncClient",
    "AsyncDownloadedEmbeddingModel": "lmstudio_embed.downloaded:AsyncDownloadedEmbeddingModel",
    "AsyncDownloadedLlm": "lmstudio_llm.downloaded:AsyncDownloadedLlm",
    "AsyncDownloadedModel": "lmstudio_core.models.downloaded:AsyncDownloadedModel",
    "AsyncEmbeddingModel": "lmstudio_embed.models:AsyncEmbeddingModel",
    "AsyncLLM": "lmstudio_llm.models:AsyncLLM",
    "AsyncModelDownloadOption": "lmstudio_core.manage.repository.available:AsyncModelDownloadOption",
    "AsyncModelHandle": "lmstudio_core.models.handles:AsyncModelHandle",
    "AsyncPredictionStream": "lmstudio_llm.streams:AsyncPredictionStream",
    "Chat": "lmstudio_llm.chat:Chat",
    "T": "lmstudio_llm.results:T",
    "_AsyncSessionEmbedding": "lmstudio_embed.namespaces:AsyncEmbeddingNamespace",
    "_AsyncSessionFiles": "lmstudio_core.files:AsyncFilesNamespace",
    "_AsyncSessionLlm": "lmstudio_llm.namespaces:AsyncLLMNamespace",
    "_AsyncSessionRepository": "lmstudio_core.manage.repository:AsyncRepositoryNamespace",
    "_AsyncSessionSystem": "lmstudio_core.manage.system:AsyncSystemNamespace",
}

__all__ = [
    "ActResult",
    "AnyAsyncDownloadedModel",
    "AsyncAvailableModel",
    "AsyncClient",
    "AsyncDownloadedEmbeddingModel",
    "AsyncDownloadedLlm",
    "AsyncDownloadedModel",
    "AsyncEmbeddingModel",
    "AsyncLLM",
    "AsyncModelDownloadOption",
    "AsyncModelHandle",
    "AsyncPredictionStream",
    "Chat",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
