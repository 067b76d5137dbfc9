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

try:
    from lmstudio_core.lazy import lazy_names
except ModuleNotFoundError as _error:  # with "_", for it would be a public name
    if _error.name != "lmstudio_core":
        raise
    raise ModuleNotFoundError(
        "lmstudio needs the package lmstudio-core, which is not installed. Install it with: "
        "pip install lmstudio-core",
        name=_error.name,
    ) from _error

if TYPE_CHECKING:
    from lmstudio_agent.context import (
        ToolCallContext,
    )
    from lmstudio_agent.encoding import (
        ToolImage,
    )
    from lmstudio_agent.events import (
        ActEvent,
        ActRoundEnd,
        ActRoundStart,
        ActToolCall,
        ActToolResult,
    )
    from lmstudio_agent.mcp_toolset import (
        McpToolset,
        mcp_tools,
    )
    from lmstudio_agent.namespaces import (
        AgentNamespace,
        AsyncAgentNamespace,
    )
    from lmstudio_agent.plugin_toolset import (
        PluginToolset,
        plugin_tools,
    )
    from lmstudio_agent.results import (
        ActResult,
        ToolCallRecord,
        Usage,
    )
    from lmstudio_agent.streams import (
        ActStream,
    )
    from lmstudio_agent.streams_aio import (
        AsyncActStream,
    )
    from lmstudio_agent.toolsets import (
        Toolset,
        toolset_names,
    )
    from lmstudio_core.client import (
        AsyncClient,
        Client,
    )
    from lmstudio_core.client.convenience import (
        list_downloaded_models,
        list_loaded_models,
        prepare_image,
    )
    from lmstudio_core.client.default import (
        configure_default_client,
        get_default_client,
    )
    from lmstudio_core.config import (
        AnyLoadConfig,
    )
    from lmstudio_core.data import (
        AnyLMStudioStruct,
        BaseModel,
    )
    from lmstudio_core.errors import (
        CapabilityNotInstalledError,
        FieldNameError,
        FrozenProgramError,
        LMStudioAmbiguousModelError,
        LMStudioAuthenticationError,
        LMStudioCancelledError,
        LMStudioChannelClosedError,
        LMStudioClientError,
        LMStudioClosedError,
        LMStudioConnectionError,
        LMStudioError,
        LMStudioHostError,
        LMStudioIdentifierInUseError,
        LMStudioModelDomainError,
        LMStudioModelNotFoundError,
        LMStudioOSError,
        LMStudioPredictionError,
        LMStudioPresetNotFoundError,
        LMStudioRequestRejectedError,
        LMStudioRuntimeError,
        LMStudioServerError,
        LMStudioTimeoutError,
        LMStudioUnknownMessageWarning,
        LMStudioUnknownSettingWarning,
        LMStudioValueError,
        LMStudioWebsocketError,
        PluginLoadError,
        ValidationError,
    )
    from lmstudio_core.files.data import (
        DocumentParsingLibrary,
        ParsedDocument,
        RetrievalEvent,
        RetrievalResult,
        RetrievalResultEntry,
    )
    from lmstudio_core.files.handles import (
        FileHandle,
        FileHandleDict,
        FileHandleInput,
        FileType,
        LocalFileInput,
    )
    from lmstudio_core.manage.repository.available import (
        AsyncAvailableModel,
        AsyncModelDownloadOption,
        AvailableModel,
        ModelDownloadOption,
    )
    from lmstudio_core.manage.repository.data import (
        DownloadFinalizedCallback,
        DownloadProgressCallback,
        DownloadProgressUpdate,
    )
    from lmstudio_core.models.downloaded import (
        AnyAsyncDownloadedModel,
        AnyDownloadedModel,
    )
    from lmstudio_core.models.gpu import (
        GpuSetting,
        GpuSettingDict,
    )
    from lmstudio_core.models.handles import (
        AsyncModelHandle,
        SyncModelHandle,
    )
    from lmstudio_core.models.infos import (
        EmbeddingModelInfo,
        EmbeddingModelInstanceInfo,
        EstimatedMemory,
        EstimatedResources,
        LlmInfo,
        LlmInstanceInfo,
        ModelInfo,
        ModelInstanceInfo,
        ModelLoadResult,
        ModelProcessingState,
        ModelQuery,
    )
    from lmstudio_core.models.specifiers import (
        AnyModelSpecifier,
        ModelQueryDict,
        ModelSpecifier,
        ModelSpecifierDict,
    )
    from lmstudio_core.program.progress import (
        ProgressBar,
    )
    from lmstudio_core.protocol.server_errors import (
        SerializedLMSExtendedError,
    )
    from lmstudio_core.timeouts import (
        get_sync_api_timeout,
        set_sync_api_timeout,
    )
    from lmstudio_embed.config import (
        EmbeddingLoadModelConfig,
        EmbeddingLoadModelConfigDict,
    )
    from lmstudio_embed.convenience import (
        embedding_model,
    )
    from lmstudio_embed.downloaded import (
        AsyncDownloadedEmbeddingModel,
        DownloadedEmbeddingModel,
    )
    from lmstudio_embed.errors import (
        TextTooLongError,
    )
    from lmstudio_embed.models import (
        AsyncEmbeddingModel,
        EmbeddingModel,
    )
    from lmstudio_embed.namespaces import (
        AsyncEmbeddingNamespace,
        EmbeddingNamespace,
    )
    from lmstudio_embed.nearest import (
        EmbeddingMatch,
        search,
        similarity,
    )
    from lmstudio_embed.options import (
        Chunking,
    )
    from lmstudio_embed.streams import (
        AsyncEmbeddingStream,
        EmbeddingStream,
    )
    from lmstudio_llm.chat import (
        Chat,
    )
    from lmstudio_llm.config import (
        LlmLoadModelConfig,
        LlmPredictionConfig,
    )
    from lmstudio_llm.config_dicts import (
        LlmLoadModelConfigDict,
        LlmPredictionConfigDict,
    )
    from lmstudio_llm.config_types import (
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
    from lmstudio_llm.convenience import (
        llm,
    )
    from lmstudio_llm.downloaded import (
        AsyncDownloadedLlm,
        DownloadedLlm,
    )
    from lmstudio_llm.fragments import (
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
    from lmstudio_llm.messages import (
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
    from lmstudio_llm.models import (
        LLM,
        AsyncLLM,
    )
    from lmstudio_llm.namespaces import (
        AsyncLLMNamespace,
        LLMNamespace,
    )
    from lmstudio_llm.prediction import (
        PredictionFirstTokenCallback,
        PredictionFragmentCallback,
        PredictionMessageCallback,
        PromptProcessingCallback,
    )
    from lmstudio_llm.results import (
        ContextUsage,
        LlmPredictionStats,
        PredictionResult,
        PredictionRoundResult,
        StructuredOutputError,
    )
    from lmstudio_llm.schemas import (
        DictObject,
        DictSchema,
        GbnfGrammar,
        ModelSchema,
        ResponseSchema,
    )
    from lmstudio_llm.streams import (
        AsyncPredictionStream,
        PredictionStream,
    )
    from lmstudio_llm.tools import (
        ToolDefinition,
        ToolFunctionDef,
        ToolFunctionDefDict,
        ToolParameterDict,
    )
    from lmstudio_llm.vision import (
        LMStudioVisionError,
    )

    from . import (
        _sdk_models as _sdk_models,
    )
    from . import (
        async_api as async_api,
    )
    from . import (
        history as history,
    )
    from . import (
        json_api as json_api,
    )
    from . import (
        schemas as schemas,
    )
    from . import (
        sdk_api as sdk_api,
    )
    from . import (
        sync_api as sync_api,
    )

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "lmstudio_agent.context": ("ToolCallContext",),
    "lmstudio_agent.encoding": ("ToolImage",),
    "lmstudio_agent.events": (
        "ActEvent",
        "ActRoundEnd",
        "ActRoundStart",
        "ActToolCall",
        "ActToolResult",
    ),
    "lmstudio_agent.mcp_toolset": (
        "McpToolset",
        "mcp_tools",
    ),
    "lmstudio_agent.namespaces": (
        "AgentNamespace",
        "AsyncAgentNamespace",
    ),
    "lmstudio_agent.plugin_toolset": (
        "PluginToolset",
        "plugin_tools",
    ),
    "lmstudio_agent.results": (
        "ActResult",
        "ToolCallRecord",
        "Usage",
    ),
    "lmstudio_agent.streams": ("ActStream",),
    "lmstudio_agent.streams_aio": ("AsyncActStream",),
    "lmstudio_agent.toolsets": (
        "Toolset",
        "toolset_names",
    ),
    "lmstudio_core.client": (
        "AsyncClient",
        "Client",
    ),
    "lmstudio_core.client.convenience": (
        "list_downloaded_models",
        "list_loaded_models",
        "prepare_image",
    ),
    "lmstudio_core.client.default": (
        "configure_default_client",
        "get_default_client",
    ),
    "lmstudio_core.config": ("AnyLoadConfig",),
    "lmstudio_core.data": (
        "AnyLMStudioStruct",
        "BaseModel",
    ),
    "lmstudio_core.errors": (
        "CapabilityNotInstalledError",
        "FieldNameError",
        "FrozenProgramError",
        "LMStudioAmbiguousModelError",
        "LMStudioAuthenticationError",
        "LMStudioCancelledError",
        "LMStudioChannelClosedError",
        "LMStudioClientError",
        "LMStudioClosedError",
        "LMStudioConnectionError",
        "LMStudioError",
        "LMStudioHostError",
        "LMStudioIdentifierInUseError",
        "LMStudioModelDomainError",
        "LMStudioModelNotFoundError",
        "LMStudioOSError",
        "LMStudioPredictionError",
        "LMStudioPresetNotFoundError",
        "LMStudioRequestRejectedError",
        "LMStudioRuntimeError",
        "LMStudioServerError",
        "LMStudioTimeoutError",
        "LMStudioUnknownMessageWarning",
        "LMStudioUnknownSettingWarning",
        "LMStudioValueError",
        "LMStudioWebsocketError",
        "PluginLoadError",
        "ValidationError",
    ),
    "lmstudio_core.files.data": (
        "DocumentParsingLibrary",
        "ParsedDocument",
        "RetrievalEvent",
        "RetrievalResult",
        "RetrievalResultEntry",
    ),
    "lmstudio_core.files.handles": (
        "FileHandle",
        "FileHandleDict",
        "FileHandleInput",
        "FileType",
        "LocalFileInput",
    ),
    "lmstudio_core.manage.repository.available": (
        "AsyncAvailableModel",
        "AsyncModelDownloadOption",
        "AvailableModel",
        "ModelDownloadOption",
    ),
    "lmstudio_core.manage.repository.data": (
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
        "DownloadProgressUpdate",
    ),
    "lmstudio_core.models.downloaded": (
        "AnyAsyncDownloadedModel",
        "AnyDownloadedModel",
    ),
    "lmstudio_core.models.gpu": (
        "GpuSetting",
        "GpuSettingDict",
    ),
    "lmstudio_core.models.handles": (
        "AsyncModelHandle",
        "SyncModelHandle",
    ),
    "lmstudio_core.models.infos": (
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
        "EstimatedMemory",
        "EstimatedResources",
        "LlmInfo",
        "LlmInstanceInfo",
        "ModelInfo",
        "ModelInstanceInfo",
        "ModelLoadResult",
        "ModelProcessingState",
        "ModelQuery",
    ),
    "lmstudio_core.models.specifiers": (
        "AnyModelSpecifier",
        "ModelQueryDict",
        "ModelSpecifier",
        "ModelSpecifierDict",
    ),
    "lmstudio_core.program.progress": ("ProgressBar",),
    "lmstudio_core.protocol.server_errors": ("SerializedLMSExtendedError",),
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
    "lmstudio_embed.errors": ("TextTooLongError",),
    "lmstudio_embed.models": (
        "AsyncEmbeddingModel",
        "EmbeddingModel",
    ),
    "lmstudio_embed.namespaces": (
        "AsyncEmbeddingNamespace",
        "EmbeddingNamespace",
    ),
    "lmstudio_embed.nearest": (
        "EmbeddingMatch",
        "search",
        "similarity",
    ),
    "lmstudio_embed.options": ("Chunking",),
    "lmstudio_embed.streams": (
        "AsyncEmbeddingStream",
        "EmbeddingStream",
    ),
    "lmstudio_llm.chat": ("Chat",),
    "lmstudio_llm.config": (
        "LlmLoadModelConfig",
        "LlmPredictionConfig",
    ),
    "lmstudio_llm.config_dicts": (
        "LlmLoadModelConfigDict",
        "LlmPredictionConfigDict",
    ),
    "lmstudio_llm.config_types": (
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
        "ContextUsage",
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
        "ToolParameterDict",
    ),
    "lmstudio_llm.vision": ("LMStudioVisionError",),
}

HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "LLM",
    "ActEvent",
    "ActResult",
    "ActRoundEnd",
    "ActRoundStart",
    "ActStream",
    "ActToolCall",
    "ActToolResult",
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
    "AsyncActStream",
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
    "Chunking",
    "Client",
    "ContextUsage",
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
    "EmbeddingMatch",
    "EmbeddingModel",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "EmbeddingNamespace",
    "EmbeddingStream",
    "EstimatedMemory",
    "EstimatedResources",
    "FieldNameError",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "FileType",
    "FrozenProgramError",
    "GbnfGrammar",
    "GpuSetting",
    "GpuSettingDict",
    "LLMNamespace",
    "LMStudioAmbiguousModelError",
    "LMStudioAuthenticationError",
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioClosedError",
    "LMStudioConnectionError",
    "LMStudioError",
    "LMStudioHostError",
    "LMStudioIdentifierInUseError",
    "LMStudioModelDomainError",
    "LMStudioModelNotFoundError",
    "LMStudioOSError",
    "LMStudioPredictionError",
    "LMStudioPresetNotFoundError",
    "LMStudioRequestRejectedError",
    "LMStudioRuntimeError",
    "LMStudioServerError",
    "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning",
    "LMStudioUnknownSettingWarning",
    "LMStudioValueError",
    "LMStudioVisionError",
    "LMStudioWebsocketError",
    "LlmContextOverflowPolicy",
    "LlmInfo",
    "LlmInstanceInfo",
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
    "LocalFileInput",
    "McpToolset",
    "ModelDownloadOption",
    "ModelInfo",
    "ModelInstanceInfo",
    "ModelLoadResult",
    "ModelProcessingState",
    "ModelQuery",
    "ModelQueryDict",
    "ModelSchema",
    "ModelSpecifier",
    "ModelSpecifierDict",
    "ParsedDocument",
    "PluginLoadError",
    "PluginToolset",
    "PredictionEvent",
    "PredictionFirstTokenCallback",
    "PredictionFragmentCallback",
    "PredictionMessageCallback",
    "PredictionResult",
    "PredictionRoundResult",
    "PredictionStream",
    "ProgressBar",
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
    "TextTooLongError",
    "ToolCallArgumentsFragment",
    "ToolCallContext",
    "ToolCallGenerationEnd",
    "ToolCallGenerationFailed",
    "ToolCallGenerationStart",
    "ToolCallNameReceived",
    "ToolCallRecord",
    "ToolCallRequest",
    "ToolCallRequestData",
    "ToolCallRequestDataDict",
    "ToolCallRequestDict",
    "ToolCallResultData",
    "ToolCallResultDataDict",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolImage",
    "ToolParameterDict",
    "ToolResultMessage",
    "ToolResultMessageDict",
    "Toolset",
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
    "mcp_tools",
    "plugin_tools",
    "prepare_image",
    "search",
    "set_sync_api_timeout",
    "similarity",
    "toolset_names",
]

__version__: Final = "2.0.0"

# The module paths that programs for the official SDK know; importing one costs nothing.
_MODULES: Final = (
    "_sdk_models",
    "async_api",
    "history",
    "json_api",
    "schemas",
    "sdk_api",
    "sync_api",
)

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            **{name: f"{home}:{name}" for name, home in HOME_OF.items()},
            **{name: f"{__name__}.{name}" for name in _MODULES},
        },
    )
