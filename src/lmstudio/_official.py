"""The official SDK's module paths: their names, and what is said of those that have no equal here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, NoReturn

from lmstudio_core.plugins.api import lazy_names

__all__ = ["official_names"]

_NEAREST: Final[Mapping[str, str]] = {
    "AnyChatMessageInput": "AnyChatMessage",
    "AsyncChannel": "AsyncClient",
    "AsyncRemoteCall": "AsyncClient",
    "ChannelEndpoint": "Client",
    "ChatResponseEndpoint": "LLM",
    "ClientSession": "Client",
    "CompletionEndpoint": "LLM",
    "EmptyStruct": "AnyLMStudioStruct",
    "GpuSplitConfig": "GpuSetting",
    "GpuSplitConfigDict": "GpuSettingDict",
    "KvConfig": "LlmPredictionConfig",
    "KvConfigFieldDict": "LlmPredictionConfigDict",
    "KvConfigStack": "LlmPredictionConfig",
    "KvConfigStackDict": "LlmPredictionConfigDict",
    "LMStudioFileNotFoundError": "LMStudioOSError",
    "LMStudioStruct": "AnyLMStudioStruct",
    "LMStudioWebsocket": "Client",
    "LlmSplitStrategy": "GpuSetting",
    "LlmTool": "ToolFunctionDef",
    "LlmToolFunction": "ToolFunctionDef",
    "LlmToolParameters": "ToolFunctionDef",
    "LlmToolUseSettingNone": "LlmToolUseSetting",
    "LlmToolUseSettingToolArray": "LlmToolUseSetting",
    "MultiplexingManager": "Client",
    "PredictionEndpoint": "LLM",
    "SyncChannel": "Client",
    "SyncLMStudioWebsocket": "Client",
    "SyncRemoteCall": "Client",
    "ToolCallResult": "ToolCallResultData",
    "_AsyncLMStudioWebsocket": "AsyncClient",
    "_AsyncSession": "AsyncClient",
    "_FileHandleCache": "prepare_image",
    "_LocalFileData": "LocalFileInput",
    "_SyncSession": "Client",
    "_default_client": "get_default_client",
    "_prepare_file": "prepare_image",
}
"""Where the names alone would not show what to use instead."""


def official_names(
    module: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for one of the official SDK's modules.

    Args:
        module: The module's ``__name__``.
        homes: Name → ``"package.module:attribute"``. Beside them it has every name of the facade,
            since the official modules hold what they import from each other.
    """
    from . import HOME_OF

    every = {**{name: f"{home}:{name}" for name, home in HOME_OF.items()}, **homes}
    get, _ = lazy_names(module, every)
    _, names = lazy_names(module, homes)

    def get_or_explain(name: str) -> Any:
        if name in every or name.startswith("__"):
            return get(name)
        _explain(module, name, every, sys._getframe(1))  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    return get_or_explain, names


def _explain(module: str, name: str, known: Mapping[str, str], caller: FrameType) -> NoReturn:
    near = _NEAREST.get(name) or _alike(name, known)
    place = "lmstudio" if near not in vars(sys.modules[module])["__all__"] else module
    message = (
        f"{module}.{name} has no equal in this version of the SDK; the nearest is {place}.{near} "
        "(docs/migration.md lists the differences)"
    )
    if _imports_from(caller):
        # After an AttributeError, Python would say something of its own that helps nobody.
        raise ImportError(message, name=module)
    raise AttributeError(message, name=name, obj=sys.modules[module])


def _alike(name: str, known: Mapping[str, str]) -> str:
    import difflib

    plain = {other.strip("_"): other for other in known if not other.startswith("_")}
    return plain[difflib.get_close_matches(name.strip("_"), plain, n=1, cutoff=0.0)[0]]


def _imports_from(frame: FrameType) -> bool:
    """Whether ``frame`` is in the middle of ``from module import name``."""
    import dis

    return frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]
