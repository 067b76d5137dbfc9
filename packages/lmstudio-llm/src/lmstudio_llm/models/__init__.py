"""Loaded language models: ``LLM`` and ``AsyncLLM``."""

from .aio import AsyncLLM
from .sync import LLM

__all__ = ["LLM", "AsyncLLM"]
