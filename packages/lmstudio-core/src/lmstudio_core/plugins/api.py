"""The plugin API: what a plugin may import from ``lmstudio_core``, and what stays as it is.

Everything here, and ``lmstudio_testing``, is covered by ``API_VERSION``; ``docs/plugins.md`` says
what that promises. The rest of ``lmstudio_core`` may change with any release. Names are imported
when they are first used, so a module that declares a plugin costs next to nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..lazy import lazy_names as _lazy_names

if TYPE_CHECKING:
    from ..client import AsyncClient as AsyncClient
    from ..client import Client as Client
    from ..client.default import get_default_client as get_default_client
    from ..client.namespace import AsyncNamespace as AsyncNamespace
    from ..client.namespace import SyncNamespace as SyncNamespace
    from ..config import KV as KV
    from ..config import ConfigModel as ConfigModel
    from ..config import config_stack as config_stack
    from ..config import kv_config as kv_config
    from ..config import kv_values as kv_values
    from ..data import InputStruct as InputStruct
    from ..data import ServerStruct as ServerStruct
    from ..data import field_schema as field_schema
    from ..data import nearest as nearest
    from ..drivers.loops import running_loop as running_loop
    from ..errors import CapabilityNotInstalledError as CapabilityNotInstalledError
    from ..errors import FrozenProgramError as FrozenProgramError
    from ..errors import LMStudioAmbiguousModelError as LMStudioAmbiguousModelError
    from ..errors import LMStudioAuthenticationError as LMStudioAuthenticationError
    from ..errors import LMStudioCancelledError as LMStudioCancelledError
    from ..errors import LMStudioChannelClosedError as LMStudioChannelClosedError
    from ..errors import LMStudioClientError as LMStudioClientError
    from ..errors import LMStudioConnectionError as LMStudioConnectionError
    from ..errors import LMStudioError as LMStudioError
    from ..errors import LMStudioIdentifierInUseError as LMStudioIdentifierInUseError
    from ..errors import LMStudioModelDomainError as LMStudioModelDomainError
    from ..errors import LMStudioModelNotFoundError as LMStudioModelNotFoundError
    from ..errors import LMStudioOSError as LMStudioOSError
    from ..errors import LMStudioPredictionError as LMStudioPredictionError
    from ..errors import LMStudioPresetNotFoundError as LMStudioPresetNotFoundError
    from ..errors import LMStudioRequestRejectedError as LMStudioRequestRejectedError
    from ..errors import LMStudioRuntimeError as LMStudioRuntimeError
    from ..errors import LMStudioServerError as LMStudioServerError
    from ..errors import LMStudioTimeoutError as LMStudioTimeoutError
    from ..errors import LMStudioUnknownMessageWarning as LMStudioUnknownMessageWarning
    from ..errors import LMStudioValueError as LMStudioValueError
    from ..errors import LMStudioWebsocketError as LMStudioWebsocketError
    from ..errors import PluginLoadError as PluginLoadError
    from ..errors import ValidationError as ValidationError
    from ..files.handles import FileHandle as FileHandle
    from ..files.handles import FileHandleDict as FileHandleDict
    from ..files.handles import FileHandleInput as FileHandleInput
    from ..files.handles import LocalFileInput as LocalFileInput
    from ..files.operations import prepare_image as prepare_image
    from ..halves import HalfJoiner as HalfJoiner
    from ..halves import json_text as json_text
    from ..halves import mend as mend
    from ..halves import readable as readable
    from ..lazy import lazy_names as lazy_names
    from ..lenient import as_list as as_list
    from ..lenient import as_mapping as as_mapping
    from ..lenient import as_text as as_text
    from ..lenient import error_text as error_text
    from ..lenient import is_interrupt as is_interrupt
    from ..lenient import is_list as is_list
    from ..lenient import is_mapping as is_mapping
    from ..lenient import is_sequence as is_sequence
    from ..models.downloaded import AsyncDownloadedModel as AsyncDownloadedModel
    from ..models.downloaded import DownloadedModel as DownloadedModel
    from ..models.gpu import GPU_SPLIT_KEY as GPU_SPLIT_KEY
    from ..models.gpu import GpuSetting as GpuSetting
    from ..models.gpu import GpuSettingDict as GpuSettingDict
    from ..models.gpu import gpu_from_kv as gpu_from_kv
    from ..models.gpu import gpu_to_kv as gpu_to_kv
    from ..models.handles import AsyncDraftingHandle as AsyncDraftingHandle
    from ..models.handles import AsyncModelHandle as AsyncModelHandle
    from ..models.handles import DraftingHandle as DraftingHandle
    from ..models.handles import ModelSpecifierInput as ModelSpecifierInput
    from ..models.handles import SyncModelHandle as SyncModelHandle
    from ..models.infos import EmbeddingModelInfo as EmbeddingModelInfo
    from ..models.infos import EmbeddingModelInstanceInfo as EmbeddingModelInstanceInfo
    from ..models.infos import LlmInfo as LlmInfo
    from ..models.infos import LlmInstanceInfo as LlmInstanceInfo
    from ..models.infos import ModelInfo as ModelInfo
    from ..models.infos import ModelInstanceInfo as ModelInstanceInfo
    from ..models.kind import ModelKind as ModelKind
    from ..models.namespaces import AsyncModelNamespace as AsyncModelNamespace
    from ..models.namespaces import SyncModelNamespace as SyncModelNamespace
    from ..models.operations import DEFAULT_TTL as DEFAULT_TTL
    from ..models.operations import LoadProgressCallback as LoadProgressCallback
    from ..models.operations import count_tokens as count_tokens
    from ..models.operations import get_context_length as get_context_length
    from ..models.operations import get_model_info as get_model_info
    from ..models.operations import specifier_of as specifier_of
    from ..models.operations import tokenize as tokenize
    from ..observe.observations import ActObservation as ActObservation
    from ..observe.observations import EmbeddingObservation as EmbeddingObservation
    from ..observe.observations import Observation as Observation
    from ..observe.observations import PredictionObservation as PredictionObservation
    from ..observe.observations import ToolCallObservation as ToolCallObservation
    from ..observe.observations import add_observer as add_observer
    from ..observe.observations import begin_observation as begin_observation
    from ..observe.observations import is_observed as is_observed
    from ..observe.observations import remove_observer as remove_observer
    from ..program.interpreter import python_command as python_command
    from ..program.interpreter import python_environment as python_environment
    from ..program.interpreter import why_no_python as why_no_python
    from ..program.notebook import html_table as html_table
    from ..program.notebook import html_text as html_text
    from ..program.places import expanded as expanded
    from ..program.places import home_folder as home_folder
    from ..program.places import lmstudio_home as lmstudio_home
    from ..program.progress import ProgressBar as ProgressBar
    from ..program.terminal import is_terminal as is_terminal
    from ..program.terminal import one_line as one_line
    from ..program.terminal import visible as visible
    from ..program.tracebacks import CUT as CUT
    from ..program.tracebacks import Short as Short
    from ..program.tracebacks import cut as cut
    from ..program.tracebacks import short as short
    from ..protocol.address import Address as Address
    from ..protocol.address import FoundServer as FoundServer
    from ..protocol.frames import Prepared as Prepared
    from ..protocol.operations import VOID as VOID
    from ..protocol.operations import Batch as Batch
    from ..protocol.operations import Call as Call
    from ..protocol.operations import Channel as Channel
    from ..protocol.operations import Endpoint as Endpoint
    from ..protocol.operations import Invoke as Invoke
    from ..protocol.operations import InvokeMany as InvokeMany
    from ..protocol.operations import Op as Op
    from ..protocol.operations import Step as Step
    from ..protocol.operations import VoidType as VoidType
    from ..protocol.runner import AsyncChannelStream as AsyncChannelStream
    from ..protocol.runner import AsyncRunner as AsyncRunner
    from ..protocol.runner import ChannelStream as ChannelStream
    from ..protocol.runner import SyncRunner as SyncRunner
    from ..protocol.server_errors import SerializedLMSExtendedError as SerializedLMSExtendedError
    from ..protocol.server_errors import server_error as server_error
    from ..timeouts import CallLimits as CallLimits
    from ..timeouts import Limits as Limits
    from ..timeouts import limits_of as limits_of
    from .capability import API_VERSION as API_VERSION
    from .capability import OLDEST_API_VERSION as OLDEST_API_VERSION
    from .capability import Capability as Capability
    from .health import Finding as Finding
    from .hookspecs import ENGINE_GROUP as ENGINE_GROUP
    from .hookspecs import hookimpl as hookimpl
    from .registry import plugins as plugins

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    # what a plugin declares
    "plugins.capability": (
        "API_VERSION",
        "OLDEST_API_VERSION",
        "Capability",
    ),
    "plugins.hookspecs": (
        "ENGINE_GROUP",
        "hookimpl",
    ),
    "plugins.health": ("Finding",),
    "plugins.registry": ("plugins",),
    "observe.observations": (
        "ActObservation",
        "EmbeddingObservation",
        "Observation",
        "PredictionObservation",
        "ToolCallObservation",
        "add_observer",
        "begin_observation",
        "is_observed",
        "remove_observer",
    ),
    # operations
    "protocol.address": ("Address", "FoundServer"),
    "protocol.frames": ("Prepared",),
    "protocol.operations": (
        "VOID",
        "Batch",
        "Call",
        "Channel",
        "Endpoint",
        "Invoke",
        "InvokeMany",
        "Op",
        "Step",
        "VoidType",
    ),
    # namespaces, and what runs operations
    "client.namespace": (
        "AsyncNamespace",
        "SyncNamespace",
    ),
    "client": (
        "AsyncClient",
        "Client",
    ),
    "client.default": ("get_default_client",),
    "drivers.loops": ("running_loop",),
    "protocol.runner": (
        "AsyncChannelStream",
        "AsyncRunner",
        "ChannelStream",
        "SyncRunner",
    ),
    "timeouts": (
        "CallLimits",
        "Limits",
        "limits_of",
    ),
    # data and configuration
    "data": (
        "InputStruct",
        "ServerStruct",
        "field_schema",
        "nearest",
    ),
    "config": (
        "KV",
        "ConfigModel",
        "config_stack",
        "kv_config",
        "kv_values",
    ),
    "files.handles": (
        "FileHandle",
        "FileHandleDict",
        "FileHandleInput",
        "LocalFileInput",
    ),
    "files.operations": ("prepare_image",),
    "program.interpreter": (
        "python_command",
        "python_environment",
        "why_no_python",
    ),
    "lazy": ("lazy_names",),
    "program.places": ("expanded", "home_folder", "lmstudio_home"),
    "lenient": (
        "as_list",
        "as_mapping",
        "as_text",
        "error_text",
        "is_interrupt",
        "is_list",
        "is_mapping",
        "is_sequence",
    ),
    # errors
    "errors": (
        "CapabilityNotInstalledError",
        "FrozenProgramError",
        "LMStudioAmbiguousModelError",
        "LMStudioAuthenticationError",
        "LMStudioCancelledError",
        "LMStudioChannelClosedError",
        "LMStudioClientError",
        "LMStudioConnectionError",
        "LMStudioError",
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
        "LMStudioValueError",
        "LMStudioWebsocketError",
        "PluginLoadError",
        "ValidationError",
    ),
    "protocol.server_errors": (
        "SerializedLMSExtendedError",
        "server_error",
    ),
    # namespaces of models
    "models.kind": ("ModelKind",),
    "models.namespaces": (
        "AsyncModelNamespace",
        "SyncModelNamespace",
    ),
    "models.handles": (
        "AsyncDraftingHandle",
        "AsyncModelHandle",
        "DraftingHandle",
        "ModelSpecifierInput",
        "SyncModelHandle",
    ),
    "models.downloaded": (
        "AsyncDownloadedModel",
        "DownloadedModel",
    ),
    "models.infos": (
        "EmbeddingModelInfo",
        "EmbeddingModelInstanceInfo",
        "LlmInfo",
        "LlmInstanceInfo",
        "ModelInfo",
        "ModelInstanceInfo",
    ),
    "models.operations": (
        "DEFAULT_TTL",
        "LoadProgressCallback",
        "count_tokens",
        "get_context_length",
        "get_model_info",
        "specifier_of",
        "tokenize",
    ),
    "models.gpu": (
        "GPU_SPLIT_KEY",
        "GpuSetting",
        "GpuSettingDict",
        "gpu_from_kv",
        "gpu_to_kv",
    ),
    "halves": (
        "HalfJoiner",
        "json_text",
        "mend",
        "readable",
    ),
    # what people see
    "program.notebook": (
        "html_table",
        "html_text",
    ),
    "program.tracebacks": (
        "CUT",
        "Short",
        "cut",
        "short",
    ),
    "program.terminal": (
        "is_terminal",
        "one_line",
        "visible",
    ),
    "program.progress": ("ProgressBar",),
}

__all__ = [
    "API_VERSION",
    "CUT",
    "DEFAULT_TTL",
    "ENGINE_GROUP",
    "GPU_SPLIT_KEY",
    "KV",
    "OLDEST_API_VERSION",
    "VOID",
    "ActObservation",
    "Address",
    "AsyncChannelStream",
    "AsyncClient",
    "AsyncDownloadedModel",
    "AsyncDraftingHandle",
    "AsyncModelHandle",
    "AsyncModelNamespace",
    "AsyncNamespace",
    "AsyncRunner",
    "Batch",
    "Call",
    "CallLimits",
    "Capability",
    "CapabilityNotInstalledError",
    "Channel",
    "ChannelStream",
    "Client",
    "ConfigModel",
    "DownloadedModel",
    "DraftingHandle",
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "EmbeddingObservation",
    "Endpoint",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "Finding",
    "FoundServer",
    "FrozenProgramError",
    "GpuSetting",
    "GpuSettingDict",
    "HalfJoiner",
    "InputStruct",
    "Invoke",
    "InvokeMany",
    "LMStudioAmbiguousModelError",
    "LMStudioAuthenticationError",
    "LMStudioCancelledError",
    "LMStudioChannelClosedError",
    "LMStudioClientError",
    "LMStudioConnectionError",
    "LMStudioError",
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
    "LMStudioValueError",
    "LMStudioWebsocketError",
    "Limits",
    "LlmInfo",
    "LlmInstanceInfo",
    "LoadProgressCallback",
    "LocalFileInput",
    "ModelInfo",
    "ModelInstanceInfo",
    "ModelKind",
    "ModelSpecifierInput",
    "Observation",
    "Op",
    "PluginLoadError",
    "PredictionObservation",
    "Prepared",
    "ProgressBar",
    "SerializedLMSExtendedError",
    "ServerStruct",
    "Short",
    "Step",
    "SyncModelHandle",
    "SyncModelNamespace",
    "SyncNamespace",
    "SyncRunner",
    "ToolCallObservation",
    "ValidationError",
    "VoidType",
    "add_observer",
    "as_list",
    "as_mapping",
    "as_text",
    "begin_observation",
    "config_stack",
    "count_tokens",
    "cut",
    "error_text",
    "expanded",
    "field_schema",
    "get_context_length",
    "get_default_client",
    "get_model_info",
    "gpu_from_kv",
    "gpu_to_kv",
    "home_folder",
    "hookimpl",
    "html_table",
    "html_text",
    "is_interrupt",
    "is_list",
    "is_mapping",
    "is_observed",
    "is_sequence",
    "is_terminal",
    "json_text",
    "kv_config",
    "kv_values",
    "lazy_names",
    "limits_of",
    "lmstudio_home",
    "mend",
    "nearest",
    "one_line",
    "plugins",
    "prepare_image",
    "python_command",
    "python_environment",
    "readable",
    "remove_observer",
    "running_loop",
    "server_error",
    "short",
    "specifier_of",
    "tokenize",
    "visible",
    "why_no_python",
]


@dataclass(frozen=True)
class Deprecation:
    """A name that is still here, and will not stay.

    Attributes:
        since: The API version that deprecated it.
        gone_in: The API version that drops it: at least two later, so that there is a version for
            which a plugin can be written without it.
        instead: What to use.
    """

    since: int
    gone_in: int
    instead: str


DEPRECATED: Final[dict[str, Deprecation]] = {}
"""The names of ``__all__`` that warn when they are imported."""

_get, _names = _lazy_names(
    __name__,
    {name: f"lmstudio_core.{home}:{name}" for home, names in _HOMES.items() for name in names},
)

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake

    def __getattr__(name: str) -> Any:
        value = _get(name)
        if (old := DEPRECATED.get(name)) is not None:
            globals().pop(name, None)  # whoever imports it next is told as well
            warnings.warn(
                f"lmstudio_core.plugins.api.{name} is deprecated since plugin API {old.since} and goes "
                f"with {old.gone_in}. Use {old.instead}.",
                DeprecationWarning,
                stacklevel=2,
            )
        return value

    __dir__ = _names
