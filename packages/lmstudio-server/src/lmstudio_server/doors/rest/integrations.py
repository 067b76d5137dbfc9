"""``integrations`` of a chat: the plugins that take part in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lmstudio_core.lenient import is_list
from lmstudio_server.api.chats import EnabledPlugin
from lmstudio_server.doors.bodies import is_object
from lmstudio_server.doors.errors import invalid, not_implemented
from lmstudio_server.kv.stack import fields

if TYPE_CHECKING:
    from lmstudio_server.doors.calls import Caller
    from lmstudio_server.registry import Instance

__all__ = ["plugins_of", "predict"]

Packet = Mapping[str, Any]


def plugins_of(given: object) -> list[dict[str, Any]]:
    """The plugins that a request names, as ``chats.predictWithPlugins`` takes them.

    Raises:
        DoorError: One of the integrations is none, or is an MCP server.
    """
    if given is None:
        return []
    if not is_list(given):
        raise invalid('"integrations" has to be a list.', "integrations", "invalid_value")
    return [_plugin(item, f"integrations[{index}]") for index, item in enumerate(given)]


def _plugin(item: object, where: str) -> dict[str, Any]:
    if isinstance(item, str):
        found: Mapping[str, Any] = {"type": "plugin", "id": item}
    else:
        found = is_object(item) or {}
    if found.get("type") == "ephemeral_mcp" or str(found.get("id")).startswith("mcp/"):
        raise not_implemented(
            f'"{where}": MCP servers are not offered here; use an agent of the SDK, which runs them in '
            "your program.",
            "integrations",
        )
    name = found.get("id", found.get("plugin_id"))
    if found.get("type", "plugin") != "plugin" or not isinstance(name, str):
        raise invalid(
            f'"{where}" has to be the name of a plugin, or an object with "type": "plugin" and "id".',
            where,
            "invalid_value",
        )
    plugin: dict[str, Any] = {"identifier": name}
    allowed, config = found.get("allowed_tools"), found.get("config")
    if allowed is not None:
        if not is_list(allowed) or not all(isinstance(tool, str) for tool in allowed):
            raise invalid(
                f'"{where}.allowed_tools" has to be a list of names.', where, "invalid_value"
            )
        plugin["allowedTools"] = allowed
    if config is not None:
        values = is_object(config)
        if values is None:
            raise invalid(f'"{where}.config" has to be an object.', where, "invalid_value")
        plugin["config"] = fields(values)
    EnabledPlugin.model_validate(plugin)
    return plugin


async def predict(
    caller: Caller,
    instance: Instance,
    history: Mapping[str, Any],
    config: Mapping[str, Any],
    plugins: list[dict[str, Any]],
) -> AsyncGenerator[Packet, None]:
    """The packets of an answer with plugins, as those of a prediction, and of its tool calls.

    Nobody can be asked here: a tool's call is allowed, since whoever asked has named the plugin; a text is
    not to be had.

    Args:
        caller: Who asked.
        instance: The model that predicts.
        history: The chat in the wire's form.
        config: The settings of the prediction.
        plugins: The plugins that work on it, each with its settings.
    """
    parameter = {
        "source": instance.identifier,
        "history": history,
        "config": fields(dict(config)),
        "plugins": plugins,
    }
    packets = caller.talk("chats", "predictWithPlugins", parameter)
    roles: dict[str, str] = {}
    async with aclosing(packets):
        async for packet, answer in packets:
            if packet["type"] == "request":
                await answer({"requestId": packet["requestId"], "response": _response(packet)})
            elif packet["type"] == "update":
                shown = _shown(packet["update"], roles)
                if shown is not None:
                    yield shown
            else:
                yield packet


def _response(packet: Packet) -> dict[str, Any]:
    if packet["request"]["type"] == "confirmToolCall":
        return {"type": "confirmToolCall", "result": {"type": "allow"}}
    return {"type": "textInput", "result": ""}


def _shown(update: Packet, roles: dict[str, str]) -> Packet | None:
    """Text that a plugin adds to the answer, as the fragment of a prediction."""
    kind = update["type"]
    if kind == "contentBlock.create":
        roles[update["id"]] = update.get("roleOverride") or "assistant"
    if kind != "contentBlock.appendText" or roles.get(update["id"]) != "assistant":
        return None
    fragment = {
        "content": update["text"],
        "tokensCount": update.get("tokensCount", 1),
        "reasoningType": "none",
        "isStructural": bool(update.get("isStructural", False)),
    }
    return {"type": "fragment", "fragment": fragment}
