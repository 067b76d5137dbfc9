"""The official SDK's module paths and the names there that have an equal here.

``scripts/names.py`` writes a module of ``src/lmstudio`` for each. Names that are the same under
``lmstudio`` stand alone; the others have their home here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["MODULES", "OfficialModule"]

_CORE: Final = "lmstudio_core"
_PLUGIN: Final = "lmstudio_plugin"
_LLM: Final = "lmstudio_llm"


@dataclass(frozen=True)
class OfficialModule:
    """One module path.

    Attributes:
        about: The first line of its docstring.
        same: The names that are those of the facade.
        other: Name → ``"module:attribute"`` for the rest.
    """

    about: str
    same: tuple[str, ...]
    other: dict[str, str] = field(default_factory=dict[str, str])


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _of_plugins(about: str, names: str, module: str = "", **elsewhere: str) -> OfficialModule:
    """A module of ``lmstudio.plugin``: names of ours, and those that live in another module."""
    home = f"{_PLUGIN}.{module}".rstrip(".")
    return OfficialModule(
        about,
        (),
        {
            **{n: f"{home}:{n}" for n in names.split()},
            **{n: f"{_PLUGIN}.{p}" for n, p in elsewhere.items()},
        },
    )


PLUGIN_MODULES: Final = {
    "plugin": _of_plugins(
        "Writing LM Studio plugins: the official beta's names, and ours",
        """
            AsyncGenerator AsyncToolCallContext BaseConfigSchema Directory Generator
            LMStudioPluginInitError LMStudioPluginRuntimeError Plugin PluginConfig
            PredictionLoopController PromptPreprocessorController Setting
            TokenGeneratorController ToolCall ToolCallContext ToolsProviderController
            config_field get_tool_call_context get_tool_call_context_async run_plugin
            run_plugin_async
        """,
        "",
    ),
    "plugin.sdk_api": _of_plugins(
        "The errors of plugins",
        """
            _C _PLUGIN_SDK_SUBMODULE plugin_sdk_type
        """,
        "sdk_api",
        LMStudioPluginInitError="errors:LMStudioPluginInitError",
        LMStudioPluginRuntimeError="errors:LMStudioPluginRuntimeError",
    ),
    "plugin.config_schemas": _of_plugins(
        "A plugin's settings",
        """
            BaseConfigSchema _CONFIG_FIELDS_KEY _ConfigBool _ConfigField _ConfigFloat _ConfigInt
            _ConfigString _ImplicitDataClass _T config_field
        """,
        "config_schemas",
    ),
    "plugin.hooks": _of_plugins(
        "The hooks of a plugin",
        """
            AsyncToolCallContext PromptPreprocessorController PromptPreprocessorHook
            TGlobalConfigSchema TPluginConfigSchema TokenGeneratorController TokenGeneratorHook
            ToolCallContext ToolsProviderController ToolsProviderHook get_tool_call_context
            get_tool_call_context_async run_prompt_preprocessor run_token_generator
            run_tools_provider
        """,
        "hooks",
        _AsyncSessionPlugins="hooks.common:_AsyncSessionPlugins",
    ),
    "plugin.hooks.common": _of_plugins(
        "What the controllers of all hooks share",
        """
            HookController PluginRequest ServerRequestError StatusBlockController
            StatusUpdateCallback TConfig TGlobalConfigSchema TPluginConfigSchema TPluginRequest
            _AsyncSessionPlugins
        """,
        "hooks.common",
    ),
    "plugin.hooks.prompt_preprocessor": _of_plugins(
        "Prompt preprocessors",
        """
            PromptPreprocessingAbortEvent PromptPreprocessingEndpoint
            PromptPreprocessingRequestEvent PromptPreprocessingRxEvent PromptPreprocessor
            PromptPreprocessorController PromptPreprocessorHook run_prompt_preprocessor
        """,
        "hooks.prompt_preprocessor",
    ),
    "plugin.hooks.token_generator": _of_plugins(
        "Generators",
        """
            TokenGeneratorController TokenGeneratorHook run_token_generator
        """,
        "hooks.token_generator",
    ),
    "plugin.hooks.tools_provider": _of_plugins(
        "Tools providers",
        """
            AsyncToolCallContext PromptPreprocessingRxEvent ProvideToolsAbortCallEvent
            ProvideToolsCallToolEvent ProvideToolsDiscardSessionEvent
            ProvideToolsInitSessionEvent T ToolCallContext ToolCallHandler ToolsProvider
            ToolsProviderController ToolsProviderEndpoint ToolsProviderHook _BaseToolCallContext
            _LMS_TOOL_CALL_ASYNC _LMS_TOOL_CALL_SYNC get_tool_call_context
            get_tool_call_context_async run_tools_provider
        """,
        "hooks.tools_provider",
    ),
    "plugin.runner": _of_plugins(
        "A plugin's own process",
        """
            AnyHookImpl ENV_CLIENT_ID ENV_CLIENT_KEY HookRunner PluginClient ReadyCallback
            THookImpl _HOOK_RUNNERS _PLUGIN_API_STABILITY_WARNING
            get_plugin_credentials_from_env run_plugin run_plugin_async
        """,
        "runner",
    ),
    "plugin._dev_runner": _of_plugins(
        "Registering a plugin and running it",
        """
            DevPluginClient DevPluginRegistrationEndpoint DevPluginRegistrationReadyEvent
            DevPluginRegistrationRxEvent _PLUGIN_INTERRUPT_SIGNAL _PLUGIN_STATUS_POLL_INTERVAL
            _PLUGIN_STOP_TIMEOUT _get_creation_flags _get_interrupt_signal
            _interrupt_child_process _run_plugin_in_child_process _start_child_process
            run_plugin run_plugin_async
        """,
        "_dev_runner",
    ),
    "plugin.cli": _of_plugins(
        "The command of a plugin's process",
        """
            _parse_args main
        """,
        "cli",
    ),
}
"""The plugin API's modules; ``lmstudio.plugin`` is a package."""

