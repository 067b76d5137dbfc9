"""What clients do with plugins: sessions with their tools, and texts of their generators."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_core.lenient import as_words
from lmstudio_server.bridge.hook import misfit
from lmstudio_server.bridge.process import no_process
from lmstudio_server.errors import WireError
from lmstudio_server.kv.stack import collapse, fields

from . import plugin_parameters as pp
from .parameters import Tool
from .race import first_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.bridge.hook import Conversation, HookName
    from lmstudio_server.bridge.host import Plugin

    from .endpoint import Channel

__all__ = ["ABORT_SECONDS", "Generation", "ToolSession", "relayed"]

_log = logging.getLogger(__name__)

ABORT_SECONDS: Final = 5.0
"""How long a generator may take to notice that nobody wants its text any more."""


LISTING_SECONDS: Final = 30.0
"""How long a plugin may take to list its tools; the SDKs' own limit is 20 s."""


def relayed(error: Mapping[str, Any], plugin: str) -> WireError:
    """A plugin's error, for whoever used the plugin."""
    title = as_words(error.get("title")) or as_words(error.get("rootTitle"))
    return WireError(
        title or f'The plugin "{plugin}" failed.',
        cause=as_words(error.get("cause")),
        suggestion=as_words(error.get("suggestion")),
    )


async def converse(
    channel: Channel, name: HookName, parameter: pp.StartSession
) -> tuple[Conversation, dict[str, Any]]:
    """Begin a conversation with the plugin that a client means; and the settings that it has there.

    Args:
        channel: The client's channel.
        name: Which of the plugin's hooks.
        parameter: Which plugin is meant, and its settings.
    """
    plugin = channel.services.plugins.find(parameter.plugin_identifier)
    given = _settings(channel, plugin, parameter)
    hook = await plugin.hook(name)
    return hook.open(), {
        "pluginConfig": fields(plugin.settings.values(given[0], plugin.identifier)),
        "globalPluginConfig": fields(plugin.global_values()),
        "workingDirectoryPath": given[1],
    }


def _settings(
    channel: Channel, plugin: Plugin, parameter: pp.StartSession
) -> tuple[Mapping[str, Any], str | None]:
    """What is given of a plugin's settings, and the folder it may work in.

    Raises:
        WireError: A prediction is named that is none of this client's, or the plugin is not enabled there.
    """
    specifier = parameter.plugin_config_specifier
    if isinstance(specifier, pp.DirectConfig):
        return collapse([specifier.config.fields_]), specifier.working_directory_path
    host = channel.services.plugins
    own = host.with_credentials(channel.client)
    if own is None:
        raise no_process()
    enabled = channel.services.processes.find(own, specifier.pci, specifier.token).of(
        plugin.identifier
    )
    if enabled is None:
        raise WireError(f'The plugin "{plugin.identifier}" is not enabled in this chat.')
    return enabled.given, enabled.working_directory


