"""Language models of LM Studio: chats, predictions, structured output, tool definitions.

With this package installed, ``lmstudio.llm`` and ``client.llm`` work::

    import lmstudio_core as lms

    model = lms.llm("pocket")
    print(model.respond("What is the capital of France?"))

Nothing is imported before one of the names below is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .chat import Chat
    from .config import LlmLoadModelConfig, LlmPredictionConfig
    from .config_dicts import LlmLoadModelConfigDict, LlmPredictionConfigDict
    from .config_types import (
        LlmContextOverflowPolicy,
        LlmJinjaPromptTemplate,
        LlmLlamaCacheQuantizationType,
        LlmLlamaCppArgument,
        LlmLlamaCppArgumentsOverride,
        LlmLoadPromptTemplate,
        LlmManualPromptTemplate,
        LlmMlxKvCacheQuantization,
        LlmPromptTemplate,
        LlmReasoningParsing,
        LlmStructuredPredictionSetting,
        LlmToolChoice,
        LlmToolNaming,
        LlmToolUseSetting,
    )
    from .convenience import llm
    from .downloaded import AsyncDownloadedLlm, DownloadedLlm
    from .fragments import (
        LlmPredictionFragment,
        PredictionEvent,
        PromptProcessingDetails,
        PromptProcessingProgress,
        ToolCallArgumentsFragment,
        ToolCallGenerationEnd,
        ToolCallGenerationFailed,
        ToolCallGenerationStart,
        ToolCallNameReceived,
    )
    from .messages import (
        AnyChatMessage,
        AnyChatMessageDict,
        AssistantResponse,
        AssistantResponseContent,
        AssistantResponseDict,
        ChatHistoryData,
        ChatHistoryDataDict,
        SystemPrompt,
        SystemPromptContent,
        SystemPromptDict,
        TextData,
        TextDataDict,
        ToolCallRequest,
        ToolCallRequestData,
        ToolCallRequestDataDict,
        ToolCallRequestDict,
        ToolCallResultData,
        ToolCallResultDataDict,
        ToolResultMessage,
        ToolResultMessageDict,
        UserMessage,
        UserMessageContent,
        UserMessageDict,
    )
    from .models import LLM, AsyncLLM
    from .namespaces import AsyncLLMNamespace, LLMNamespace
    from .prediction import (
        PredictionFirstTokenCallback,
        PredictionFragmentCallback,
        PredictionMessageCallback,
        PromptProcessingCallback,
    )
    from .results import (
        ContextUsage,
        LlmPredictionStats,
        PredictionResult,
        PredictionRoundResult,
        StructuredOutputError,
    )
    from .schemas import DictObject, DictSchema, GbnfGrammar, ModelSchema, ResponseSchema
    from .streams import AsyncPredictionStream, PredictionStream
    from .tools import ToolDefinition, ToolFunctionDef, ToolFunctionDefDict, ToolParameterDict
    from .vision import LMStudioVisionError

__version__: Final = "2.0.0"

__all__ = [
    "LLM",
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AssistantResponse",
    "AssistantResponseContent",
    "AssistantResponseDict",
    "AsyncDownloadedLlm",
    "AsyncLLM",
    "AsyncLLMNamespace",
    "AsyncPredictionStream",
    "Chat",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "ContextUsage",
    "DictObject",
    "DictSchema",
    "DownloadedLlm",
    "GbnfGrammar",
    "LLMNamespace",
    "LMStudioVisionError",
    "LlmContextOverflowPolicy",
    "LlmJinjaPromptTemplate",
    "LlmLlamaCacheQuantizationType",
    "LlmLlamaCppArgument",
    "LlmLlamaCppArgumentsOverride",
    "LlmLoadModelConfig",
    "LlmLoadModelConfigDict",
    "LlmLoadPromptTemplate",
    "LlmManualPromptTemplate",
    "LlmMlxKvCacheQuantization",
    "LlmPredictionConfig",
    "LlmPredictionConfigDict",
    "LlmPredictionFragment",
    "LlmPredictionStats",
    "LlmPromptTemplate",
    "LlmReasoningParsing",
    "LlmStructuredPredictionSetting",
    "LlmToolChoice",
    "LlmToolNaming",
    "LlmToolUseSetting",
    "ModelSchema",
    "PredictionEvent",
    "PredictionFirstTokenCallback",
    "PredictionFragmentCallback",
    "PredictionMessageCallback",
    "PredictionResult",
    "PredictionRoundResult",
    "PredictionStream",
    "PromptProcessingCallback",
    "PromptProcessingDetails",
    "PromptProcessingProgress",
    "ResponseSchema",
    "StructuredOutputError",
    "SystemPrompt",
    "SystemPromptContent",
    "SystemPromptDict",
    "TextData",
    "TextDataDict",
    "ToolCallArgumentsFragment",
    "ToolCallGenerationEnd",
    "ToolCallGenerationFailed",
    "ToolCallGenerationStart",
    "ToolCallNameReceived",
    "ToolCallRequest",
    "ToolCallRequestData",
    "ToolCallRequestDataDict",
    "ToolCallRequestDict",
    "ToolCallResultData",
    "ToolCallResultDataDict",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolParameterDict",
    "ToolResultMessage",
    "ToolResultMessageDict",
    "UserMessage",
    "UserMessageContent",
    "UserMessageDict",
    "llm",
]

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "chat": ("Chat",),
    "config": (
        "LlmLoadModelConfig",
        "LlmPredictionConfig",
    ),
    "config_dicts": (
        "LlmLoadModelConfigDict",
        "LlmPredictionConfigDict",
    ),
    "config_types": (
        "LlmContextOverflowPolicy",
        "LlmJinjaPromptTemplate",
        "LlmLlamaCacheQuantizationType",
        "LlmLlamaCppArgument",
        "LlmLlamaCppArgumentsOverride",
        "LlmLoadPromptTemplate",
        "LlmManualPromptTemplate",
        "LlmMlxKvCacheQuantization",
        "LlmPromptTemplate",
        "LlmReasoningParsing",
        "LlmStructuredPredictionSetting",
        "LlmToolChoice",
        "LlmToolNaming",
        "LlmToolUseSetting",
    ),
    "convenience": ("llm",),
    "downloaded": (
        "AsyncDownloadedLlm",
        "DownloadedLlm",
    ),
    "fragments": (
        "LlmPredictionFragment",
        "PredictionEvent",
        "PromptProcessingDetails",
        "PromptProcessingProgress",
        "ToolCallArgumentsFragment",
        "ToolCallGenerationEnd",
        "ToolCallGenerationFailed",
        "ToolCallGenerationStart",
        "ToolCallNameReceived",
    ),
    "messages": (
        "AnyChatMessage",
        "AnyChatMessageDict",
        "AssistantResponse",
        "AssistantResponseContent",
        "AssistantResponseDict",
        "ChatHistoryData",
        "ChatHistoryDataDict",
        "SystemPrompt",
        "SystemPromptContent",
        "SystemPromptDict",
        "TextData",
        "TextDataDict",
        "ToolCallRequest",
        "ToolCallRequestData",
        "ToolCallRequestDataDict",
        "ToolCallRequestDict",
        "ToolCallResultData",
        "ToolCallResultDataDict",
        "ToolResultMessage",
        "ToolResultMessageDict",
        "UserMessage",
        "UserMessageContent",
        "UserMessageDict",
    ),
    "models": (
        "LLM",
        "AsyncLLM",
    ),
    "namespaces": (
        "AsyncLLMNamespace",
        "LLMNamespace",
    ),
    "prediction": (
        "PredictionFirstTokenCallback",
        "PredictionFragmentCallback",
        "PredictionMessageCallback",
        "PromptProcessingCallback",
    ),
    "results": (
        "ContextUsage",
        "LlmPredictionStats",
        "PredictionResult",
        "PredictionRoundResult",
        "StructuredOutputError",
    ),
    "schemas": (
        "DictObject",
        "DictSchema",
        "GbnfGrammar",
        "ModelSchema",
        "ResponseSchema",
    ),
    "streams": (
        "AsyncPredictionStream",
        "PredictionStream",
    ),
    "tools": (
        "ToolDefinition",
        "ToolFunctionDef",
        "ToolFunctionDefDict",
        "ToolParameterDict",
    ),
    "vision": ("LMStudioVisionError",),
}

HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> Any:
        if name not in HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{HOME_OF[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