MODULES: Final = {
    "history": OfficialModule(
        "Chats, messages and files",
        _words("""
            AnyChatMessage AnyChatMessageDict AssistantResponse AssistantResponseContent Chat
            ChatHistoryData ChatHistoryDataDict FileHandle FileHandleDict FileHandleInput FileType
            LocalFileInput SystemPrompt SystemPromptContent TextData TextDataDict ToolCallRequest
            ToolCallResultData ToolResultMessage UserMessage UserMessageContent UserMessageDict
        """),
        {
            "AnyAssistantResponseInput": f"{_LLM}.chat:ResponseInput",
            "AnyUserMessageInput": f"{_LLM}.chat:UserInput",
            "AssistantResponseInput": f"{_LLM}.chat:ResponseInput",
            "SystemPromptContentDict": f"{_LLM}.messages:TextDataDict",
            "ToolCallRequestInput": f"{_LLM}.chat_parts:RequestInput",
            "UserMessageInput": f"{_LLM}.chat:UserInput",
        },
    ),
    "json_api": OfficialModule(
        "Configs, results, errors and tools",
        _words("""
            ActResult AnyLoadConfig AnyModelSpecifier DownloadFinalizedCallback
            DownloadProgressCallback DownloadProgressUpdate EmbeddingLoadModelConfig
            EmbeddingLoadModelConfigDict EmbeddingModelInfo EmbeddingModelInstanceInfo
            LMStudioCancelledError LMStudioChannelClosedError LMStudioClientError
            LMStudioModelNotFoundError LMStudioPredictionError LMStudioPresetNotFoundError
            LMStudioServerError LMStudioTimeoutError LMStudioUnknownMessageWarning
            LMStudioWebsocketError LlmInfo LlmInstanceInfo LlmLoadModelConfig
            LlmLoadModelConfigDict LlmPredictionConfig LlmPredictionConfigDict
            LlmPredictionFragment LlmPredictionStats ModelInfo ModelInstanceInfo ModelLoadResult
            ModelQuery ModelQueryDict ModelSpecifier ModelSpecifierDict
            PredictionFirstTokenCallback PredictionFragmentCallback PredictionMessageCallback
            PredictionResult PredictionRoundResult PromptProcessingCallback ResponseSchema
            SerializedLMSExtendedError ToolDefinition ToolFunctionDef ToolFunctionDefDict
        """),
        {
            "AnyPrediction": f"{_LLM}.results:AnyPrediction",
            "ClientBase": f"{_CORE}.client.base:ClientBase",
            "DEFAULT_TTL": f"{_CORE}.models.operations:DEFAULT_TTL",
            "DownloadedModelBase": f"{_CORE}.models.downloaded:DownloadedModelBase",
            "ModelHandleBase": f"{_CORE}.models.handles:ModelHandleBase",
            "ModelLoadingCallback": f"{_CORE}.models.operations:LoadProgressCallback",
            "ParamDefDict": f"{_LLM}.tools:ToolParameterDict",
            "PredictionStreamBase": f"{_LLM}.streams:PredictionStreamBase",
            "StructuredPrediction": f"{_LLM}.schemas:DictObject",
            "T": f"{_LLM}.results:T",
            "ToolParamDefDict": f"{_LLM}.tools:ToolParameterDict",
            "UnstructuredPrediction": "builtins:str",
        },
    ),
    "schemas": OfficialModule(
        "What structured output is described by",
        _words("AnyLMStudioStruct BaseModel DictObject DictSchema ModelSchema ValidationError"),
    ),
    "sdk_api": OfficialModule(
        "The errors that others build on",
        _words("LMStudioError LMStudioOSError LMStudioRuntimeError LMStudioValueError"),
        {"_C": f"{_CORE}.protocol.mux:_C"},
    ),
    "sync_api": OfficialModule(
        "What is for synchronous programs",
        _words("""
            ActResult AnyDownloadedModel AvailableModel Chat Client DownloadedEmbeddingModel
            DownloadedLlm EmbeddingModel LLM ModelDownloadOption PredictionStream SyncModelHandle
            configure_default_client embedding_model get_default_client get_sync_api_timeout
            list_downloaded_models list_loaded_models llm prepare_image set_sync_api_timeout
        """),
        {
            "DownloadedModel": f"{_CORE}.models.downloaded:DownloadedModel",
            "T": f"{_LLM}.results:T",
            "_DEFAULT_TIMEOUT": f"{_CORE}.timeouts:DEFAULT_SYNC_TIMEOUT",
            "_SyncSessionEmbedding": "lmstudio_embed.namespaces:EmbeddingNamespace",
            "_SyncSessionFiles": f"{_CORE}.files:FilesNamespace",
            "_SyncSessionLlm": f"{_LLM}.namespaces:LLMNamespace",
            "_SyncSessionRepository": f"{_CORE}.manage.repository:RepositoryNamespace",
            "_SyncSessionSystem": f"{_CORE}.manage.system:SystemNamespace",
            "_reset_default_client": f"{_CORE}.client.default:reset_default_client",
        },
    ),
    "async_api": OfficialModule(
        "What is for asyncio",
        _words("""
            ActResult AnyAsyncDownloadedModel AsyncAvailableModel AsyncClient
            AsyncDownloadedEmbeddingModel AsyncDownloadedLlm AsyncEmbeddingModel AsyncLLM
            AsyncModelDownloadOption AsyncModelHandle AsyncPredictionStream Chat
        """),
        {
            "AsyncDownloadedModel": f"{_CORE}.models.downloaded:AsyncDownloadedModel",
            "T": f"{_LLM}.results:T",
            "_AsyncSessionEmbedding": "lmstudio_embed.namespaces:AsyncEmbeddingNamespace",
            "_AsyncSessionFiles": f"{_CORE}.files:AsyncFilesNamespace",
            "_AsyncSessionLlm": f"{_LLM}.namespaces:AsyncLLMNamespace",
            "_AsyncSessionRepository": f"{_CORE}.manage.repository:AsyncRepositoryNamespace",
            "_AsyncSessionSystem": f"{_CORE}.manage.system:AsyncSystemNamespace",
        },
    ),
    "_sdk_models": OfficialModule(
        "Data of the protocol",
        _words("""
            AnyChatMessage AnyChatMessageDict AssistantResponse AssistantResponseDict
            ChatHistoryData ChatHistoryDataDict DownloadProgressUpdate EmbeddingLoadModelConfig
            EmbeddingLoadModelConfigDict EmbeddingModelInfo EmbeddingModelInstanceInfo FileHandle
            FileHandleDict FileType GpuSetting GpuSettingDict LlmContextOverflowPolicy LlmInfo
            LlmInstanceInfo LlmJinjaPromptTemplate LlmLlamaCacheQuantizationType LlmLoadModelConfig
            LlmLoadModelConfigDict LlmManualPromptTemplate LlmMlxKvCacheQuantization
            LlmPredictionConfig LlmPredictionConfigDict LlmPredictionFragment LlmPredictionStats
            LlmPromptTemplate LlmReasoningParsing LlmStructuredPredictionSetting LlmToolUseSetting
            ModelInfo ModelInstanceInfo ModelQuery ModelQueryDict ModelSpecifier ModelSpecifierDict
            SerializedLMSExtendedError SystemPrompt SystemPromptDict TextData TextDataDict
            ToolCallRequest ToolCallRequestData ToolCallRequestDataDict ToolCallRequestDict
            ToolCallResultData ToolCallResultDataDict ToolResultMessage ToolResultMessageDict
            UserMessage UserMessageDict
        """),
        {
            "LocalArtifactFileList": f"{_CORE}.manage.repository.data:LocalArtifactFileList",
            "ModelInfoBase": f"{_CORE}.models.infos:ModelInfoBase",
            "ModelKey": "builtins:str",
            "ModelSearchResultIdentifier": (
                f"{_CORE}.manage.repository.data:ModelSearchResultIdentifier"
            ),
            "ModelSpecifierInstanceReference": f"{_CORE}.models.specifiers:ModelInstanceSpecifier",
            "ModelSpecifierInstanceReferenceDict": (
                f"{_CORE}.models.specifiers:ModelInstanceSpecifierDict"
            ),
            "ModelSpecifierQuery": f"{_CORE}.models.specifiers:ModelQuerySpecifier",
            "ModelSpecifierQueryDict": f"{_CORE}.models.specifiers:ModelQuerySpecifierDict",
            "PluginManifest": f"{_PLUGIN}.data:PluginManifest",
        },
    ),
    **PLUGIN_MODULES,
}
"""Module below ``lmstudio`` → what is in it."""
