"""The synchronous names under the import path that existing programs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

from . import HOME_OF

if TYPE_CHECKING:
    from lmstudio import (
        LLM,
        ActResult,
        Chat,
        Client,
        DownloadedEmbeddingModel,
        DownloadedLlm,
        EmbeddingModel,
        PredictionStream,
        SyncModelHandle,
        configure_default_client,
        embedding_model,
        get_default_client,
        get_sync_api_timeout,
        list_downloaded_models,
        list_loaded_models,
        llm,
        prepare_image,
        set_sync_api_timeout,
    )

__all__ = [
    "LLM",
    "ActResult",
    "Chat",
    "Client",
    "DownloadedEmbeddingModel",
    "DownloadedLlm",
    "EmbeddingModel",
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

__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{home}:{name}" for name, home in HOME_OF.items()}
)
