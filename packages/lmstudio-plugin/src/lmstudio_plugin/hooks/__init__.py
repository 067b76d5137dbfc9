"""The hooks of a plugin: what each is given, and how its requests are answered."""

from __future__ import annotations

from .common import TGlobalConfigSchema, TPluginConfigSchema
from .prediction_loop import PredictionLoopController, run_prediction_loop
from .prompt_preprocessor import (
    PromptPreprocessorController,
    PromptPreprocessorHook,
    run_prompt_preprocessor,
)
from .token_generator import TokenGeneratorController, TokenGeneratorHook, run_token_generator
from .tools_provider import (
    AsyncToolCallContext,
    ToolCallContext,
    ToolsProviderController,
    ToolsProviderHook,
    get_tool_call_context,
    get_tool_call_context_async,
    run_tools_provider,
)

__all__ = [
    "AsyncToolCallContext",
    "PredictionLoopController",
    "PromptPreprocessorController",
    "PromptPreprocessorHook",
    "TGlobalConfigSchema",
    "TPluginConfigSchema",
    "TokenGeneratorController",
    "TokenGeneratorHook",
    "ToolCallContext",
    "ToolsProviderController",
    "ToolsProviderHook",
    "get_tool_call_context",
    "get_tool_call_context_async",
    "run_prediction_loop",
    "run_prompt_preprocessor",
    "run_token_generator",
    "run_tools_provider",
]
