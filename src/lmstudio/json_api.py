"""Configs, results, errors and tools, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_agent.results import ActResult as ActResult
    from lmstudio_core.client.base import ClientBase as ClientBase
    from lmstudio_core.config import AnyLoadConfig as AnyLoadConfig
    from lmstudio_core.errors import LMStudioCancelledError as LMStudioCancelledError
    from lmstudio_core.errors import LMStudioChannelClosedError as LMStudioChannelClosedError
    from lmstudio_core.errors import LMStudioClientError as LMStudioClientError
    from lmstudio_core.errors import LMStudioModelNotFoundError as LMStudioModelNotFoundError
    from lmstudio_core.errors import LMStudioPredictionError as LMStudioPredictionError
    from lmstudio_core.errors import LMStudioPresetNotFoundError as LMStudioPresetNotFoundError
    from lmstudio_core.errors import LMStudioServerError as LMStudioServerError
    from lmstudio_core.errors import LMStudioTimeoutError as LMStudioTimeoutError
    from lmstudio_core.errors import LMStudioUnknownMessageWarning as LMStudioUnknownMessageWarning
    from lmstudio_core.errors import LMStudioWebsocketError as LMStudioWebsocketError
    from lmstudio_core.manage.repository.data import (
        DownloadFinalizedCallback as DownloadFinalizedCallback,
    )
    from lmstudio_core.manage.repository.data import (
        DownloadProgressCallback as DownloadProgressCallback,
    )
    from lmstudio_core.manage.repository.data import (
        DownloadProgressUpdate as DownloadProgressUpdate,
    )
    from lmstudio_core.models.downloaded import DownloadedModelBase as DownloadedModelBase
    from lmstudio_core.models.handles import ModelHandleBase as ModelHandleBase
    from lmstudio_core.models.infos import EmbeddingModelInfo as EmbeddingModelInfo
    from lmstudio_core.models.infos import EmbeddingModelInstanceInfo as EmbeddingModelInstanceInfo
    from lmstudio_core.models.infos import LlmInfo as LlmInfo
    from lmstudio_core.models.infos import LlmInstanceInfo as LlmInstanceInfo
    from lmstudio_core.models.infos import ModelInfo as ModelInfo
    from lmstudio_core.models.infos import ModelInstanceInfo as ModelInstanceInfo
    from lmstudio_core.models.infos import ModelLoadResult as ModelLoadResult
    from lmstudio_core.models.infos import ModelQuery as ModelQuery
    from lmstudio_core.models.operations import DEFAULT_TTL as DEFAULT_TTL
    from lmstudio_core.models.operations import LoadProgressCallback as ModelLoadingCallback
    from lmstudio_core.models.specifiers import AnyModelSpecifier as AnyModelSpecifier
    from lmstudio_core.models.specifiers import ModelQueryDict as ModelQueryDict
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
    from lmstudio_llm.fragments import LlmPredictionFragment as LlmPredictionFragment
    from lmstudio_llm.prediction import PredictionFirstTokenCallback as PredictionFirstTokenCallback
    from lmstudio_llm.prediction import PredictionFragmentCallback as PredictionFragmentCallback
    from lmstudio_llm.prediction import PredictionMessageCallback as PredictionMessageCallback
    from lmstudio_llm.prediction import PromptProcessingCallback as PromptProcessingCallback
    from lmstudio_llm.results import AnyPrediction as AnyPrediction
    from lmstudio_llm.results import LlmPredictionStats as LlmPredictionStats
    from lmstudio_llm.results import PredictionResult as PredictionResult
    from lmstudio_llm.results import PredictionRoundResult as PredictionRoundResult
    from lmstudio_llm.results import T as T
    from lmstudio_llm.schemas import DictObject as StructuredPrediction
    from lmstudio_llm.schemas import ResponseSchema as ResponseSchema
    from lmstudio_llm.streams import PredictionStreamBase as PredictionStreamBase
    from lmstudio_llm.tools import ToolDefinition as ToolDefinition
    from lmstudio_llm.tools import ToolFunctionDef as ToolFunctionDef
    from lmstudio_llm.tools import ToolFunctionDefDict as ToolFunctionDefDict
    from lmstudio_llm.tools import ToolParameterDict as ParamDefDict
    from lmstudio_llm.tools import ToolParameterDict as ToolParamDefDict

    UnstructuredPrediction = str

_HOMES: Final = {
    "ActResult": "lmstudio_agent.results:ActResult",
    "AnyLoadConfig": "lmstudio_core.config:AnyLoadConfig",
    "AnyModelSpecifier": "lmstudio_core.models.specifiers:AnyModelSpecifier",
    "AnyPrediction": "lmstudio_llm.results:AnyPrediction",
    "ClientBase": "lmstudio_core.client.base:ClientBase",
    "DEFAULT_TTL": "lmstudio_core.models.operations:DEFAULT_TTL",
    "DownloadFinalizedCallback": "lmstudio_core.manage.repository.data:DownloadFinalizedCallback",
    "DownloadProgressCallback": "lmstudio_core.manage.repository.data:DownloadProgressCallback",
    "DownloadProgressUpdate": "lmstudio_core.manage.repository.data:DownloadProgressUpdate",
    "DownloadedModelBase": "lmstudio_core.models.downloaded:DownloadedModelBase",
    "EmbeddingLoadModelConfig": "lmstudio_embed.config:EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict": "lmstudio_embed.config:EmbeddingLoadModelConfigDict",
    "EmbeddingModelInfo": "lmstudio_core.models.infos:EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo": "lmstudio_core.models.infos:EmbeddingModelInstanceInfo",
    "LMStudioCancelledError": "lmstudio_core.errors:LMStudioCancelledError",
    "LMStudioChannelClosedError": "lmstudio_core.errors:LMStudioChannelClosedError",
    "LMStudioClientError": "lmstudio_core.errors:LMStudioClientError",
    "LMStudioModelNotFoundError": "lmstudio_core.errors:LMStudioModelNotFoundError",
    "LMStudioPredictionError": "lmstudio_core.errors:LMStudioPredictionError",
    "LMStudioPresetNotFoundError": "lmstudio_core.errors:LMStudioPresetNotFoundError",
    "LMStudioServerError": "lmstudio_core.errors:LMStudioServerError",
    "LMStudioTimeoutError": "lmstudio_core.errors:LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning": "lmstudio_core.errors:LMStudioUnknownMessageWarning",
    "LMStudioWebsocketError": "lmstudio_core.errors:LMStudioWebsocketError",
    "LlmInfo": "lmstudio_core.models.infos:LlmInfo",
    "LlmInstanceInfo": "lmstudio_core.models.infos:LlmInstanceInfo",
    "LlmLoadModelConfig": "lmstudio_llm.config:LlmLoadModelConfig",
    "LlmLoadModelConfigDict": "lmstudio_llm.config_dicts:LlmLoadModelConfigDict",
    "LlmPredictionConfig": "lmstudio_llm.config:LlmPredictionConfig",
    "LlmPredictionConfigDict": "lmstudio_llm.config_dicts:LlmPredictionConfigDict",
    "LlmPredictionFragment": "lmstudio_llm.fragments:LlmPredictionFragment",
    "LlmPredictionStats": "lmstudio_llm.results:LlmPredictionStats",
    "ModelHandleBase": "lmstudio_core.models.handles:ModelHandleBase",
    "ModelInfo": "lmstudio_core.models.infos:ModelInfo",
    "ModelInstanceInfo": "lmstudio_core.models.infos:ModelInstanceInfo",
    "ModelLoadResult": "lmstudio_core.models.infos:ModelLoadResult",
    "ModelLoadingCallback": "lmstudio_core.models.operations:LoadProgressCallback",
    "ModelQuery": "lmstudio_core.models.infos:ModelQuery",
    "ModelQueryDict": "lmstudio_core.models.specifiers:ModelQueryDict",
    "ModelSpecifier": "lmstudio_core.models.specifiers:ModelSpecifier",
    "ModelSpecifierDict": "lmstudio_core.models.specifiers:ModelSpecifierDict",
    "ParamDefDict": "lmstudio_llm.tools:ToolParameterDict",
    "PredictionFirstTokenCallback": "lmstudio_llm.prediction:PredictionFirstTokenCallback",
    "PredictionFragmentCallback": "lmstudio_llm.prediction:PredictionFragmentCallback",
    "PredictionMessageCallback": "lmstudio_llm.prediction:PredictionMessageCallback",
    "PredictionResult": "lmstudio_llm.results:PredictionResult",
    "PredictionRoundResult": "lmstudio_llm.results:PredictionRoundResult",
    "PredictionStreamBase": "lmstudio_llm.streams:PredictionStreamBase",
    "PromptProcessingCallback": "lmstudio_llm.prediction:PromptProcessingCallback",
    "ResponseSchema": "lmstudio_llm.schemas:ResponseSchema",
    "SerializedLMSExtendedError": "lmstudio_core.protocol.server_errors:SerializedLMSExtendedError",
    "StructuredPrediction": "lmstudio_llm.schemas:DictObject",
    "T": "lmstudio_llm.results:T",
    "ToolDefinition": "lmstudio_llm.tools:ToolDefinition",
    "ToolFunctionDef": "lmstudio_llm.tools:ToolFunctionDef",
    "ToolFunctionDefDict": "lmstudio_llm.tools:ToolFunctionDefDict",
    "ToolParamDefDict": "lmstudio_llm.tools:ToolParameterDict",
    "UnstructuredPrediction": "builtins:str",
}

__all__ = [
    "DEFAULT_TTL",
    "ActResult",
    "AnyLoadConfig",
    "AnyModelSpecifier",
    "AnyPrediction",
    "ClientBase",
    "DownloadFinalizedCallback",
    "DownloadProgressCallback",
    "DownloadProgressUpdate",
    "DownloadedModelBase",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioModelNotFoundError",
    "LMStudioPredictionError",
    "LMStudioPresetNotFoundError",
    "LMStudioServerError",
    "LMStudioTimeoutError",
    "LMStudioUnknownMessageWarning",
    "LMStudioWebsocketError",
    "LlmInfo",
    "LlmInstanceInfo",
    "LlmLoadModelConfig",
    "LlmLoadModelConfigDict",
    "LlmPredictionConfig",
    "LlmPredictionConfigDict",
    "LlmPredictionFragment",
    "LlmPredictionStats",
    "ModelHandleBase",
    "ModelInfo",
    "ModelInstanceInfo",
    "ModelLoadResult",
    "ModelLoadingCallback",
    "ModelQuery",
    "ModelQueryDict",
    "ModelSpecifier",
    "ModelSpecifierDict",
    "ParamDefDict",
    "PredictionFirstTokenCallback",
    "PredictionFragmentCallback",
    "PredictionMessageCallback",
    "PredictionResult",
    "PredictionRoundResult",
    "PredictionStreamBase",
    "PromptProcessingCallback",
    "ResponseSchema",
    "SerializedLMSExtendedError",
    "StructuredPrediction",
    "ToolDefinition",
    "ToolFunctionDef",
    "ToolFunctionDefDict",
    "ToolParamDefDict",
    "UnstructuredPrediction",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
