"""The asynchronous names under the import path that existing programs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

from . import _HOME_OF

if TYPE_CHECKING:
    from lmstudio import (
        ActResult as ActResult,
        AsyncClient as AsyncClient,
        AsyncDownloadedEmbeddingModel as AsyncDownloadedEmbeddingModel,
        AsyncDownloadedLlm as AsyncDownloadedLlm,
        AsyncEmbeddingModel as AsyncEmbeddingModel,
        AsyncLLM as AsyncLLM,
        AsyncPredictionStream as AsyncPredictionStream,
        Chat as Chat,
    )

__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{home}:{name}" for name, home in _HOME_OF.items()}
)