def _wire(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(by_alias=True, exclude_none=True)


class ToolSession:
    """A client calls a plugin's tools. The client's call ids are numbers, the plugin's strings."""

    def __init__(self, channel: Channel, parameter: pp.StartSession) -> None:
        self._channel = channel
        self._parameter = parameter
        self._plugin = parameter.plugin_identifier
        self._ids = itertools.count(1)
        self._calls: dict[str, float] = {}
        self._tools: frozenset[str] = frozenset()
        self._ready = False

    async def run(self) -> None:
        """The session, until the client discards it or the plugin is gone."""
        conversation, given = await converse(self._channel, "toolsProvider", self._parameter)
        try:
            conversation.tell("initSession", **given)
            await first_of(self._down(conversation), self._up(conversation), self._listed())
        finally:
            conversation.leave("discardSession")

    async def _listed(self) -> None:
        """A plugin that does not list its tools in time fails its consumer, which would wait for ever."""
        await asyncio.sleep(LISTING_SECONDS)
        if not self._ready:
            raise WireError(
                f'The plugin "{self._plugin}" did not list its tools within {LISTING_SECONDS:g} s.',
                suggestion="See what it says.",
            )
        await asyncio.Event().wait()

    async def _down(self, conversation: Conversation) -> None:
        """What the plugin says goes to the client."""
        send = self._channel.send
        while True:
            message = await conversation.next()
            match message["type"]:
                case "sessionInitialized" if self._ready:
                    _log.warning("the plugin %r lists its tools twice", self._plugin)
                case "sessionInitialized":
                    self._ready = True
                    tools = [Tool.model_validate(tool) for tool in message["toolDefinitions"]]
                    self._tools = frozenset(tool.function.name for tool in tools)
                    definitions = [_wire(tool) for tool in tools]
                    await send({"type": "sessionReady", "toolDefinitions": definitions})
                case "sessionInitializationFailed":
                    raise relayed(message["error"], self._plugin)
                case _:
                    packet = self._answer(message)
                    if packet is not None:
                        await send(packet)

    def _answer(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """A packet about a call; ``None``: nobody waits for it any more."""
        kind, call_id = str(message["type"]), self._calls.get(message["callId"])
        if call_id is None:
            return None
        packet: dict[str, Any] = {"type": kind, "callId": call_id}
        if kind == "toolCallStatus":
            return {**packet, "statusText": message["statusText"]}
        if kind == "toolCallWarn":
            return {**packet, "warnText": message["warnText"]}
        del self._calls[message["callId"]]
        if kind == "misfit":
            error = misfit(self._plugin, message["problem"])
            return {"type": "toolCallError", "callId": call_id, "error": error.to_wire()}
        if kind == "toolCallError":
            return {**packet, "error": relayed(message["error"], self._plugin).to_wire()}
        return {**packet, "result": message.get("result")}

    async def _up(self, conversation: Conversation) -> None:
        """What the client says goes to the plugin."""
        while True:
            message = await self._channel.inbox.get()
            match message["type"]:
                case "callTool":
                    await self._call(conversation, message)
                case "abortToolCall":
                    for own, call_id in list(self._calls.items()):
                        if call_id == message["callId"]:
                            del self._calls[own]
                            conversation.tell("abortToolCall", callId=own)
                case _:
                    return

    async def _call(self, conversation: Conversation, message: Mapping[str, Any]) -> None:
        name = message["name"]
        if name not in self._tools:
            # The SDK's plugins are not prepared to be asked for it.
            error = WireError(
                f'The plugin "{self._plugin}" has no tool "{name}".',
                cause=f"Its tools: {', '.join(sorted(self._tools)) or 'none'}.",
            )
            packet = {"type": "toolCallError", "callId": message["callId"]}
            await self._channel.send({**packet, "error": error.to_wire()})
            return
        own = f"{conversation.identifier}/{next(self._ids)}"
        self._calls[own] = message["callId"]
        more = {"callId": own, "toolName": name, "parameters": message["arguments"]}
        conversation.tell("callTool", **more)


class Generation:
    """A plugin's generator answers a chat."""

    def __init__(self, channel: Channel, parameter: pp.Generate) -> None:
        self._channel = channel
        self._parameter = parameter
        self._plugin = parameter.plugin_identifier

    async def run(self) -> None:
        """The text, to its end or the client's cancel."""
        conversation, given = await converse(self._channel, "generator", self._parameter)
        done = False
        try:
            conversation.tell(
                "generate",
                input=self._parameter.history.model_dump(by_alias=True, exclude_none=True),
                toolDefinitions=[_wire(tool) for tool in self._parameter.tools],
                **given,
            )
            await first_of(self._relay(conversation), self._abort(conversation))
            done = True
            await self._channel.send({"type": "success"})
        finally:
            conversation.leave(None if done else "abort")

    async def _abort(self, conversation: Conversation) -> None:
        """When the client has enough: the generator is told, and has some time to end."""
        await self._channel.cancelled.wait()
        conversation.tell("abort")
        await asyncio.sleep(ABORT_SECONDS)

    async def _relay(self, conversation: Conversation) -> None:
        while True:
            message = await conversation.next()
            kind = message["type"]
            if kind == "complete":
                return
            if kind == "aborted":
                if self._channel.cancelled.is_set():
                    return
                raise relayed({}, self._plugin)
            if kind == "error":
                raise relayed(message["error"], self._plugin)
            await self._channel.send(_generated(message))


def _generated(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A generator's packet in the form in which predictions are told."""
    match message["type"]:
        case "fragmentGenerated":
            return {"type": "fragment", "fragment": _fragment(message["content"], message["opts"])}
        case "toolCallGenerationStarted":
            own: object = message.get("toolCallId")
            known = {} if own is None else {"toolCallId": own}
            return {"type": "toolCallGenerationStart", **known}
        case "toolCallGenerationNameReceived":
            return {"type": "toolCallGenerationNameReceived", "name": message["toolName"]}
        case "toolCallGenerationArgumentFragmentGenerated" as kind:
            return {"type": kind, "content": message["content"]}
        case "toolCallGenerationEnded":
            request = message["toolCallRequest"]
            return {"type": "toolCallGenerationEnd", "toolCallRequest": request}
        case _:
            _log.warning("a generator's tool call failed: %s", message["error"])
            return {"type": "toolCallGenerationFailed"}


def _fragment(content: str, options: Mapping[str, Any]) -> dict[str, Any]:
    fragment = {
        "content": content,
        "tokensCount": options.get("tokenCount", 1),
        "containsDrafted": options.get("containsDrafted", False),
        "reasoningType": options.get("reasoningType", "none"),
        "isStructural": options.get("isStructural", False),
    }
    tokens = cast("object", options.get("tokens"))
    return fragment if tokens is None else {**fragment, "tokens": tokens}
