"""Registering a plugin and running it, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio._official import official_names

if TYPE_CHECKING:
    from lmstudio_plugin._dev_runner import DevPluginClient as DevPluginClient
    from lmstudio_plugin._dev_runner import (
        DevPluginRegistrationEndpoint as DevPluginRegistrationEndpoint,
    )
    from lmstudio_plugin._dev_runner import (
        DevPluginRegistrationReadyEvent as DevPluginRegistrationReadyEvent,
    )
    from lmstudio_plugin._dev_runner import (
        DevPluginRegistrationRxEvent as DevPluginRegistrationRxEvent,
    )
    from lmstudio_plugin._dev_runner import run_plugin as run_plugin
    from lmstudio_plugin._dev_runner import run_plugin_async as run_plugin_async

_HOMES: Final = {
    "DevPluginClient": "lmstudio_plugin._dev_runner:DevPluginClient",
    "DevPluginRegistrationEndpoint": "lmstudio_plugin._dev_runner:DevPluginRegistrationEndpoint",
    "DevPluginRegistrationReadyEvent": "lmstudio_plugin._dev_runner:DevPluginRegistrationReadyEvent",
    "DevPluginRegistrationRxEvent": "lmstudio_plugin._dev_runner:DevPluginRegistrationRxEvent",
    "_PLUGIN_INTERRUPT_SIGNAL": "lmstudio_plugin._dev_runner:_PLUGIN_INTERRUPT_SIGNAL",
    "_PLUGIN_STATUS_POLL_INTERVAL": "lmstudio_plugin._dev_runner:_PLUGIN_STATUS_POLL_INTERVAL",
    "_PLUGIN_STOP_TIMEOUT": "lmstudio_plugin._dev_runner:_PLUGIN_STOP_TIMEOUT",
    "_get_creation_flags": "lmstudio_plugin._dev_runner:_get_creation_flags",
    "_get_interrupt_signal": "lmstudio_plugin._dev_runner:_get_interrupt_signal",
    "_interrupt_child_process": "lmstudio_plugin._dev_runner:_interrupt_child_process",
    "_run_plugin_in_child_process": "lmstudio_plugin._dev_runner:_run_plugin_in_child_process",
    "_start_child_process": "lmstudio_plugin._dev_runner:_start_child_process",
    "run_plugin": "lmstudio_plugin._dev_runner:run_plugin",
    "run_plugin_async": "lmstudio_plugin._dev_runner:run_plugin_async",
}

__all__ = [
    "DevPluginClient",
    "DevPluginRegistrationEndpoint",
    "DevPluginRegistrationReadyEvent",
    "DevPluginRegistrationRxEvent",
    "run_plugin",
    "run_plugin_async",
]

__getattr__, __dir__ = official_names(__name__, _HOMES)
