"""The asynchronous names under the import path that existing programs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

from . import HOME_OF

if TYPE_CHECKING:
    from lmstudio import (
        ActResult,
        AsyncClient,
        AsyncDownloadedEmbeddingModel,
        AsyncDownloadedLlm,
        AsyncEmbeddingModel,
        AsyncLLM,
        AsyncPredictionStream,
        Chat,
    )

__all__ = [
    "ActResult",
    "AsyncClient",
    "AsyncDownloadedEmbeddingModel",
    "AsyncDownloadedLlm",
    "AsyncEmbeddingModel",
    "AsyncLLM",
    "AsyncPredictionStream",
    "Chat",
]

__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{home}:{name}" for name, home in HOME_OF.items()}
)
