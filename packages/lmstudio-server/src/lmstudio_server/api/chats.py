"""The server's own namespace ``chats``, which LM Studio's protocol does not have: answers with plugins."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server.bridge.process import Enabled, PredictionProcess
from lmstudio_server.errors import WireError
from lmstudio_server.kv.stack import collapse

from .endpoint import Channel, Namespace
from .parameters import History, KVConfig, Optional, Parameter
from .plugin_predictions import PluginPrediction
from .race import first_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmstudio_server.bridge.host import PluginHost

__all__ = ["EnabledPlugin", "PredictWithPlugins", "enabled_plugins", "namespace"]

namespace = Namespace("chats")


class EnabledPlugin(Parameter):
    """A plugin of the chat."""

    identifier: str
    config: KVConfig | None = None
    working_directory_path: Optional = None
    allowed_tools: list[str] | None = None


class PredictWithPlugins(Parameter):
    """A chat, what predicts (a loaded model's identifier, or a plugin's generator), and its plugins."""

    source: str
    source_type: Literal["model", "generator"] = "model"
    history: History
    config: KVConfig
    plugins: list[EnabledPlugin]
    name: Optional = None


class _Answer(Parameter):
    request_id: int
    response: dict[str, Any]


def enabled_plugins(host: PluginHost, given: Sequence[EnabledPlugin]) -> list[Enabled]:
    """The plugins of a chat.

    Raises:
        WireError: There is no such plugin, or one is named twice.
    """
    found: dict[str, Enabled] = {}
    for one in given:
        plugin = host.find(one.identifier)
        if plugin.identifier in found:
            raise WireError(f'The plugin "{plugin.identifier}" is named twice.')
        values = {} if one.config is None else collapse([one.config.fields_])
        allowed = None if one.allowed_tools is None else frozenset(one.allowed_tools)
        found[plugin.identifier] = Enabled(plugin, values, one.working_directory_path, allowed)
    return list(found.values())


@namespace.channel(
    "predictWithPlugins", PredictWithPlugins, messages={"cancel": None, "answer": _Answer}
)
async def predict_with_plugins(channel: Channel, parameter: PredictWithPlugins) -> None:
    """Answer a chat with the help of plugins.

    The packets are those of ``PluginPrediction``, and ``request``, which ``answer`` answers.
    """
    waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
    ids = itertools.count(1)

    async def show(plugin: str, update: Mapping[str, Any]) -> None:
        await channel.send({"type": "update", "plugin": plugin, "update": update})

    async def ask(plugin: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        number = next(ids)
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        waiting[number] = answer
        packet = {"type": "request", "requestId": number, "plugin": plugin, "request": request}
        try:
            await channel.send(packet)
            return await answer
        finally:
            del waiting[number]

    async def listen() -> None:
        while True:
            message = await channel.inbox.get()
            if message["type"] == "answer":
                answer = waiting.get(message["requestId"])
                if answer is not None and not answer.done():
                    answer.set_result(message["response"])

    key = "identifier" if parameter.source_type == "model" else "pluginIdentifier"
    process = PredictionProcess(
        messages=parameter.history.model_dump(by_alias=True, exclude_none=True)["messages"],
        config=collapse([parameter.config.fields_]),
        source={"type": parameter.source_type, key: parameter.source},
        enabled=enabled_plugins(channel.services.plugins, parameter.plugins),
        show=show,
        ask=ask,
        name=parameter.name,
    )

    async def predict() -> None:
        result = await PluginPrediction(channel, process).run()
        await channel.send({"type": "success", **result})

    await first_of(predict(), listen())
