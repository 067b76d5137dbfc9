"""Data of the protocol, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_core.files.handles import FileHandle as FileHandle
    from lmstudio_core.files.handles import FileHandleDict as FileHandleDict
    from lmstudio_core.files.handles import FileType as FileType
    from lmstudio_core.manage.repository.data import (
        DownloadProgressUpdate as DownloadProgressUpdate,
    )
    from lmstudio_core.manage.repository.data import LocalArtifactFileList as LocalArtifactFileList
    from lmstudio_core.manage.repository.data import (
        ModelSearchResultIdentifier as ModelSearchResultIdentifier,
    )
    from lmstudio_core.models.gpu import GpuSetting as GpuSetting
    from lmstudio_core.models.gpu import GpuSettingDict as GpuSettingDict
    from lmstudio_core.models.infos import EmbeddingModelInfo as EmbeddingModelInfo
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo as EmbeddingModelInstanceInfo
    from lmstudio_core.models.infos import LlmInfo as LlmInfo
    from lmstudio_core.models.infos import LlmInstanceInfo as LlmInstanceInfo
    from lmstudio_core.models.infos import ModelInfo as ModelInfo
    from lmstudio_core.models.infos import ModelInfoBase as ModelInfoBase
    from lmstudio_core.models.infos import ModelInstanceInfo as ModelInstanceInfo
    from lmstudio_core.models.infos import ModelQuery as ModelQuery
    from lmstudio_core.models.specifiers import (
        ModelInstanceSpecifier as ModelSpecifierInstanceReference,
    )
    from lmstudio_core.models.specifiers import (
        ModelInstanceSpecifierDict as ModelSpecifierInstanceReferenceDict,
    )
    from lmstudio_core.models.specifiers import ModelQueryDict as ModelQueryDict
    from lmstudio_core.models.specifiers import ModelQuerySpecifier as ModelSpecifierQuery
    from lmstudio_core.models.specifiers import ModelQuerySpecifierDict as ModelSpecifierQueryDict
    from lmstudio_core.models.specifiers import ModelSpecifier as ModelSpecifier
    from lmstudio_core.models.specifiers import ModelSpecifierDict as ModelSpecifierDict
    from lmstudio_core.protocol.server_errors import (
        SerializedLMSExtendedError as SerializedLMSExtendedError,
    )
    from lmstudio_embed.config import EmbeddingLoadModelConfig as EmbeddingLoadModelConfig
    from lmstudio_embed.config import EmbeddingLoadModelConfigDict as EmbeddingLoadModelConfigDict
    from lmstudio_llm.config import LlmLoadModelConfig as LlmLoadModelConfig
    from lmstudio_llm.config import LlmPredictionConfig as LlmPredictionConfig
    from lmstudio_llm.config_dicts import LlmLoadModelConfigDict as LlmLoadModelConfigDict
    from lmstudio_llm.config_dicts import LlmPredictionConfigDict as LlmPredictionConfigDict
    from lmstudio_llm.config_types import LlmContextOverflowPolicy as LlmContextOverflowPolicy
    from lmstudio_llm.config_types import LlmJinjaPromptTemplate as LlmJinjaPromptTemplate
    from lmstudio_llm.config_types import (
        LlmLlamaCacheQuantizationType as LlmLlamaCacheQuantizationType,
    )
    from lmstudio_llm.config_types import LlmManualPromptTemplate as LlmManualPromptTemplate
    from lmstudio_llm.config_types import LlmMlxKvCacheQuantization as LlmMlxKvCacheQuantization
    from lmstudio_llm.config_types import LlmPromptTemplate as LlmPromptTemplate
    from lmstudio_llm.config_types import LlmReasoningParsing as LlmReasoningParsing
    from lmstudio_llm.config_types import (
        LlmStructuredPredictionSetting as LlmStructuredPredictionSetting,
    )
    from lmstudio_llm.config_types import LlmToolUseSetting as LlmToolUseSetting
    from lmstudio_llm.fragments import LlmPredictionFragment as LlmPredictionFragment
    from lmstudio_llm.messages import AnyChatMessage as AnyChatMessage
    from lmstudio_llm.messages import AnyChatMessageDict as AnyChatMessageDict
    from lmstudio_llm.messages import AssistantResponse as AssistantResponse
    from lmstudio_llm.messages import AssistantResponseDict as AssistantResponseDict
    from lmstudio_llm.messages import ChatHistoryData as ChatHistoryData
    from lmstudio_llm.messages import ChatHistoryDataDict as ChatHistoryDataDict
    from lmstudio_llm.messages import SystemPrompt as SystemPrompt
    from lmstudio_llm.messages import SystemPromptDict as SystemPromptDict
    from lmstudio_llm.messages import TextData as TextData
    from lmstudio_llm.messages import TextDataDict as TextDataDict
    from lmstudio_llm.messages import ToolCallRequest as ToolCallRequest
    from lmstudio_llm.messages import ToolCallRequestData as ToolCallRequestData
    from lmstudio_llm.messages import ToolCallRequestDataDict as ToolCallRequestDataDict
    from lmstudio_llm.messages import ToolCallRequestDict as ToolCallRequestDict
    from lmstudio_llm.messages import ToolCallResultData as ToolCallResultData
    from lmstudio_llm.messages import ToolCallResultDataDict as ToolCallResultDataDict
    from lmstudio_llm.messages import ToolResultMessage as ToolResultMessage
    from lmstudio_llm.messages import ToolResultMessageDict as ToolResultMessageDict
    from lmstudio_llm.messages import UserMessage as UserMessage
    from lmstudio_llm.messages import UserMessageDict as UserMessageDict
    from lmstudio_llm.results import LlmPredictionStats as LlmPredictionStats
    from lmstudio_plugin.data import PluginManifest as PluginManifest

    ModelKey = str

_HOMES: Final = {
    "AnyChatMessage": "lmstudio_llm.messages:AnyChatMessage",
    "AnyChatMessageDict": "lmstudio_llm.messages:AnyChatMessageDict",
    "AssistantResponse": "lmstudio_llm.messages:AssistantResponse",
    "AssistantResponseDict": "lmstudio_llm.messages:AssistantResponseDict",
    "ChatHistoryData": "lmstudio_llm.messages:ChatHistoryData",
    "ChatHistoryDataDict": "lmstudio_llm.messages:ChatHistoryDataDict",
    "DownloadProgressUpdate": "lmstudio_core.manage.repository.data:DownloadProgressUpdate",
    "EmbeddingLoadModelConfig": "lmstudio_embed.config:EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict": "lmstudio_embed.config:EmbeddingLoadModelConfigDict",
    "EmbeddingModelInfo": "lmstudio_core.models.infos:EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo": "lmstudio_core.models.infos:EmbeddingModelInstanceInfo",
    "FileHandle": "lmstudio_core.files.handles:FileHandle",
    "FileHandleDict": "lmstudio_core.files.handles:FileHandleDict",
    "FileType": "lmstudio_core.files.handles:FileType",
    "GpuSetting": "lmstudio_core.models.gpu:GpuSetting",
    "GpuSettingDict": "lmstudio_core.models.gpu:GpuSettingDict",
    "LlmContextOverflowPolicy": "lmstudio_llm.config_types:LlmContextOverflowPolicy",
    "LlmInfo": "lmstudio_core.models.infos:LlmInfo",
    "LlmInstanceInfo": "lmstudio_core.models.infos:LlmInstanceInfo",
    "LlmJinjaPromptTemplate": "lmstudio_llm.config_types:LlmJinjaPromptTemplate",
    "LlmLlamaCacheQuantizationType": "lmstudio_llm.config_types:LlmLlamaCacheQuantizationType",
    "LlmLoadModelConfig": "lmstudio_llm.config:LlmLoadModelConfig",
    "LlmLoadModelConfigDict": "lmstudio_llm.config_dicts:LlmLoadModelConfigDict",
    "LlmManualPromptTemplate": "lmstudio_llm.config_types:LlmManualPromptTemplate",
    "LlmMlxKvCacheQuantization": "lmstudio_llm.config_types:LlmMlxKvCacheQuantization",
    "LlmPredictionConfig": "lmstudio_llm.config:LlmPredictionConfig",
    "LlmPredictionConfigDict": "lmstudio_llm.config_dicts:LlmPredictionConfigDict",
    "LlmPredictionFragment": "lmstudio_llm.fragments:LlmPredictionFragment",
    "LlmPredictionStats": "lmstudio_llm.results:LlmPredictionStats",
    "LlmPromptTemplate": "lmstudio_llm.config_types:LlmPromptTemplate",
    "LlmReasoningParsing": "lmstudio_llm.config_types:LlmReasoningParsing",
    "LlmStructuredPredictionSetting": "lmstudio_llm.config_types:LlmStructuredPredictionSetting",
    "LlmToolUseSetting": "lmstudio_llm.config_types:LlmToolUseSetting",
    "LocalArtifactFileList": "lmstudio_core.manage.repository.data:LocalArtifactFileList",
    "ModelInfo": "lmstudio_core.models.infos:ModelInfo",
    "ModelInfoBase": "lmstudio_core.models.infos:ModelInfoBase",
    "ModelInstanceInfo": "lmstudio_core.models.infos:ModelInstanceInfo",
    "ModelKey": "builtins:str",
    "ModelQuery": "lmstudio_core.models.infos:ModelQuery",
    "ModelQueryDict": "lmstudio_core.models.specifiers:ModelQueryDict",
    "ModelSearchResultIdentifier": "lmstudio_core.manage.repository.data:ModelSearchResultIdentifier",
    "ModelSpecifier": "lmstudio_core.models.specifiers:ModelSpecifier",
    "ModelSpecifierDict": "lmstudio_core.models.specifiers:ModelSpecifierDict",
    "ModelSpecifierInstanceReference": "lmstudio_core.models.specifiers:ModelInstanceSpecifier",
    "ModelSpecifierInstanceReferenceDict": "lmstudio_core.models.specifiers:ModelInstanceSpecifierDict",
    "ModelSpecifierQuery": "lmstudio_core.models.specifiers:ModelQuerySpecifier",
    "ModelSpecifierQueryDict": "lmstudio_core.models.specifiers:ModelQuerySpecifierDict",
    "PluginManifest": "lmstudio_plugin.data:PluginManifest",
    "SerializedLMSExtendedError": "lmstudio_core.protocol.server_errors:SerializedLMSExtendedError",
    "SystemPrompt": "lmstudio_llm.messages:SystemPrompt",
    "SystemPromptDict": "lmstudio_llm.messages:SystemPromptDict",
    "TextData": "lmstudio_llm.messages:TextData",
    "TextDataDict": "lmstudio_llm.messages:TextDataDict",
    "ToolCallRequest": "lmstudio_llm.messages:ToolCallRequest",
    "ToolCallRequestData": "lmstudio_llm.messages:ToolCallRequestData",
    "ToolCallRequestDataDict": "lmstudio_llm.messages:ToolCallRequestDataDict",
    "ToolCallRequestDict": "lmstudio_llm.messages:ToolCallRequestDict",
    "ToolCallResultData": "lmstudio_llm.messages:ToolCallResultData",
    "ToolCallResultDataDict": "lmstudio_llm.messages:ToolCallResultDataDict",
    "ToolResultMessage": "lmstudio_llm.messages:ToolResultMessage",
    "ToolResultMessageDict": "lmstudio_llm.messages:ToolResultMessageDict",
    "UserMessage": "lmstudio_llm.messages:UserMessage",
    "UserMessageDict": "lmstudio_llm.messages:UserMessageDict",
}

__all__ = [
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AssistantResponse",
    "AssistantResponseDict",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "DownloadProgressUpdate",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "FileHandle",
    "FileHandleDict",
    "FileType",
    "GpuSetting",
    "GpuSettingDict",
    "LlmContextOverflowPolicy",
    "LlmInfo",
    "LlmInstanceInfo",
    "LlmJinjaPromptTemplate",
    "LlmLlamaCacheQuantizationType",
    "LlmLoadModelConfig",
    "LlmLoadModelConfigDict",
    "LlmManualPromptTemplate",
    "LlmMlxKvCacheQuantization",
    "LlmPredictionConfig",
    "LlmPredictionConfigDict",
    "LlmPredictionFragment",
    "LlmPredictionStats",
    "LlmPromptTemplate",
    "LlmReasoningParsing",
    "LlmStructuredPredictionSetting",
    "LlmToolUseSetting",
    "LocalArtifactFileList",
    "ModelInfo",
    "ModelInfoBase",
    "ModelInstanceInfo",
    "ModelKey",
    "ModelQuery",
    "ModelQueryDict",
    "ModelSearchResultIdentifier",
    "ModelSpecifier",
    "ModelSpecifierDict",
    "ModelSpecifierInstanceReference",
    "ModelSpecifierInstanceReferenceDict",
    "ModelSpecifierQuery",
    "ModelSpecifierQueryDict",
    "PluginManifest",
    "SerializedLMSExtendedError",
    "SystemPrompt",
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
    "UserMessageDict",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
