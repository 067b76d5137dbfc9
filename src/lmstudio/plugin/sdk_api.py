"""The errors of plugins, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.errors import LMStudioPluginInitError as LMStudioPluginInitError
    from lmstudio_plugin.errors import LMStudioPluginRuntimeError as LMStudioPluginRuntimeError
    from lmstudio_plugin.sdk_api import plugin_sdk_type as plugin_sdk_type

_HOMES: Final = {
    "LMStudioPluginInitError": "lmstudio_plugin.errors:LMStudioPluginInitError",
    "LMStudioPluginRuntimeError": "lmstudio_plugin.errors:LMStudioPluginRuntimeError",
    "_C": "lmstudio_plugin.sdk_api:_C",
    "_PLUGIN_SDK_SUBMODULE": "lmstudio_plugin.sdk_api:_PLUGIN_SDK_SUBMODULE",
    "plugin_sdk_type": "lmstudio_plugin.sdk_api:plugin_sdk_type",
}

__all__ = [
    "LMStudioPluginInitError",
    "LMStudioPluginRuntimeError",
    "plugin_sdk_type",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
