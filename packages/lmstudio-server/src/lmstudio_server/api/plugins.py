"""The ``plugins`` namespace: programs that offer tools and generators to other clients."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.protocol.setting_kinds import value_problem
from lmstudio_server.bridge.hook import Hook, HookName
from lmstudio_server.bridge.host import Schematics
from lmstudio_server.errors import WireError

from . import plugin_parameters as pp
from .endpoint import ABSENT, Call, Channel, Namespace
from .plugin_use import Generation, ToolSession
from .processing import namespace as processing
from .race import first_of

if TYPE_CHECKING:
    from lmstudio_server.bridge.host import Plugin

__all__ = ["namespace"]

_log = logging.getLogger(__name__)

namespace: Final = Namespace("plugins")


# -- any program ---------------------------------------------------------------------------------


@namespace.rpc("reindexPlugins")
async def reindex_plugins(_call: Call, _parameter: Any) -> Any:
    """Nothing to look for: the plugins here are those that programs have registered."""
    return ABSENT


@namespace.channel("registerDevelopmentPlugin", pp.RegisterPlugin, messages=("end",))
async def register_development_plugin(channel: Channel, parameter: pp.RegisterPlugin) -> None:
    """Let a program run a plugin until it says so or is gone."""
    host = channel.services.plugins
    identifier = f"{parameter.manifest.owner}/{parameter.manifest.name}"
    plugin = host.register(identifier, trusted=channel.trusted)
    _log.info("registered the plugin %r", identifier)
    try:
        ready = {
            "clientIdentifier": plugin.credentials.identifier,
            "clientPasskey": plugin.credentials.passkey,
        }
        if channel.services.base_url is not None:
            ready["baseUrl"] = channel.services.base_url
        await channel.send({"type": "ready", **ready})
        await channel.inbox.get()
    finally:
        await host.unregister(plugin)
        _log.info("unregistered the plugin %r", identifier)


@namespace.channel("startToolUseSession", pp.StartSession, messages=pp.CLIENT_MESSAGES)
async def start_tool_use_session(channel: Channel, parameter: pp.StartSession) -> None:
    """Call a plugin's tools."""
    await ToolSession(channel, parameter).run()


@namespace.channel("generateWithGenerator", pp.Generate)
async def generate_with_generator(channel: Channel, parameter: pp.Generate) -> None:
    """Let a plugin answer a chat."""
    await Generation(channel, parameter).run()


# -- a plugin's own process ----------------------------------------------------------------------


def _plugin(call: Call) -> Plugin:
    return call.services.plugins.of_client(call.client)


async def _serve(channel: Channel, name: HookName) -> None:
    """Keep a hook open for as long as the plugin is there."""
    plugin = _plugin(channel)
    if name in plugin.hooks:
        raise WireError(
            f'The plugin "{plugin.identifier}" has set its {name} already.',
            suggestion="Set it once; end the plugin's other process if there is one.",
        )
    hook = Hook(plugin.identifier, "sessionId" if name == "toolsProvider" else "taskId")

    async def ask() -> None:
        while (packet := await hook.outbox.get()) is not None:
            await channel.send(packet)

    async def listen() -> None:
        while True:
            await hook.take(await channel.inbox.get())

    plugin.hooks[name] = hook
    await plugin.notify()
    try:
        await first_of(ask(), listen())
    finally:
        del plugin.hooks[name]
        hook.close()


@namespace.channel("setToolsProvider", messages=pp.TOOLS_PROVIDER_MESSAGES, tells_misfits=True)
async def set_tools_provider(channel: Channel, _parameter: Any) -> None:
    """The plugin has tools."""
    await _serve(channel, "toolsProvider")


@namespace.channel("setGenerator", messages=pp.GENERATOR_MESSAGES, tells_misfits=True)
async def set_generator(channel: Channel, _parameter: Any) -> None:
    """The plugin writes in the place of a model."""
    await _serve(channel, "generator")


@namespace.channel("setPromptPreprocessor", messages=pp.PREPROCESSOR_MESSAGES, tells_misfits=True)
async def set_prompt_preprocessor(channel: Channel, _parameter: Any) -> None:
    """The plugin changes what users have written; it is asked by predictions with plugins."""
    await _serve(channel, "promptPreprocessor")


@namespace.channel("setPredictionLoopHandler", messages=pp.TASK_MESSAGES, tells_misfits=True)
async def set_prediction_loop_handler(channel: Channel, _parameter: Any) -> None:
    """The plugin answers users; it is asked by predictions with plugins."""
    await _serve(channel, "predictionLoopHandler")


def _schematics(parameter: pp.SetSchematics) -> Schematics:
    """What a plugin declares.

    Raises:
        WireError: A default does not fit its own field, so that nobody could use the plugin.
    """
    found = Schematics(
        {f.full_key: f.model_dump(by_alias=True) for f in parameter.schematics.fields_}
    )
    for key, declared in found.fields.items():
        default = declared["defaultValue"]
        problem = value_problem(declared["typeKey"], declared["typeParams"], default)
        if problem is not None:
            raise WireError(f'The default of the setting "{key}" {problem}.')
    return found


@namespace.rpc("setConfigSchematics", pp.SetSchematics)
async def set_config_schematics(call: Call, parameter: pp.SetSchematics) -> Any:
    """Which settings a session has; their defaults hold where a client gives none."""
    _plugin(call).settings = _schematics(parameter)
    return ABSENT


@namespace.rpc("setGlobalConfigSchematics", pp.SetSchematics)
async def set_global_config_schematics(call: Call, parameter: pp.SetSchematics) -> Any:
    """Which settings the plugin has for all sessions. The server's configuration may set them."""
    _plugin(call).global_settings = _schematics(parameter)
    return ABSENT


@namespace.rpc("pluginInitCompleted")
async def plugin_init_completed(call: Call, _parameter: Any) -> Any:
    """All hooks are open."""
    plugin = _plugin(call)
    plugin.completed = True
    await plugin.notify()
    return ABSENT


@namespace.rpc("reportError", pp.ErrorReport)
async def report_error(call: Call, parameter: pp.ErrorReport) -> Any:
    """Without a screen, a plugin's trouble goes to the log."""
    where = parameter.unavailable_host or parameter.server_url
    name = _plugin(call).identifier
    _log.warning("plugin %r: %s (%r): %r", name, parameter.type, where, parameter.message)
    return ABSENT


namespace.include(processing)
namespace.mark("nothing", "reindexPlugins")
