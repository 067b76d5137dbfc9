"""The Python SDK for LM Studio.

::

    import lmstudio as lms

    print(lms.llm("qwen/qwen3-4b-2507").respond("What is the meaning of life?"))

    with lms.Client() as client:                     # scoped resources
        model = client.llm.model("qwen/qwen3-4b-2507")
        print(model.respond("What is the meaning of life?"))

Nothing is imported before it is used. This file is written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.lazy import lazy_names

if TYPE_CHECKING:
    from lmstudio_agent.context import (
        ToolCallContext as ToolCallContext,
    )
    from lmstudio_agent.namespaces import (
        AgentNamespace as AgentNamespace,
        AsyncAgentNamespace as AsyncAgentNamespace,
    )
    from lmstudio_agent.results import (
        ActResult as ActResult,
        ToolCallRecord as ToolCallRecord,
        Usage as Usage,
    )
    from lmstudio_core.client import (
        AsyncClient as AsyncClient,
        Client as Client,
    )
    from lmstudio_core.config import (
        AnyLoadConfig as AnyLoadConfig,
    )
    from lmstudio_core.convenience import (
        list_downloaded_models as list_downloaded_models,
        list_loaded_models as list_loaded_models,
        prepare_image as prepare_image,
    )
    from lmstudio_core.data import (
        AnyLMStudioStruct as AnyLMStudioStruct,
        BaseModel as BaseModel,
    )
    from lmstudio_core.default import (
        configure_default_client as configure_default_client,
        get_default_client as get_default_client,
    )
    from lmstudio_core.errors import (
        CapabilityNotInstalledError as CapabilityNotInstalledError,
        LMStudioAuthenticationError as LMStudioAuthenticationError,
        LMStudioCancelledError as LMStudioCancelledError,
        LMStudioChannelClosedError as LMStudioChannelClosedError,
        LMStudioClientError as LMStudioClientError,
        LMStudioConnectionError as LMStudioConnectionError,
        LMStudioError as LMStudioError,
        LMStudioModelNotFoundError as LMStudioModelNotFoundError,
        LMStudioOSError as LMStudioOSError,
        LMStudioPredictionError as LMStudioPredictionError,
        LMStudioPresetNotFoundError as LMStudioPresetNotFoundError,
        LMStudioRequestRejectedError as LMStudioRequestRejectedError,
        LMStudioRuntimeError as LMStudioRuntimeError,
        LMStudioServerError as LMStudioServerError,
        LMStudioTimeoutError as LMStudioTimeoutError,
        LMStudioUnknownMessageWarning as LMStudioUnknownMessageWarning,
        LMStudioValueError as LMStudioValueError,
        LMStudioWebsocketError as LMStudioWebsocketError,
        PluginLoadError as PluginLoadError,
        ValidationError as ValidationError,
    )
    from lmstudio_core.files import (
        FileHandle as FileHandle,
        FileHandleDict as FileHandleDict,
        FileHandleInput as FileHandleInput,
        FileType as FileType,
        LocalFileInput as LocalFileInput,
    )
    from lmstudio_core.models.downloaded import (
        AnyAsyncDownloadedModel as AnyAsyncDownloadedModel,
        AnyDownloadedModel as AnyDownloadedModel,
    )
    from lmstudio_core.models.handles import (
        AsyncModelHandle as AsyncModelHandle,
        SyncModelHandle as SyncModelHandle,
    )
    from lmstudio_core.models.infos import (
        EmbeddingModelInfo as EmbeddingModelInfo,
        EmbeddingModelInstanceInfo as EmbeddingModelInstanceInfo,
        LlmInfo as LlmInfo,
        LlmInstanceInfo as LlmInstanceInfo,
        ModelInfo as ModelInfo,
        ModelInstanceInfo as ModelInstanceInfo,
        ModelLoadResult as ModelLoadResult,
        ModelQuery as ModelQuery,
    )
    from lmstudio_core.models.specifiers import (
        AnyModelSpecifier as AnyModelSpecifier,
        ModelQueryDict as ModelQueryDict,
        ModelSpecifier as ModelSpecifier,
        ModelSpecifierDict as ModelSpecifierDict,
    )
    from lmstudio_core.namespaces.files.data import (
        DocumentParsingLibrary as DocumentParsingLibrary,
        ParsedDocument as ParsedDocument,
        RetrievalEvent as RetrievalEvent,
        RetrievalResult as RetrievalResult,
        RetrievalResultEntry as RetrievalResultEntry,
    )
    from lmstudio_core.namespaces.repository.available import (
        AsyncAvailableModel as AsyncAvailableModel,
        AsyncModelDownloadOption as AsyncModelDownloadOption,
        AvailableModel as AvailableModel,
        ModelDownloadOption as ModelDownloadOption,
    )
    from lmstudio_core.namespaces.repository.data import (
        DownloadFinalizedCallback as DownloadFinalizedCallback,
        DownloadProgressCallback as DownloadProgressCallback,
        DownloadProgressUpdate as DownloadProgressUpdate,
    )
    from lmstudio_core.server_errors import (
        SerializedLMSExtendedError as SerializedLMSExtendedError,
    )
    from lmstudio_core.timeouts import (
        get_sync_api_timeout as get_sync_api_timeout,
        set_sync_api_timeout as set_sync_api_timeout,
    )
    from lmstudio_embed.config import (
        EmbeddingLoadModelConfig as EmbeddingLoadModelConfig,
        EmbeddingLoadModelConfigDict as EmbeddingLoadModelConfigDict,
    )
    from lmstudio_embed.convenience import (
        embedding_model as embedding_model,
    )
    from lmstudio_embed.downloaded import (
        AsyncDownloadedEmbeddingModel as AsyncDownloadedEmbeddingModel,
        DownloadedEmbeddingModel as DownloadedEmbeddingModel,
    )
    from lmstudio_embed.models import (
        AsyncEmbeddingModel as AsyncEmbeddingModel,
        EmbeddingModel as EmbeddingModel,
    )
    from lmstudio_embed.namespaces import (
        AsyncEmbeddingNamespace as AsyncEmbeddingNamespace,
        EmbeddingNamespace as EmbeddingNamespace,
    )
    from lmstudio_embed.streams import (
        AsyncEmbeddingStream as AsyncEmbeddingStream,
        EmbeddingStream as EmbeddingStream,
    )
    from lmstudio_llm.chat import (
        Chat as Chat,
    )
    from lmstudio_llm.config import (
        LlmLoadModelConfig as LlmLoadModelConfig,
        LlmPredictionConfig as LlmPredictionConfig,
    )
    from lmstudio_llm.config_types import (
        LlmJinjaPromptTemplate as LlmJinjaPromptTemplate,
        LlmLlamaCppArgument as LlmLlamaCppArgument,
        LlmLlamaCppArgumentsOverride as LlmLlamaCppArgumentsOverride,
        LlmLoadModelConfigDict as LlmLoadModelConfigDict,
        LlmLoadPromptTemplate as LlmLoadPromptTemplate,
        LlmManualPromptTemplate as LlmManualPromptTemplate,
        LlmMlxKvCacheQuantization as LlmMlxKvCacheQuantization,
        LlmPredictionConfigDict as LlmPredictionConfigDict,
        LlmPromptTemplate as LlmPromptTemplate,
        LlmReasoningParsing as LlmReasoningParsing,
        LlmStructuredPredictionSetting as LlmStructuredPredictionSetting,
        LlmToolChoice as LlmToolChoice,
        LlmToolUseSetting as LlmToolUseSetting,
    )
    from lmstudio_llm.convenience import (
        llm as llm,
    )
    from lmstudio_llm.downloaded import (
        AsyncDownloadedLlm as AsyncDownloadedLlm,
        DownloadedLlm as DownloadedLlm,
    )
    from lmstudio_llm.fragments import (
        LlmPredictionFragment as LlmPredictionFragment,
        PredictionEvent as PredictionEvent,
        PromptProcessingDetails as PromptProcessingDetails,
        PromptProcessingProgress as PromptProcessingProgress,
        ToolCallArgumentsFragment as ToolCallArgumentsFragment,
        ToolCallGenerationEnd as ToolCallGenerationEnd,
        ToolCallGenerationFailed as ToolCallGenerationFailed,
        ToolCallGenerationStart as ToolCallGenerationStart,
        ToolCallNameReceived as ToolCallNameReceived,
    )
    from lmstudio_llm.messages import (
        AnyChatMessage as AnyChatMessage,
        AnyChatMessageDict as AnyChatMessageDict,
        AssistantResponse as AssistantResponse,
        AssistantResponseContent as AssistantResponseContent,
        AssistantResponseDict as AssistantResponseDict,
        ChatHistoryData as ChatHistoryData,
        ChatHistoryDataDict as ChatHistoryDataDict,
        SystemPrompt as SystemPrompt,
        SystemPromptContent as SystemPromptContent,
        SystemPromptDict as SystemPromptDict,
        TextData as TextData,
        TextDataDict as TextDataDict,
        ToolCallRequest as ToolCallRequest,
        ToolCallRequestData as ToolCallRequestData,
        ToolCallRequestDict as ToolCallRequestDict,
        ToolCallResultData as ToolCallResultData,
        ToolCallResultDataDict as ToolCallResultDataDict,
        ToolResultMessage as ToolResultMessage,
        ToolResultMessageDict as ToolResultMessageDict,
        UserMessage as UserMessage,
        UserMessageContent as UserMessageContent,
        UserMessageDict as UserMessageDict,
    )
    from lmstudio_llm.models import (
        AsyncLLM as AsyncLLM,
        LLM as LLM,
    )
    from lmstudio_llm.namespaces import (
        AsyncLLMNamespace as AsyncLLMNamespace,
        LLMNamespace as LLMNamespace,
    )
    from lmstudio_llm.prediction import (
        PredictionFirstTokenCallback as PredictionFirstTokenCallback,
        PredictionFragmentCallback as PredictionFragmentCallback,
        PredictionMessageCallback as PredictionMessageCallback,
        PromptProcessingCallback as PromptProcessingCallback,
    )
    from lmstudio_llm.results import (
        LlmPredictionStats as LlmPredictionStats,
        PredictionResult as PredictionResult,
        PredictionRoundResult as PredictionRoundResult,
        StructuredOutputError as StructuredOutputError,
    )
    from lmstudio_llm.schemas import (
        DictObject as DictObject,
        DictSchema as DictSchema,
        GbnfGrammar as GbnfGrammar,
        ModelSchema as ModelSchema,
        ResponseSchema as ResponseSchema,
    )
    from lmstudio_llm.streams import (
        AsyncPredictionStream as AsyncPredictionStream,
        PredictionStream as PredictionStream,
    )
    from lmstudio_llm.tools import (
        ToolDefinition as ToolDefinition,
        ToolFunctionDef as ToolFunctionDef,
        ToolFunctionDefDict as ToolFunctionDefDict,
    )

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "lmstudio_agent.context": ("ToolCallContext",),
    "lmstudio_agent.namespaces": (
        "AgentNamespace",
        "AsyncAgentNamespace",
    ),
    "lmstudio_agent.results": (
        "ActResult",
        "ToolCallRecord",
        "Usage",
    ),
    "lmstudio_core.client": (
        "AsyncClient",
        "Client",
    ),
    "lmstudio_core.config": ("AnyLoadConfig",),
    "lmstudio_core.convenience": (
        "list_downloaded_models",
        "list_loaded_models",
        "prepare_image",
    ),
    "lmstudio_core.data": (
        "AnyLMStudioStruct",
        "BaseModel",
    ),
    "lmstudio_core.default": (
        "configure_default_client",
        "get_default_client",
    ),
    "lmstudio_core.errors": (
        "CapabilityNotInstalledError",
        "LMStudioAuthenticationError",
        "LMStudioCancelledError",
        "LMStudioChannelClosedError",
        "LMStudioClientError",
        "LMStudioConnectionError",
        "LMStudioError",
        "LMStudioModelNotFoundError",
        "LMStudioOSError",
        "LMStudioPredictionError",
        "LMStudioPresetNotFoundError",
        "LMStudioRequestRejectedError",
        "LMStudioRuntimeError",
        "LMStudioServerError",
        "LMStudioTimeoutError",
        "LMStudioUnknownMessageWarning",
        "LMStudioValueError",
        "LMStudioWebsocketError",
        "PluginLoadError",
        "ValidationError",
    ),
    "lmstudio_core.files": (
        "FileHandle",
        "FileHandleDict",
        "FileHandleInput",
        "FileType",
        "LocalFileInput",
    ),
    "lmstudio_core.models.downloaded": (
        "AnyAsyncDownloadedModel",
        "AnyDownloadedModel",
    ),
    "lmstudio_core.models.handles": (
        "AsyncModelHandle",
        "SyncModelHandle",
    ),
    "lmstudio_core.models.infos": (
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
        "LlmInfo",
        "LlmInstanceInfo",
        "ModelInfo",
        "ModelInstanceInfo",
        "ModelLoadResult",
        "ModelQuery",
    ),
    "lmstudio_core.models.specifiers": (
        "AnyModelSpecifier",
        "ModelQueryDict",
        "ModelSpecifier",
        "ModelSpecifierDict",
    ),
    "lmstudio_core.namespaces.files.data": (
        "DocumentParsingLibrary",
        "ParsedDocument",
        "RetrievalEvent",
        "RetrievalResult",
        "RetrievalResultEntry",
    ),
    "lmstudio_core.namespaces.repository.available": (
        "AsyncAvailableModel",
        "AsyncModelDownloadOption",
        "AvailableModel",
        "ModelDownloadOption",
    ),
    "lmstudio_core.namespaces.repository.data": (
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
        "DownloadProgressUpdate",
    ),
    "lmstudio_core.server_errors": ("SerializedLMSExtendedError",),
    "lmstudio_core.timeouts": (
        "get_sync_api_timeout",
        "set_sync_api_timeout",
    ),
    "lmstudio_embed.config": (
        "EmbeddingLoadModelConfig",
        "EmbeddingLoadModelConfigDict",
    ),
    "lmstudio_embed.convenience": ("embedding_model",),
    "lmstudio_embed.downloaded": (
        "AsyncDownloadedEmbeddingModel",
        "DownloadedEmbeddingModel",
    ),
    "lmstudio_embed.models": (
        "AsyncEmbeddingModel",
        "EmbeddingModel",
    ),
    "lmstudio_embed.namespaces": (
        "AsyncEmbeddingNamespace",
        "EmbeddingNamespace",
    ),
    "lmstudio_embed.streams": (
        "AsyncEmbeddingStream",
        "EmbeddingStream",
    ),
    "lmstudio_llm.chat": ("Chat",),
    "lmstudio_llm.config": (
        "LlmLoadModelConfig",
        "LlmPredictionConfig",
    ),
    "lmstudio_llm.config_types": (
        "LlmJinjaPromptTemplate",
        "LlmLlamaCppArgument",
        "LlmLlamaCppArgumentsOverride",
        "LlmLoadModelConfigDict",
        "LlmLoadPromptTemplate",
        "LlmManualPromptTemplate",
        "LlmMlxKvCacheQuantization",
        "LlmPredictionConfigDict",
        "LlmPromptTemplate",
        "LlmReasoningParsing",
        "LlmStructuredPredictionSetting",
        "LlmToolChoice",
        "LlmToolUseSetting",
    ),
    "lmstudio_llm.convenience": ("llm",),
    "lmstudio_llm.downloaded": (
        "AsyncDownloadedLlm",
        "DownloadedLlm",
    ),
    "lmstudio_llm.fragments": (
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
    "lmstudio_llm.messages": (
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
        "ToolCallRequestDict",
        "ToolCallResultData",
        "ToolCallResultDataDict",
        "ToolResultMessage",
        "ToolResultMessageDict",
        "UserMessage",
        "UserMessageContent",
        "UserMessageDict",
    ),
    "lmstudio_llm.models": (
        "AsyncLLM",
        "LLM",
    ),
    "lmstudio_llm.namespaces": (
        "AsyncLLMNamespace",
        "LLMNamespace",
    ),
    "lmstudio_llm.prediction": (
        "PredictionFirstTokenCallback",
        "PredictionFragmentCallback",
        "PredictionMessageCallback",
        "PromptProcessingCallback",
    ),
    "lmstudio_llm.results": (
        "LlmPredictionStats",
        "PredictionResult",
        "PredictionRoundResult",
        "StructuredOutputError",
    ),
    "lmstudio_llm.schemas": (
        "DictObject",
        "DictSchema",
        "GbnfGrammar",
        "ModelSchema",
        "ResponseSchema",
    ),
    "lmstudio_llm.streams": (
        "AsyncPredictionStream",
        "PredictionStream",
    ),
    "lmstudio_llm.tools": (
        "ToolDefinition",
        "ToolFunctionDef",
        "ToolFunctionDefDict",
    ),
}

_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ActResult",
    "AgentNamespace",
    "AnyAsyncDownloadedModel",
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AnyDownloadedModel",
    "AnyLMStudioStruct",
    "AnyLoadConfig",
    "AnyModelSpecifier",
    "AssistantResponse",
    "AssistantResponseContent",
    "AssistantResponseDict",
    "AsyncAgentNamespace",
    "AsyncAvailableModel",
    "AsyncClient",
    "AsyncDownloadedEmbeddingModel",
    "AsyncDownloadedLlm",
    "AsyncEmbeddingModel",
    "AsyncEmbeddingNamespace",
    "AsyncEmbeddingStream",
    "AsyncLLM",
    "AsyncLLMNamespace",
    "AsyncModelDownloadOption",
    "AsyncModelHandle",
    "AsyncPredictionStream",
    "AvailableModel",
    "BaseModel",
    "CapabilityNotInstalledError",
    "Chat",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "Client",
    "DictObject",
    "DictSchema",
    "DocumentParsingLibrary",
    "DownloadFinalizedCallback",
    "DownloadProgressCallback",
    "DownloadProgressUpdate",
    "DownloadedEmbeddingModel",
    "DownloadedLlm",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingModel",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "EmbeddingNamespace",
    "EmbeddingStream",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "FileType",
    "GbnfGrammar",
    "LLM",
    "LLMNamespace",
    "LMStudioAuthenticationError",
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioConnectionError",
    "LMStudioError",
    "LMStudioModelNotFoundError",
    "LMStudioOSError",
    "LMStudioPredictionError",
    "LMStudioPresetNotFoundError",
    "LMStudioRequestRejectedError",
    "LMStudioRuntimeError",
    "LMStudioServerError",
    "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning",
    "LMStudioValueError",
    "LMStudioWebsocketError",
    "LlmInfo",
    "LlmInstanceInfo",
    "LlmJinjaPromptTemplate",
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
    "LlmToolUseSetting",
    "LocalFileInput",
    "ModelDownloadOption",
    "ModelInfo",
    "ModelInstanceInfo",
    "ModelLoadResult",
    "ModelQuery",
    "ModelQueryDict",
    "ModelSchema",
    "ModelSpecifier",
    "ModelSpecifierDict",
    "ParsedDocument",
    "PluginLoadError",
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
    "RetrievalEvent",
    "RetrievalResult",
    "RetrievalResultEntry",
    "SerializedLMSExtendedError",
    "StructuredOutputError",
    "SyncModelHandle",
    "SystemPrompt",
    "SystemPromptContent",
    "SystemPromptDict",
    "TextData",
    "TextDataDict",
    "ToolCallArgumentsFragment",
    "ToolCallContext",
    "ToolCallGenerationEnd",
    "ToolCallGenerationFailed",
    "ToolCallGenerationStart",
    "ToolCallNameReceived",
    "ToolCallRecord",
    "ToolCallRequest",
    "ToolCallRequestData",
    "ToolCallRequestDict",
    "ToolCallResultData",
    "ToolCallResultDataDict",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolResultMessage",
    "ToolResultMessageDict",
    "Usage",
    "UserMessage",
    "UserMessageContent",
    "UserMessageDict",
    "ValidationError",
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

__version__: Final = "2.0.0"

__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{home}:{name}" for name, home in _HOME_OF.items()}
)
