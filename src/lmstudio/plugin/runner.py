"""A plugin's own process, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin.runner import ENV_CLIENT_ID as ENV_CLIENT_ID
    from lmstudio_plugin.runner import ENV_CLIENT_KEY as ENV_CLIENT_KEY
    from lmstudio_plugin.runner import AnyHookImpl as AnyHookImpl
    from lmstudio_plugin.runner import HookRunner as HookRunner
    from lmstudio_plugin.runner import PluginClient as PluginClient
    from lmstudio_plugin.runner import ReadyCallback as ReadyCallback
    from lmstudio_plugin.runner import THookImpl as THookImpl
    from lmstudio_plugin.runner import (
        get_plugin_credentials_from_env as get_plugin_credentials_from_env,
    )
    from lmstudio_plugin.runner import run_plugin as run_plugin
    from lmstudio_plugin.runner import run_plugin_async as run_plugin_async

_HOMES: Final = {
    "AnyHookImpl": "lmstudio_plugin.runner:AnyHookImpl",
    "ENV_CLIENT_ID": "lmstudio_plugin.runner:ENV_CLIENT_ID",
    "ENV_CLIENT_KEY": "lmstudio_plugin.runner:ENV_CLIENT_KEY",
    "HookRunner": "lmstudio_plugin.runner:HookRunner",
    "PluginClient": "lmstudio_plugin.runner:PluginClient",
    "ReadyCallback": "lmstudio_plugin.runner:ReadyCallback",
    "THookImpl": "lmstudio_plugin.runner:THookImpl",
    "_HOOK_RUNNERS": "lmstudio_plugin.runner:_HOOK_RUNNERS",
    "_PLUGIN_API_STABILITY_WARNING": "lmstudio_plugin.runner:_PLUGIN_API_STABILITY_WARNING",
    "get_plugin_credentials_from_env": "lmstudio_plugin.runner:get_plugin_credentials_from_env",
    "run_plugin": "lmstudio_plugin.runner:run_plugin",
    "run_plugin_async": "lmstudio_plugin.runner:run_plugin_async",
}

__all__ = [
    "ENV_CLIENT_ID",
    "ENV_CLIENT_KEY",
    "AnyHookImpl",
    "HookRunner",
    "PluginClient",
    "ReadyCallback",
    "THookImpl",
    "get_plugin_credentials_from_env",
    "run_plugin",
    "run_plugin_async",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
