"""``client.plugins``: tools and generators of installed LM Studio plugins, and plugins themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.lazy import lazy_names
from lmstudio_core.plugins.capability import Capability

if TYPE_CHECKING:
    from .data import ConfigSchematics as ConfigSchematics
    from .data import ConfigSchematicsField as ConfigSchematicsField
    from .data import GeneratorFragment as GeneratorFragment
    from .data import GeneratorProgress as GeneratorProgress
    from .data import GeneratorResult as GeneratorResult
    from .data import GeneratorToolCall as GeneratorToolCall
    from .data import HookRequest as HookRequest
    from .data import PluginCredentials as PluginCredentials
    from .data import PluginManifest as PluginManifest
    from .data import PluginTool as PluginTool
    from .data import PredictionProcess as PredictionProcess
    from .data import TokenSource as TokenSource
    from .data import ToolCallDecision as ToolCallDecision
    from .development import AsyncDevelopmentPlugin as AsyncDevelopmentPlugin
    from .development import AsyncHookStream as AsyncHookStream
    from .development import DevelopmentPlugin as DevelopmentPlugin
    from .development import HookStream as HookStream
    from .facade import AsyncPluginsNamespace as AsyncPluginsNamespace
    from .facade import PluginsNamespace as PluginsNamespace
    from .generation import AsyncGeneratorStream as AsyncGeneratorStream
    from .generation import GeneratorStream as GeneratorStream
    from .processing import AsyncPredictionController as AsyncPredictionController
    from .processing import PredictionController as PredictionController
    from .sessions import AsyncToolUseSession as AsyncToolUseSession
    from .sessions import ToolUseSession as ToolUseSession

CAPABILITY: Final[Capability[PluginsNamespace, AsyncPluginsNamespace]] = Capability(
    name="plugins",
    sync_namespace=f"{__name__}.facade:PluginsNamespace",
    async_namespace=f"{__name__}.facade:AsyncPluginsNamespace",
)

__all__ = [
    "CAPABILITY",
    "AsyncDevelopmentPlugin",
    "AsyncGeneratorStream",
    "AsyncHookStream",
    "AsyncPluginsNamespace",
    "AsyncPredictionController",
    "AsyncToolUseSession",
    "ConfigSchematics",
    "ConfigSchematicsField",
    "DevelopmentPlugin",
    "GeneratorFragment",
    "GeneratorProgress",
    "GeneratorResult",
    "GeneratorStream",
    "GeneratorToolCall",
    "HookRequest",
    "HookStream",
    "PluginCredentials",
    "PluginManifest",
    "PluginTool",
    "PluginsNamespace",
    "PredictionController",
    "PredictionProcess",
    "TokenSource",
    "ToolCallDecision",
    "ToolUseSession",
]

_HOMES: Final = {
    "data": (
        "ConfigSchematics",
        "ConfigSchematicsField",
        "GeneratorFragment",
        "GeneratorProgress",
        "GeneratorResult",
        "GeneratorToolCall",
        "HookRequest",
        "PluginCredentials",
        "PluginManifest",
        "PluginTool",
        "PredictionProcess",
        "TokenSource",
        "ToolCallDecision",
    ),
    "development": (
        "AsyncDevelopmentPlugin",
        "AsyncHookStream",
        "DevelopmentPlugin",
        "HookStream",
    ),
    "facade": ("AsyncPluginsNamespace", "PluginsNamespace"),
    "generation": ("AsyncGeneratorStream", "GeneratorStream"),
    "processing": ("AsyncPredictionController", "PredictionController"),
    "sessions": ("AsyncToolUseSession", "ToolUseSession"),
}

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(
        __name__,
        {name: f"{__name__}.{home}:{name}" for home, names in _HOMES.items() for name in names},
    )
