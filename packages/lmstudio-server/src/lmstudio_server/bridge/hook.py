"""One thing that a plugin offers, and the conversations that others have with it."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from lmstudio_core.lenient import as_mapping
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


def misfit(plugin: str, problem: str) -> WireError:
    """The plugin has sent what its consumer cannot be told."""
    return WireError(
        f'The plugin "{plugin}" answered with something that the protocol does not know.',
        cause=problem,
        suggestion="Tell the plugin's author.",
    )


def unread(plugin: str) -> WireError:
    """Somebody does not take what is said."""
    return WireError(
        f'Too much of what was said to or by the plugin "{plugin}" was not read.',
        cause=f"At most {MAX_SAID} messages wait for a consumer, and {MAX_ASKED} for a plugin.",
        suggestion="Read what comes while it comes.",
    )


MAX_SAID: Final = 1024
"""How many messages of a plugin wait for whoever talks to it."""
READ_SECONDS: Final = 5.0
"""How long a plugin is held up for a consumer that takes none of them; then that one is given up."""
MAX_ASKED: Final = 4096
"""How many messages wait for a plugin that does not read."""


_FAREWELLS: Final = {"taskId": "abort", "sessionId": "discardSession"}


class Conversation:
    """A session or a task: what the plugin says about it, until one of both ends."""

    def __init__(self, hook: Hook, identifier: str) -> None:
        self.identifier = identifier
        self._hook = hook
        self._said: deque[Mapping[str, Any]] = deque()
        self._end: WireError | None = None
        self._more = asyncio.Event()
        self._room = asyncio.Event()

    async def next(self) -> Mapping[str, Any]:
        """What the plugin says next.

        Raises:
            WireError: The plugin is gone, or has said what cannot be understood.
        """
        while not self._said:
            if self._end is not None:
                raise self._end
            self._more.clear()
            await self._more.wait()
        message = self._said.popleft()
        self._room.set()
        return message

    async def put(self, message: Mapping[str, Any]) -> None:
        """File a message of the plugin's. A consumer that takes none is waited for, and given up."""
        while len(self._said) >= MAX_SAID and self._end is None:
            self._room.clear()
            # Not wait_for, which may swallow a cancellation before Python 3.12.
            waiting = asyncio.ensure_future(self._room.wait())
            try:
                await asyncio.wait({waiting}, timeout=READ_SECONDS)
            finally:
                waiting.cancel()
            if not self._room.is_set():
                self._said.clear()
                self.end(unread(self._hook.plugin))
                self.leave(_FAREWELLS[self._hook.key])  # it says no more to nobody
        if self._end is None:
            self._said.append(message)
            self._more.set()

    def end(self, error: WireError) -> None:
        """There is nothing more to come; whoever waits gets the error."""
        self._end = self._end or error
        self._more.set()
        self._room.set()

    def tell(self, kind: str, **more: Any) -> None:
        """Tell the plugin something about this conversation.

        Raises:
            WireError: The plugin does not read.
        """
        self._hook.ask({"type": kind, self._hook.key: self.identifier, **more})

    def leave(self, farewell: str | None = None) -> None:
        """Take no more messages; the plugin is told if ``farewell`` is given."""
        self._hook.conversations.pop(self.identifier, None)
        self.end(plugin_gone(self._hook.plugin))
        if farewell is not None:
            with suppress(WireError):  # a plugin that does not read is not told
                self.tell(farewell)


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
        identifier = f"{self.plugin}#{next(self._ids)}-{secrets.token_hex(4)}"
        conversation = self.conversations[identifier] = Conversation(self, identifier)
        return conversation

    def ask(self, packet: Mapping[str, Any]) -> None:
        """Queue a packet for the plugin.

        Raises:
            WireError: It does not read.
        """
        if self.outbox.qsize() >= MAX_ASKED:
            raise unread(self.plugin)
        self.outbox.put_nowait(packet)

    async def take(self, message: Mapping[str, Any]) -> None:
        """File a message of the plugin's. What belongs to nothing (any more) is dropped."""
        if message["type"] == "misfit":
            await self._misfit(message)
            return
        conversation = self.conversations.get(str(message.get(self.key)))
        if conversation is not None:
            await conversation.put(message)

    async def _misfit(self, message: Mapping[str, Any]) -> None:
        """Whoever waits for the message that it should have been gets an error: no other will come."""
        found = as_mapping(message["message"])
        named, call_id = found.get(self.key), found.get("callId")
        # One that names nobody may have been meant for anybody.
        whose = list(self.conversations) if not isinstance(named, str) else [named]
        for identifier in whose:
            conversation = self.conversations.get(identifier)
            if conversation is None:
                continue
            if isinstance(call_id, str):  # one call of a session: the others go on
                await conversation.put({**message, "callId": call_id})
            else:
                conversation.end(misfit(self.plugin, str(message["problem"])))

    def close(self) -> None:
        """The plugin has closed it or is gone: whoever talks to it hears of it."""
        for conversation in list(self.conversations.values()):
            conversation.end(plugin_gone(self.plugin))
        self.conversations.clear()
        self.outbox.put_nowait(None)
