"""A prediction that plugins work on: its chat, what they have shown, and who may work on it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.errors import WireError

if TYPE_CHECKING:
    from .host import Plugin

__all__ = ["Enabled", "PredictionProcess", "Processes", "no_process"]

MAX_BLOCKS: Final = 10_000
"""How many blocks plugins may show in one prediction."""
MAX_TEXT: Final = 16 * 1024 * 1024
"""How many characters they may show in it."""


def no_process() -> WireError:
    """A prediction process was named that is none, or none of whoever named it."""
    return WireError(
        "There is no prediction process of that name.",
        cause="It has ended, or it is not this plugin that was asked to work on it.",
        suggestion="Work on a prediction while the request that names it is being answered.",
    )


@dataclass(frozen=True)
class Enabled:
    """A plugin that is enabled in a chat.

    Attributes:
        plugin: The plugin.
        given: Its settings there that are given, key to value.
        working_directory: A folder that it may work in.
        tools: The names of its tools that may be called; ``None``: all.
    """

    plugin: Plugin
    given: Mapping[str, Any]
    working_directory: str | None = None
    tools: frozenset[str] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings there, all of them, once its process has said what they are.

        Raises:
            WireError: One is given that it does not have, or not so.
        """
        return self.plugin.settings.values(self.given, self.plugin.identifier)

    def info(self) -> dict[str, Any]:
        """What other plugins are told of it."""
        hooks = self.plugin.hooks
        return {
            "identifier": self.plugin.identifier,
            "isDev": True,
            "isTrusted": True,
            "hasPromptPreprocessor": "promptPreprocessor" in hooks,
            "hasPredictionLoopHandler": "predictionLoopHandler" in hooks,
            "hasToolsProvider": "toolsProvider" in hooks,
            "hasGenerator": "generator" in hooks,
        }


@dataclass
class _Block:
    role: str
    in_context: bool
    content: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    text: str = ""

    def message(self) -> dict[str, Any]:
        text = [{"type": "text", "text": self.text}] if self.text else []
        return {"role": self.role, "content": [*text, *self.content]}


