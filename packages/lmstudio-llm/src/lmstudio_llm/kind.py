"""What makes a model a language model."""

from __future__ import annotations

from typing import Final

from lmstudio_core.models.infos import LlmInfo, LlmInstanceInfo
from lmstudio_core.models.kind import ModelKind

from .config import LlmLoadModelConfig

__all__ = ["LLM_KIND"]

LLM_KIND: Final = ModelKind(
    namespace="llm",
    domain="llm",
    info=LlmInfo,
    instance_info=LlmInstanceInfo,
    load_config=LlmLoadModelConfig,
    handle="lmstudio_llm.models:LLM",
    async_handle="lmstudio_llm.models:AsyncLLM",
    downloaded="lmstudio_llm.downloaded:DownloadedLlm",
    async_downloaded="lmstudio_llm.downloaded:AsyncDownloadedLlm",
    context_length_key="llm.load.contextLength",
    prediction_config="lmstudio_llm.config:LlmPredictionConfig",
)
"""The description of language models for ``lmstudio_core.models``."""
