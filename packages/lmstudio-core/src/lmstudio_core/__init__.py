"""The core of the ``lmstudio`` family, and the facade for whatever of it is installed.

``import lmstudio_core as lms`` offers the same names as ``import lmstudio``, as far as their
packages are installed; a name whose package is missing says which one to install. Nothing is
imported before it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .client import AsyncClient, Client
    from .config import AnyLoadConfig
    from .convenience import list_downloaded_models, list_loaded_models, prepare_image
    from .data import AnyLMStudioStruct, BaseModel
    from .default import configure_default_client, get_default_client
    from .errors import (
        CapabilityNotInstalledError,
        LMStudioAuthenticationError,
        LMStudioCancelledError,
        LMStudioChannelClosedError,
        LMStudioClientError,
        LMStudioConnectionError,
        LMStudioError,
        LMStudioModelNotFoundError,
        LMStudioOSError,
        LMStudioPredictionError,
        LMStudioPresetNotFoundError,
        LMStudioRequestRejectedError,
        LMStudioRuntimeError,
        LMStudioServerError,
        LMStudioTimeoutError,
        LMStudioUnknownMessageWarning,
        LMStudioValueError,
        LMStudioWebsocketError,
        PluginLoadError,
        ValidationError,
    )
    from .files import FileHandle, FileHandleDict, FileHandleInput, FileType, LocalFileInput
    from .models.downloaded import AnyAsyncDownloadedModel, AnyDownloadedModel
    from .models.handles import AsyncModelHandle, SyncModelHandle
    from .models.infos import (
        EmbeddingModelInfo,
        EmbeddingModelInstanceInfo,
        LlmInfo,
        LlmInstanceInfo,
        ModelInfo,
        ModelInstanceInfo,
        ModelLoadResult,
        ModelQuery,
    )
    from .models.specifiers import (
        AnyModelSpecifier,
        ModelQueryDict,
        ModelSpecifier,
        ModelSpecifierDict,
    )
    from .namespaces.files.data import (
        DocumentParsingLibrary,
        ParsedDocument,
        RetrievalEvent,
        RetrievalResult,
        RetrievalResultEntry,
    )
    from .namespaces.repository.available import (
        AsyncAvailableModel,
        AsyncModelDownloadOption,
        AvailableModel,
        ModelDownloadOption,
    )
    from .namespaces.repository.data import (
        DownloadFinalizedCallback,
        DownloadProgressCallback,
        DownloadProgressUpdate,
    )
    from .server_errors import SerializedLMSExtendedError
    from .timeouts import get_sync_api_timeout, set_sync_api_timeout

__version__: Final = "2.0.0"

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "client": ("AsyncClient", "Client"),
    "config": ("AnyLoadConfig",),
    "convenience": ("list_downloaded_models", "list_loaded_models", "prepare_image"),
    "data": ("AnyLMStudioStruct", "BaseModel"),
    "default": ("configure_default_client", "get_default_client"),
    "errors": (
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
    "files": ("FileHandle", "FileHandleDict", "FileHandleInput", "FileType", "LocalFileInput"),
    "models.downloaded": ("AnyAsyncDownloadedModel", "AnyDownloadedModel"),
    "models.handles": ("AsyncModelHandle", "SyncModelHandle"),
    "models.infos": (
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
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
    "namespaces.files.data": (
        "DocumentParsingLibrary",
        "ParsedDocument",
        "RetrievalEvent",
        "RetrievalResult",
        "RetrievalResultEntry",
    ),
    "namespaces.repository.available": (
        "AsyncAvailableModel",
        "AsyncModelDownloadOption",
        "AvailableModel",
        "ModelDownloadOption",
    ),
    "namespaces.repository.data": (
        "DownloadFinalizedCallback",
        "DownloadProgressCallback",
        "DownloadProgressUpdate",
    ),
    "server_errors": ("SerializedLMSExtendedError",),
    "timeouts": ("get_sync_api_timeout", "set_sync_api_timeout"),
}

_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

_ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    "lmstudio-llm": ("llm", "LLM", "AsyncLLM", "Chat", "LlmPredictionConfig", "ToolFunctionDef"),
    "lmstudio-embed": ("embedding_model", "EmbeddingModel", "AsyncEmbeddingModel"),
    "lmstudio-agent": ("ActResult",),
}
"""The names people look for first, for the message when their package is missing."""


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if (home := _HOME_OF.get(name)) is not None:
        value = getattr(importlib.import_module(f".{home}", __name__), name)
    elif importlib.util.find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f".{name}", __name__)
    else:
        value = _of_capability(name)
    globals()[name] = value
    return value


def _of_capability(name: str) -> Any:
    from .capability import load_object  # noqa: PLC0415 - imported on first use
    from .plugins import plugins  # noqa: PLC0415 - imported on first use

    if (path := plugins.find_export(name)) is not None:
        return load_object(path)
    for package, names in _ELSEWHERE.items():
        if name in names:
            raise AttributeError(
                f"{name!r} is in the package {package}, which is not installed. "
                f"Install it with: pip install {package}"
            )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
