"""Conversations that the REST API remembers between two requests."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any

from lmstudio_server.doors.errors import DoorError

__all__ = ["Chats"]

Messages = tuple[dict[str, Any], ...]

MAX_CHATS = 1000
MAX_CHARACTERS = 64 * 1024 * 1024


class Chats:
    """The most recent conversations, each at each of its answers, so that they can be branched.

    They live in memory and end with the server. The oldest go first.
    """

    def __init__(self, max_chats: int = MAX_CHATS, max_characters: int = MAX_CHARACTERS) -> None:
        self._chats: OrderedDict[str, tuple[Messages, int]] = OrderedDict()
        self._max_chats = max_chats
        self._max_characters = max_characters
        self._characters = 0

    def find(self, response_id: str) -> Messages:
        """The conversation up to an answer."""
        found = self._chats.get(response_id)
        if found is None:
            raise DoorError(
                404,
                f'No response "{response_id[:80]}" is remembered here. Conversations end with the '
                f"server, and the {self._max_chats} most recent answers are kept.",
                "response_not_found",
                "previous_response_id",
            )
        self._chats.move_to_end(response_id)
        return found[0]

    def new_id(self) -> str:
        """An identifier that nobody can guess."""
        return f"resp_{secrets.token_hex(24)}"

    def keep(self, response_id: str, messages: Messages, added: int) -> None:
        """Remember a conversation; ``added``: the characters that are new in it.

        Args:
            response_id: By which clients continue it.
            messages: The whole conversation.
            added: The characters that are new in it.
        """
        self._chats[response_id] = (messages, added)
        self._characters += added
        while len(self._chats) > self._max_chats or (
            self._characters > self._max_characters and len(self._chats) > 1
        ):
            _, (_, size) = self._chats.popitem(last=False)
            self._characters -= size
