"""Keyword arguments that several methods of the models share, for their overloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lmstudio_core.errors import LMStudioPredictionError
from lmstudio_core.timeouts import CallLimits

from .config_dicts import PredictionConfigInput
from .messages import ToolCallRequest
from .operations import ToolChoice
from .prediction import (
    PredictionFirstTokenCallback,
    PredictionFragmentCallback,
    PredictionMessageCallback,
    PromptProcessingCallback,
)
from .tools import ToolDefinition

__all__ = [
    "CompleteOptions",
    "CompleteStreamOptions",
    "InvalidToolRequestHandler",
    "PredictionConfigInput",
    "RespondOptions",
    "RespondStreamOptions",
]

InvalidToolRequestHandler = Callable[[LMStudioPredictionError, ToolCallRequest | None], Any]
"""Called by ``act()`` with what is wrong with a tool call, and the call if it could be read."""


class CompleteStreamOptions(CallLimits, total=False):
    """The keyword arguments of ``complete_stream`` beside the format."""

    config: PredictionConfigInput | None
    preset: str | None
    on_message: PredictionMessageCallback | None
    on_first_token: PredictionFirstTokenCallback | None
    on_prediction_fragment: PredictionFragmentCallback | None
    on_prompt_processing_progress: PromptProcessingCallback | None
    strict: bool


class CompleteOptions(CompleteStreamOptions, total=False):
    """The keyword arguments of ``complete`` beside the format."""

    retries: int


class RespondStreamOptions(CompleteStreamOptions, total=False):
    """The keyword arguments of ``respond_stream`` beside the format."""

    tools: Iterable[ToolDefinition] | None
    tool_choice: ToolChoice | None


class RespondOptions(RespondStreamOptions, total=False):
    """The keyword arguments of ``respond`` beside the format."""

    retries: int
