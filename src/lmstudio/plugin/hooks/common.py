"""What the controllers of all hooks share, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.hooks.common import HookController as HookController
    from lmstudio_plugin.hooks.common import PluginRequest as PluginRequest
    from lmstudio_plugin.hooks.common import ServerRequestError as ServerRequestError
    from lmstudio_plugin.hooks.common import StatusBlockController as StatusBlockController
    from lmstudio_plugin.hooks.common import StatusUpdateCallback as StatusUpdateCallback
    from lmstudio_plugin.hooks.common import TConfig as TConfig
    from lmstudio_plugin.hooks.common import TGlobalConfigSchema as TGlobalConfigSchema
    from lmstudio_plugin.hooks.common import TPluginConfigSchema as TPluginConfigSchema
    from lmstudio_plugin.hooks.common import TPluginRequest as TPluginRequest

_HOMES: Final = {
    "HookController": "lmstudio_plugin.hooks.common:HookController",
    "PluginRequest": "lmstudio_plugin.hooks.common:PluginRequest",
    "ServerRequestError": "lmstudio_plugin.hooks.common:ServerRequestError",
    "StatusBlockController": "lmstudio_plugin.hooks.common:StatusBlockController",
    "StatusUpdateCallback": "lmstudio_plugin.hooks.common:StatusUpdateCallback",
    "TConfig": "lmstudio_plugin.hooks.common:TConfig",
    "TGlobalConfigSchema": "lmstudio_plugin.hooks.common:TGlobalConfigSchema",
    "TPluginConfigSchema": "lmstudio_plugin.hooks.common:TPluginConfigSchema",
    "TPluginRequest": "lmstudio_plugin.hooks.common:TPluginRequest",
    "_AsyncSessionPlugins": "lmstudio_plugin.hooks.common:_AsyncSessionPlugins",
}

__all__ = [
    "HookController",
    "PluginRequest",
    "ServerRequestError",
    "StatusBlockController",
    "StatusUpdateCallback",
    "TConfig",
    "TGlobalConfigSchema",
    "TPluginConfigSchema",
    "TPluginRequest",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
