"""The core of the ``lmstudio`` family, and the facade for whatever of it is installed.

``import lmstudio_core as lms`` offers the same names as ``import lmstudio``, as far as their
packages are installed; a name whose package is missing says which one to install. Nothing is
imported before it is used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from .plugins.family import __version__ as __version__

if TYPE_CHECKING:
    # What further packages add here, where they are installed; to checkers the rest are mistakes.
    from lmstudio_agent import *  # noqa: F403
    from lmstudio_embed import *  # noqa: F403
    from lmstudio_llm import *  # noqa: F403

    from .client import AsyncClient as AsyncClient
    from .client import Client as Client
    from .client.convenience import list_downloaded_models as list_downloaded_models
    from .client.convenience import list_loaded_models as list_loaded_models
    from .client.convenience import prepare_image as prepare_image
    from .client.default import configure_default_client as configure_default_client
    from .client.default import get_default_client as get_default_client
    from .config import AnyLoadConfig as AnyLoadConfig
    from .data import AnyLMStudioStruct as AnyLMStudioStruct
    from .data import BaseModel as BaseModel
    from .errors import CapabilityNotInstalledError as CapabilityNotInstalledError
    from .errors import FieldNameError as FieldNameError
    from .errors import FrozenProgramError as FrozenProgramError
    from .errors import LMStudioAmbiguousModelError as LMStudioAmbiguousModelError
    from .errors import LMStudioAuthenticationError as LMStudioAuthenticationError
    from .errors import LMStudioCancelledError as LMStudioCancelledError
    from .errors import LMStudioChannelClosedError as LMStudioChannelClosedError
    from .errors import LMStudioClientError as LMStudioClientError
    from .errors import LMStudioClosedError as LMStudioClosedError
    from .errors import LMStudioConnectionError as LMStudioConnectionError
    from .errors import LMStudioError as LMStudioError
    from .errors import LMStudioHostError as LMStudioHostError
    from .errors import LMStudioIdentifierInUseError as LMStudioIdentifierInUseError
    from .errors import LMStudioModelDomainError as LMStudioModelDomainError
    from .errors import LMStudioModelNotFoundError as LMStudioModelNotFoundError
    from .errors import LMStudioOSError as LMStudioOSError
    from .errors import LMStudioPredictionError as LMStudioPredictionError
    from .errors import LMStudioPresetNotFoundError as LMStudioPresetNotFoundError
    from .errors import LMStudioRequestRejectedError as LMStudioRequestRejectedError
    from .errors import LMStudioRuntimeError as LMStudioRuntimeError
    from .errors import LMStudioServerError as LMStudioServerError
    from .errors import LMStudioTimeoutError as LMStudioTimeoutError
    from .errors import LMStudioUnknownMessageWarning as LMStudioUnknownMessageWarning
    from .errors import LMStudioUnknownSettingWarning as LMStudioUnknownSettingWarning
    from .errors import LMStudioValueError as LMStudioValueError
    from .errors import LMStudioWebsocketError as LMStudioWebsocketError
    from .errors import PluginLoadError as PluginLoadError
    from .errors import ValidationError as ValidationError
    from .files.data import DocumentParsingLibrary as DocumentParsingLibrary
    from .files.data import ParsedDocument as ParsedDocument
    from .files.data import RetrievalEvent as RetrievalEvent
    from .files.data import RetrievalResult as RetrievalResult
    from .files.data import RetrievalResultEntry as RetrievalResultEntry
    from .files.handles import FileHandle as FileHandle
    from .files.handles import FileHandleDict as FileHandleDict
    from .files.handles import FileHandleInput as FileHandleInput
    from .files.handles import FileType as FileType
    from .files.handles import LocalFileInput as LocalFileInput
    from .manage.repository.available import AsyncAvailableModel as AsyncAvailableModel
    from .manage.repository.available import AsyncModelDownloadOption as AsyncModelDownloadOption
    from .manage.repository.available import AvailableModel as AvailableModel
    from .manage.repository.available import ModelDownloadOption as ModelDownloadOption
    from .manage.repository.data import DownloadFinalizedCallback as DownloadFinalizedCallback
    from .manage.repository.data import DownloadProgressCallback as DownloadProgressCallback
    from .manage.repository.data import DownloadProgressUpdate as DownloadProgressUpdate
    from .models.downloaded import AnyAsyncDownloadedModel as AnyAsyncDownloadedModel
    from .models.downloaded import AnyDownloadedModel as AnyDownloadedModel
    from .models.gpu import GpuSetting as GpuSetting
    from .models.gpu import GpuSettingDict as GpuSettingDict
    from .models.handles import AsyncModelHandle as AsyncModelHandle
    from .models.handles import SyncModelHandle as SyncModelHandle
    from .models.infos import EmbeddingModelInfo as EmbeddingModelInfo
    from .models.infos import EmbeddingModelInstanceInfo as EmbeddingModelInstanceInfo
    from .models.infos import EstimatedMemory as EstimatedMemory
    from .models.infos import EstimatedResources as EstimatedResources
    from .models.infos import LlmInfo as LlmInfo
    from .models.infos import LlmInstanceInfo as LlmInstanceInfo
    from .models.infos import ModelInfo as ModelInfo
    from .models.infos import ModelInstanceInfo as ModelInstanceInfo
    from .models.infos import ModelLoadResult as ModelLoadResult
    from .models.infos import ModelProcessingState as ModelProcessingState
    from .models.infos import ModelQuery as ModelQuery
    from .models.specifiers import AnyModelSpecifier as AnyModelSpecifier
    from .models.specifiers import ModelQueryDict as ModelQueryDict
    from .models.specifiers import ModelSpecifier as ModelSpecifier
    from .models.specifiers import ModelSpecifierDict as ModelSpecifierDict
    from .program.progress import ProgressBar as ProgressBar
    from .protocol.server_errors import SerializedLMSExtendedError as SerializedLMSExtendedError
    from .timeouts import get_sync_api_timeout as get_sync_api_timeout
    from .timeouts import set_sync_api_timeout as set_sync_api_timeout


_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "client": ("AsyncClient", "Client"),
    "config": ("AnyLoadConfig",),
    "client.convenience": ("list_downloaded_models", "list_loaded_models", "prepare_image"),
    "data": ("AnyLMStudioStruct", "BaseModel"),
    "client.default": ("configure_default_client", "get_default_client"),
    "errors": (
        "CapabilityNotInstalledError",
        "FieldNameError",
        "FrozenProgramError",
        "LMStudioAmbiguousModelError",
        "LMStudioIdentifierInUseError",
        "LMStudioModelDomainError",
        "LMStudioAuthenticationError",
        "LMStudioCancelledError",
        "LMStudioChannelClosedError",
        "LMStudioClientError",
        "LMStudioClosedError",
        "LMStudioConnectionError",
        "LMStudioError",
        "LMStudioHostError",
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
    "files.handles": (
        "FileHandle",
        "FileHandleDict",
        "FileHandleInput",
        "FileType",
        "LocalFileInput",
    ),
    "models.gpu": ("GpuSetting", "GpuSettingDict"),
    "models.downloaded": ("AnyAsyncDownloadedModel", "AnyDownloadedModel"),
    "models.handles": ("AsyncModelHandle", "SyncModelHandle"),
    "models.infos": (
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
        "EstimatedMemory",
        "EstimatedResources",
        "ModelProcessingState",
        "LlmInfo",
        "LlmInstanceInfo",
        "ModelInfo",
        "ModelInstanceInfo",
        "ModelLoadResult",
        "ModelQuery",
    ),
    "models.specifiers": (
        "AnyModelSpecifier",
        "ModelQueryDict",
        "ModelSpecifier",
        "ModelSpecifierDict",
    ),
    "files.data": (
        "DocumentParsingLibrary",
        "ParsedDocument",
        "RetrievalEvent",
        "RetrievalResult",
        "RetrievalResultEntry",
    ),
    "manage.repository.available": (
        "AsyncAvailableModel",
        "AsyncModelDownloadOption",
        "AvailableModel",
        "ModelDownloadOption",
    ),
    "manage.repository.data": (
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
        "DownloadProgressUpdate",
    ),
    "program.progress": ("ProgressBar",),
    "protocol.server_errors": ("SerializedLMSExtendedError",),
    "timeouts": ("get_sync_api_timeout", "set_sync_api_timeout"),
}

_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

_ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    "lmstudio-llm": (
        *("llm", "LLM", "AsyncLLM", "Chat", "LlmLoadModelConfig", "LlmPredictionConfig"),
        *("GbnfGrammar", "PredictionResult", "ToolCallRequest", "ToolFunctionDef"),
    ),
    "lmstudio-embed": (
        *("embedding_model", "EmbeddingModel", "AsyncEmbeddingModel", "EmbeddingLoadModelConfig"),
        *("search", "similarity"),
    ),
    "lmstudio-agent": (
        *("ActResult", "mcp_tools", "plugin_tools"),
        *("ToolCallContext", "ToolImage", "Toolset", "toolset_names"),
    ),
}
"""The names people look for first, for the message when their package is missing."""

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> Any:
        from importlib.util import find_spec  # here, since checkers would find it unused above

        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if (home := _HOME_OF.get(name)) is not None:
            value = getattr(importlib.import_module(f".{home}", __name__), name)
        elif find_spec(f"{__name__}.{name}") is not None:
            return importlib.import_module(f".{name}", __name__)
        else:
            value = _of_capability(name)
        globals()[name] = value
        return value


def _of_capability(name: str) -> Any:
    from .plugins.installed import how_to_install
    from .plugins.registry import plugins

    if (path := plugins.find_export(name)) is not None:
        return plugins.load_export(path)
    for package, names in _ELSEWHERE.items():
        if name in names:
            raise AttributeError(
                f"{name!r} is in the package {package}, which is not installed. "
                f"Install it with: {how_to_install(package)}"
            )
    problem = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(problem, name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    from .plugins.registry import plugins

    special = (name for name in globals() if name.startswith("__"))
    return sorted({*special, *_HOME_OF, *plugins.export_names()})
