"""What clients do with plugins: sessions with their tools, and texts of their generators."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_core.lenient import as_words
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

__all__ = ["Generation", "ToolSession", "no_process"]

_log = logging.getLogger(__name__)

ABORT_SECONDS: Final = 5.0
"""How long a generator may take to notice that nobody wants its text any more."""


def no_process() -> WireError:
    """A prediction process was named; there is never one here."""
    return WireError(
        "There is no prediction process of that name.",
        cause="Predictions that plugins work on are those of LM Studio's own chats, which "
        "lmstudio-server does not have.",
        suggestion="Pass the plugin's settings directly.",
    )


def relayed(error: Mapping[str, Any], plugin: str) -> WireError:
    """A plugin's error, for whoever used the plugin."""
    title = as_words(error.get("title")) or as_words(error.get("rootTitle"))
    return WireError(
        title or f'The plugin "{plugin}" failed.',
        cause=as_words(error.get("cause")),
        suggestion=as_words(error.get("suggestion")),
    )


async def converse(channel: Channel, name: HookName, parameter: pp.StartSession) -> Conversation:
    """Begin a conversation with the plugin that a client means.

    Args:
        channel: The client's channel.
        name: Which of the plugin's hooks.
        parameter: Which plugin is meant, and its settings.
    """
    if isinstance(parameter.plugin_config_specifier, pp.ProcessConfig):
        raise no_process()
    plugin = channel.services.plugins.find(parameter.plugin_identifier)
    return (await plugin.hook(name)).open()


def settings(plugin: Plugin, parameter: pp.StartSession) -> dict[str, Any]:
    """The plugin's settings as it takes them: its defaults, with what was given over them."""
    specifier = parameter.plugin_config_specifier
    given = collapse([specifier.config.fields_]) if isinstance(specifier, pp.DirectConfig) else {}
    path = specifier.working_directory_path if isinstance(specifier, pp.DirectConfig) else None
    return {
        "pluginConfig": fields({**plugin.settings, **given}),
        "globalPluginConfig": fields(plugin.global_settings),
        "workingDirectoryPath": path,
    }


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

    async def run(self) -> None:
        """The session, until the client discards it or the plugin is gone."""
        conversation = await converse(self._channel, "toolsProvider", self._parameter)
        plugin = self._channel.services.plugins.find(self._plugin)
        try:
            conversation.tell("initSession", **settings(plugin, self._parameter))
            await first_of(self._down(conversation), self._up(conversation))
        finally:
            conversation.tell("discardSession")
            conversation.leave()

    async def _down(self, conversation: Conversation) -> None:
        """What the plugin says goes to the client."""
        send = self._channel.send
        while True:
            message = await conversation.next()
            match message["type"]:
                case "sessionInitialized":
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
        conversation = await converse(self._channel, "generator", self._parameter)
        plugin = self._channel.services.plugins.find(self._plugin)
        done = False
        try:
            conversation.tell(
                "generate",
                input=self._parameter.history.model_dump(by_alias=True, exclude_none=True),
                toolDefinitions=[_wire(tool) for tool in self._parameter.tools],
                **settings(plugin, self._parameter),
            )
            await first_of(self._relay(conversation), self._abort(conversation))
            done = True
            await self._channel.send({"type": "success"})
        finally:
            if not done:
                conversation.tell("abort")
            conversation.leave()

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