@dataclass(eq=False)
class PredictionProcess:
    """A prediction that plugins work on.

    Attributes:
        messages: The chat; the user's newest message is the last.
        config: The settings of predictions, key to value.
        source: What predicts: ``{"type": "model", "identifier": …}`` or a generator.
        enabled: The plugins of the chat, in their order.
        show: Tells the consumer what a plugin shows.
        ask: Asks the consumer's user; returns the response.
    """

    messages: list[dict[str, Any]]
    config: Mapping[str, Any]
    source: Mapping[str, Any]
    enabled: Sequence[Enabled]
    show: Callable[[str, Mapping[str, Any]], Awaitable[None]]
    ask: Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
    pci: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    name: str | None = None
    statuses: set[str] = field(default_factory=set[str])
    _tokens: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    _blocks: dict[str, _Block] = field(default_factory=dict[str, _Block])
    _others: set[str] = field(default_factory=set[str])
    _shown: int = 0

    # -- who may ---------------------------------------------------------------------------------

    def grant(self, plugin: Plugin) -> str:
        """Let a plugin work on it; the token that it has to show."""
        token = self._tokens[plugin.identifier] = secrets.token_urlsafe(24)
        return token

    def revoke(self, plugin: Plugin) -> None:
        """That plugin is done."""
        self._tokens.pop(plugin.identifier, None)

    def admits(self, plugin: Plugin, token: str) -> bool:
        """Whether the token is the one that this plugin was given."""
        given = self._tokens.get(plugin.identifier)
        return given is not None and hmac.compare_digest(given.encode(), token.encode())

    def of(self, identifier: str) -> Enabled | None:
        """The plugin of that name, if it is enabled here."""
        name = identifier.removeprefix("dev/")
        return next((e for e in self.enabled if e.plugin.identifier == name), None)

    # -- what is shown ---------------------------------------------------------------------------

    async def update(self, plugin: Plugin, update: Mapping[str, Any]) -> None:
        """Keep in mind what a plugin shows, and tell the consumer.

        Raises:
            WireError: It is about something that is not shown, or it is too much.
        """
        self._keep(update)
        await self.show(plugin.identifier, update)

    def _keep(self, update: Mapping[str, Any]) -> None:
        kind, block_id = str(update["type"]), str(update.get("id", ""))
        area, _, action = kind.partition(".")
        if area == "setSenderName":
            return
        self._shown += len(str(update))
        if self._shown > MAX_TEXT:
            raise WireError(
                "A plugin shows too much in one prediction.", cause=f"At most {MAX_TEXT}."
            )
        known = {"status": self.statuses, "contentBlock": self._blocks}.get(area, self._others)
        if action == "create":
            if len(self.statuses) + len(self._blocks) + len(self._others) >= MAX_BLOCKS:
                raise WireError(f"A plugin shows more than {MAX_BLOCKS} blocks in one prediction.")
            self._create(area, block_id, update)
        elif block_id not in known:
            raise WireError(f'There is nothing shown with the id "{block_id[:100]}".')
        elif area == "contentBlock":
            self._change(self._blocks[block_id], action, update)
        elif kind == "status.remove":
            self.statuses.discard(block_id)

    def _create(self, area: str, block_id: str, update: Mapping[str, Any]) -> None:
        if area == "contentBlock":
            role = str(update.get("roleOverride") or "assistant")
            self._blocks[block_id] = _Block(role, bool(update["includeInContext"]))
        elif area == "status":
            self.statuses.add(block_id)
        else:
            self._others.add(block_id)

    @staticmethod
    def _change(block: _Block, action: str, update: Mapping[str, Any]) -> None:
        match action:
            case "appendText":
                block.text += update["text"]
            case "replaceText":
                block.text = update["text"]
            case "appendToolRequest":
                block.content.append(_tool_request(update))
            case "replaceToolRequest":
                made = _tool_request(update)
                own = made["toolCallRequest"].get("id")
                block.content = [
                    made if c.get("toolCallRequest", {}).get("id") == own else c
                    for c in block.content
                ]
            case "appendToolResult":
                own = update.get("toolCallRequestId") or str(update["callId"])
                result = {"type": "toolCallResult", "content": update["content"], "toolCallId": own}
                block.content.append(result)
            case _:
                return

    def added(self) -> list[dict[str, Any]]:
        """The messages that plugins have added to the chat."""
        blocks = (block.message() for block in self._blocks.values() if block.in_context)
        return [message for message in blocks if message["content"]]

    def history(self, *, with_current: bool) -> list[dict[str, Any]]:
        """The chat as a plugin sees it."""
        return [*(self.messages if with_current else self.messages[:-1]), *self.added()]


def _tool_request(update: Mapping[str, Any]) -> dict[str, Any]:
    request = {
        "type": "function",
        "name": update["name"],
        "arguments": update["parameters"],
        "id": update.get("toolCallRequestId") or str(update["callId"]),
    }
    return {"type": "toolCallRequest", "toolCallRequest": request}


class Processes:
    """The predictions that plugins work on just now."""

    def __init__(self) -> None:
        self._running: dict[str, PredictionProcess] = {}

    def begin(self, process: PredictionProcess) -> None:
        """Let plugins find it."""
        self._running[process.pci] = process

    def end(self, process: PredictionProcess) -> None:
        """It is over."""
        self._running.pop(process.pci, None)

    def find(self, plugin: Plugin, pci: str, token: str) -> PredictionProcess:
        """The process that a plugin names.

        Args:
            plugin: The plugin that asks.
            pci: The process's id, as the plugin was told it.
            token: The secret that came with the id.

        Raises:
            WireError: There is none, or it is not this plugin's to work on.
        """
        process = self._running.get(pci)
        if process is None or not process.admits(plugin, token):
            raise no_process()
        return process
