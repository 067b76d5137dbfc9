"""What is for synchronous programs, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_agent.results import ActResult as ActResult
    from lmstudio_core.client import Client as Client
    from lmstudio_core.client.convenience import list_downloaded_models as list_downloaded_models
    from lmstudio_core.client.convenience import list_loaded_models as list_loaded_models
    from lmstudio_core.client.convenience import prepare_image as prepare_image
    from lmstudio_core.client.default import configure_default_client as configure_default_client
    from lmstudio_core.client.default import get_default_client as get_default_client
    from lmstudio_core.client.default import reset_default_client
    from lmstudio_core.files import FilesNamespace
    from lmstudio_core.manage.repository import RepositoryNamespace
    from lmstudio_core.manage.repository.available import AvailableModel as AvailableModel
    from lmstudio_core.manage.repository.available import ModelDownloadOption as ModelDownloadOption
    from lmstudio_core.manage.system import SystemNamespace
    from lmstudio_core.models.downloaded import AnyDownloadedModel as AnyDownloadedModel
    from lmstudio_core.models.downloaded import DownloadedModel as DownloadedModel
    from lmstudio_core.models.handles import SyncModelHandle as SyncModelHandle
    from lmstudio_core.timeouts import DEFAULT_SYNC_TIMEOUT
    from lmstudio_core.timeouts import get_sync_api_timeout as get_sync_api_timeout
    from lmstudio_core.timeouts import set_sync_api_timeout as set_sync_api_timeout
    from lmstudio_embed.convenience import embedding_model as embedding_model
    from lmstudio_embed.downloaded import DownloadedEmbeddingModel as DownloadedEmbeddingModel
    from lmstudio_embed.models import EmbeddingModel as EmbeddingModel
    from lmstudio_embed.namespaces import EmbeddingNamespace
    from lmstudio_llm.chat import Chat as Chat
    from lmstudio_llm.convenience import llm as llm
    from lmstudio_llm.downloaded import DownloadedLlm as DownloadedLlm
    from lmstudio_llm.models import LLM as LLM
    from lmstudio_llm.namespaces import LLMNamespace
    from lmstudio_llm.results import T as T
    from lmstudio_llm.streams import PredictionStream as PredictionStream

    _DEFAULT_TIMEOUT = DEFAULT_SYNC_TIMEOUT
    _SyncSessionEmbedding = EmbeddingNamespace
    _SyncSessionFiles = FilesNamespace
    _SyncSessionLlm = LLMNamespace
    _SyncSessionRepository = RepositoryNamespace
    _SyncSessionSystem = SystemNamespace
    _reset_default_client = reset_default_client

_HOMES: Final = {
    "ActResult": "lmstudio_agent.results:ActResult",
    "AnyDownloadedModel": "lmstudio_core.models.downloaded:AnyDownloadedModel",
    "AvailableModel": "lmstudio_core.manage.repository.available:AvailableModel",
    "Chat": "lmstudio_llm.chat:Chat",
    "Client": "lmstudio_core.client:Client",
    "DownloadedEmbeddingModel": "lmstudio_embed.downloaded:DownloadedEmbeddingModel",
    "DownloadedLlm": "lmstudio_llm.downloaded:DownloadedLlm",
    "DownloadedModel": "lmstudio_core.models.downloaded:DownloadedModel",
    "EmbeddingModel": "lmstudio_embed.models:EmbeddingModel",
    "LLM": "lmstudio_llm.models:LLM",
    "ModelDownloadOption": "lmstudio_core.manage.repository.available:ModelDownloadOption",
    "PredictionStream": "lmstudio_llm.streams:PredictionStream",
    "SyncModelHandle": "lmstudio_core.models.handles:SyncModelHandle",
    "T": "lmstudio_llm.results:T",
    "_DEFAULT_TIMEOUT": "lmstudio_core.timeouts:DEFAULT_SYNC_TIMEOUT",
    "_SyncSessionEmbedding": "lmstudio_embed.namespaces:EmbeddingNamespace",
    "_SyncSessionFiles": "lmstudio_core.files:FilesNamespace",
    "_SyncSessionLlm": "lmstudio_llm.namespaces:LLMNamespace",
    "_SyncSessionRepository": "lmstudio_core.manage.repository:RepositoryNamespace",
    "_SyncSessionSystem": "lmstudio_core.manage.system:SystemNamespace",
    "_reset_default_client": "lmstudio_core.client.default:reset_default_client",
    "configure_default_client": "lmstudio_core.client.default:configure_default_client",
    "embedding_model": "lmstudio_embed.convenience:embedding_model",
    "get_default_client": "lmstudio_core.client.default:get_default_client",
    "get_sync_api_timeout": "lmstudio_core.timeouts:get_sync_api_timeout",
    "list_downloaded_models": "lmstudio_core.client.convenience:list_downloaded_models",
    "list_loaded_models": "lmstudio_core.client.convenience:list_loaded_models",
    "llm": "lmstudio_llm.convenience:llm",
    "prepare_image": "lmstudio_core.client.convenience:prepare_image",
    "set_sync_api_timeout": "lmstudio_core.timeouts:set_sync_api_timeout",
}

__all__ = [
    "LLM",
    "ActResult",
    "AnyDownloadedModel",
    "AvailableModel",
    "Chat",
    "Client",
    "DownloadedEmbeddingModel",
    "DownloadedLlm",
    "DownloadedModel",
    "EmbeddingModel",
    "ModelDownloadOption",
    "PredictionStream",
    "SyncModelHandle",
    "configure_default_client",
    "embedding_model",
    "get_default_client",
    "get_sync_api_timeout",
    "list_downloaded_models",
    "list_loaded_models",
    "llm",
    "prepare_image",
    "set_sync_api_timeout",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
