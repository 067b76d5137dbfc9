"""One thing that a plugin offers, and the conversations that others have with it."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Conversation", "Hook", "HookName", "plugin_gone"]

HookName = Literal["promptPreprocessor", "predictionLoopHandler", "toolsProvider", "generator"]


def plugin_gone(plugin: str) -> WireError:
    """The plugin ended in the middle of something."""
    return WireError(
        f'The plugin "{plugin}" is gone.',
        cause="Its process ended, closed its connection, or was unregistered.",
        suggestion="Start the plugin again, and then a new session.",
    )


class Conversation:
    """A session or a task: what the plugin says about it, until one of both ends."""

    def __init__(self, hook: Hook, identifier: str) -> None:
        self.identifier = identifier
        self._hook = hook
        self._said: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()

    async def next(self) -> Mapping[str, Any]:
        """What the plugin says next.

        Raises:
            WireError: The plugin is gone.
        """
        message = await self._said.get()
        if message is None:
            self._said.put_nowait(None)
            raise plugin_gone(self._hook.plugin)
        return message

    def put(self, message: Mapping[str, Any] | None) -> None:
        """File a message of the plugin's; ``None``: it is gone."""
        self._said.put_nowait(message)

    def tell(self, kind: str, **more: Any) -> None:
        """Tell the plugin something about this conversation."""
        self._hook.outbox.put_nowait({"type": kind, self._hook.key: self.identifier, **more})

    def leave(self) -> None:
        """Take no more messages."""
        self._hook.conversations.pop(self.identifier, None)


class Hook:
    """What a plugin does when it is asked to. ``key`` is what names its conversations."""

    def __init__(self, plugin: str, key: Literal["sessionId", "taskId"]) -> None:
        self.plugin = plugin
        self.key = key
        self.outbox: asyncio.Queue[Mapping[str, Any] | None] = asyncio.Queue()
        self.conversations: dict[str, Conversation] = {}
        self._ids = itertools.count(1)

    def open(self) -> Conversation:
        """Begin a conversation."""
        identifier = f"{self.plugin}#{next(self._ids)}"
        conversation = self.conversations[identifier] = Conversation(self, identifier)
        return conversation

    def take(self, message: Mapping[str, Any]) -> None:
        """File a message of the plugin's. What belongs to nothing (any more) is dropped."""
        conversation = self.conversations.get(str(message.get(self.key)))
        if conversation is not None:
            conversation.put(message)

    def close(self) -> None:
        """The plugin has closed it or is gone: whoever talks to it hears of it."""
        for conversation in list(self.conversations.values()):
            conversation.put(None)
        self.conversations.clear()
        self.outbox.put_nowait(None)
