"""A prediction with plugins: preprocessors, then a loop, or the model (or a generator) with their tools."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.errors import WireError
from lmstudio_server.kv.stack import fields

from . import parameters as p
from . import plugin_parameters as pp
from .endpoint import Channel
from .plugin_use import ABORT_SECONDS, Generation, ToolSession, relayed

if TYPE_CHECKING:
    from lmstudio_server.bridge.hook import Conversation, HookName
    from lmstudio_server.bridge.process import Enabled, PredictionProcess

__all__ = ["PluginPrediction"]

_log = logging.getLogger(__name__)

MAX_ROUNDS: Final = 25
"""How often a model may ask for tools before it has to answer without."""
PREPROCESS_SECONDS: Final = 300.0
"""How long a preprocessor may take; it may ask the user."""


class Stopped(Exception):  # noqa: N818 - no error
    """The consumer has enough."""


class PluginPrediction:
    """One answer, with the plugins of a chat.

    Its channel is told what each plugin shows (``update``), what is predicted (the packets of ``predict``
    without its ``success``), ``toolCall`` and ``toolResult``.
    """

    def __init__(self, channel: Channel, process: PredictionProcess) -> None:
        self._channel = channel
        self._process = process
        self._text: list[str] = []
        self._stats: Mapping[str, Any] = {}
        self._predicted: list[dict[str, Any]] = []

    async def run(self) -> dict[str, Any]:
        """To the end; returns what ``success`` holds: the messages that are new, and statistics."""
        processes = self._channel.services.processes
        process = self._process
        processes.begin(process)
        stopped = False
        try:
            await self._answer()
        except Stopped:
            stopped = True
        finally:
            processes.end(process)
        more = {} if process.name is None else {"name": process.name}
        stats = {**self._stats, **({"stopReason": "userStopped"} if stopped else {})}
        messages = [*process.added(), *self._predicted]
        return {"input": process.messages[-1], "messages": messages, "stats": stats, **more}

    async def _answer(self) -> None:
        process = self._process
        for enabled in await self._with_hook("promptPreprocessor"):
            asked = {"input": process.messages[-1]}
            done = await self._task(enabled, "promptPreprocessor", "preprocess", asked)
            process.messages[-1] = done["processed"]
        loops = await self._with_hook("predictionLoopHandler")
        if len(loops) > 1:
            names = ", ".join(e.plugin.identifier for e in loops)
            raise WireError(
                f"Several plugins have a prediction loop: {names}.", suggestion="Enable one."
            )
        if loops:
            await self._task(loops[0], "predictionLoopHandler", "handlePredictionLoop", {})
            return
        async with AsyncExitStack() as stack:
            tools: dict[str, _Tools] = {}
            for enabled in await self._with_hook("toolsProvider"):
                opened = await stack.enter_async_context(_tools(self._channel, enabled))
                for name in opened.definitions:
                    if name in tools:
                        raise WireError(f'Two enabled plugins have a tool "{name}".')
                    tools[name] = opened
            await self._act(tools)

    async def _with_hook(self, name: HookName) -> list[Enabled]:
        """The plugins with a hook; those that are starting are waited for."""
        return [e for e in self._process.enabled if await e.plugin.offers(name)]

    # -- plugins ---------------------------------------------------------------------------------

    async def _task(
        self, enabled: Enabled, hook: HookName, kind: str, more: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Let a plugin do something; returns what it completes with."""
        plugin, process = enabled.plugin, self._process
        conversation = (await plugin.hook(hook)).open()
        done = False
        try:
            conversation.tell(
                kind,
                **more,
                config=fields(dict(process.config)),
                pluginConfig=fields(enabled.settings),
                globalPluginConfig=fields(plugin.global_values()),
                workingDirectoryPath=enabled.working_directory,
                enabledPluginInfos=[other.info() for other in process.enabled],
                pci=process.pci,
                token=process.grant(plugin),
            )
            limit = PREPROCESS_SECONDS if hook == "promptPreprocessor" else None
            message = await self._ended(conversation, limit, plugin.identifier)
            done = True
        finally:
            process.revoke(plugin)
            conversation.leave(None if done else "abort")
        if message["type"] == "complete":
            return message
        if message["type"] == "aborted" and self._channel.cancelled.is_set():
            raise Stopped
        raise relayed(message.get("error") or {}, plugin.identifier)

    async def _ended(
        self, conversation: Conversation, limit: float | None, plugin: str
    ) -> Mapping[str, Any]:
        """The end of a task; after the consumer's cancel the plugin has some time for it."""
        answer = asyncio.ensure_future(conversation.next())
        cancelled = asyncio.ensure_future(self._channel.cancelled.wait())
        try:
            waiting: set[asyncio.Future[Any]] = {answer, cancelled}
            await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and cancelled.done():
                conversation.tell("abort")
                await asyncio.wait({answer}, timeout=ABORT_SECONDS)
                if not answer.done():
                    raise Stopped
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
            cancelled.cancel()
        raise WireError(f'The plugin "{plugin}" took longer than {limit:g} s.')

    # -- predicting ------------------------------------------------------------------------------

    async def _act(self, tools: Mapping[str, _Tools]) -> None:
        """Predict and call tools, until the answer asks for none."""
        for number in range(MAX_ROUNDS):
            offered = list(tools.values()) if number < MAX_ROUNDS - 1 else []
            definitions = [d for one in dict.fromkeys(offered) for d in one.definitions.values()]
            requests = await self._round(definitions)
            if self._channel.cancelled.is_set():
                raise Stopped
            if not requests:
                return
            results = [await self._call(tools, request) for request in requests]
            self._predicted.append({"role": "tool", "content": results})

    async def _round(self, definitions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """One prediction, told to the consumer; the tool calls that it asks for."""
        text: list[str] = []
        requests: list[Mapping[str, Any]] = []

        async def send(packet: Mapping[str, Any], /) -> None:
            kind = packet["type"]
            if kind == "success":
                self._stats = packet.get("stats", {})
                return
            if kind == "fragment" and packet["fragment"]["reasoningType"] == "none":
                text.append(packet["fragment"]["content"])
            elif kind == "toolCallGenerationEnd":
                requests.append(packet["toolCallRequest"])
            await self._channel.send(packet)

        await self._predict(_inner(self._channel, send), definitions)
        content: list[dict[str, Any]] = [{"type": "text", "text": "".join(text)}] if text else []
        content += [{"type": "toolCallRequest", "toolCallRequest": request} for request in requests]
        if content:
            self._predicted.append({"role": "assistant", "content": content})
        return requests

    async def _predict(self, channel: Channel, definitions: Sequence[Mapping[str, Any]]) -> None:
        process = self._process
        history = {"messages": [*process.history(with_current=True), *self._predicted]}
        if process.source["type"] == "generator":
            identifier = process.source["pluginIdentifier"]
            enabled = process.of(identifier)
            given = {} if enabled is None else enabled.settings
            specifier = {"type": "direct", "config": fields(dict(given))}
            parameter = {"pluginIdentifier": identifier, "pluginConfigSpecifier": specifier}
            asked = {**parameter, "tools": list(definitions), "history": history}
            await Generation(channel, pp.Generate.model_validate(asked)).run()
            return
        from .llm import predict

        values = dict(process.config)
        if definitions:
            values["llm.prediction.tools"] = {"type": "toolArray", "tools": list(definitions)}
        query = {"identifier": process.source["identifier"]}
        stack = {"layers": [{"layerName": "conversationSpecific", "config": fields(values)}]}
        request = {
            "modelSpecifier": {"type": "query", "query": query},
            "history": history,
            "predictionConfigStack": stack,
        }
        await predict(channel, p.Predict.model_validate(request))

    async def _call(
        self, tools: Mapping[str, _Tools], request: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Call a tool that was asked for; what it gives goes to the model, errors too."""
        name, own = str(request["name"]), request.get("id") or str(len(self._predicted))
        arguments: Any = request.get("arguments") or {}
        one = tools.get(name)
        told = {"name": name, "id": own, "plugin": "" if one is None else one.plugin}
        await self._channel.send({"type": "toolCall", **told, "arguments": arguments})
        if one is None:
            content, failed = json.dumps({"error": f"There is no tool {name!r}."}), True
        else:
            content, failed = await one.call(name, arguments)
        result = {"type": "toolResult", **told, "content": content, "failed": failed}
        await self._channel.send(result)
        return {"type": "toolCallResult", "content": content, "toolCallId": own, "name": name}


def _inner(channel: Channel, send: Any) -> Channel:
    """A channel of the server's own, for the same client and with the same cancel."""
    return Channel(
        channel.services, "plugins", channel.client, channel.trusted, send, channel.cancelled
    )


class _Tools:
    """A session with one plugin's tools."""

    def __init__(self, channel: Channel, enabled: Enabled) -> None:
        self.plugin = enabled.plugin.identifier
        self.definitions: dict[str, Mapping[str, Any]] = {}
        self._said: asyncio.Queue[Mapping[str, Any] | Exception] = asyncio.Queue()
        self._allowed = enabled.tools
        self._channel = _inner(channel, self._said.put)
        self._ids = 0
        specifier: dict[str, Any] = {"type": "direct", "config": fields(enabled.settings)}
        if enabled.working_directory is not None:
            specifier["workingDirectoryPath"] = enabled.working_directory
        asked = {"pluginIdentifier": self.plugin, "pluginConfigSpecifier": specifier}
        self._session = ToolSession(self._channel, pp.StartSession.model_validate(asked))

    async def serve(self) -> None:
        try:
            await self._session.run()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            await self._said.put(error)

    async def _next(self) -> Mapping[str, Any]:
        said = await self._said.get()
        if isinstance(said, Exception):
            await self._said.put(said)  # for whoever asks next
            raise said
        return said

    async def start(self) -> None:
        """Wait for the tools."""
        ready = await self._next()
        for definition in ready["toolDefinitions"]:
            name = definition["function"]["name"]
            if self._allowed is None or name in self._allowed:
                self.definitions[name] = definition

    async def call(self, name: str, arguments: Any) -> tuple[str, bool]:
        """The result as JSON text, and whether it is an error."""
        self._ids += 1
        asked = {"type": "callTool", "callId": self._ids, "name": name, "arguments": arguments}
        await self._channel.inbox.put(asked)
        cancelled = asyncio.ensure_future(self._channel.cancelled.wait())
        try:
            while True:
                said = asyncio.ensure_future(self._next())
                waiting: set[asyncio.Future[Any]] = {said, cancelled}
                try:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    if not said.done():
                        raise Stopped
                    packet = said.result()
                finally:
                    said.cancel()
                if packet["type"] == "toolCallComplete":
                    return json.dumps(packet.get("result"), ensure_ascii=False), False
                if packet["type"] == "toolCallError":
                    title = str(packet["error"].get("title", "the tool failed"))
                    return json.dumps({"error": title}, ensure_ascii=False), True
        finally:
            cancelled.cancel()


@asynccontextmanager
async def _tools(channel: Channel, enabled: Enabled) -> AsyncGenerator[_Tools, None]:
    tools = _Tools(channel, enabled)
    serving = asyncio.ensure_future(tools.serve())
    try:
        await tools.start()
        yield tools
    finally:
        serving.cancel()
        await asyncio.wait({serving})
