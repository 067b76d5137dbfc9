"""The wire form of a chat that grows: what was written for one request is not written for the next.

An agent sends its whole chat in every round. To write each message anew makes a run's cost grow with
the square of its rounds, so all messages but the last keep their wire form, as data and as JSON. A
message that was changed since is heard: each is compared with what it was, by the values of its parts,
and the whole chat is written again if one differs. Only the assistant's are not looked at: a chat's are
copies that nobody else has, and comparing their nested arguments would cost what writing them does.
"""

from __future__ import annotations

from operator import is_
from typing import Any

from lmstudio_core.protocol.frames import Prepared

from .chat import Chat
from .messages import AnyChatMessage, AssistantResponse

__all__ = ["WrittenChat", "WrittenHistory"]


class WrittenHistory(dict[str, Any]):
    """``Chat.to_dict()``, with the same as JSON text."""

    def __init__(self, messages: list[dict[str, Any]], text: bytes) -> None:
        super().__init__(messages=messages)
        self.text = text


class WrittenChat:
    """Writes one chat, again and again.

    Args:
        private: Whether nobody else has any of its messages, so that they need not be compared.
    """

    def __init__(self, *, private: bool = False) -> None:
        self._private = private
        self._forget()

    def _forget(self) -> None:
        self._messages: list[AnyChatMessage] = []
        self._open: list[tuple[AnyChatMessage, list[dict[str, Any]]]] = []  # what may be changed
        self._data: list[dict[str, Any]] = []
        self._text = bytearray()

    def of(self, chat: Chat) -> WrittenHistory:
        """The chat, which has messages, in the server's form."""
        messages = chat.messages
        if not self._is_beginning_of(messages):
            self._forget()
        for message in messages[len(self._messages) : -1]:
            self._keep(message)
        last = messages[-1].to_dict()
        text = b"".join((b'{"messages":[', self._text, Prepared.text_of(last), b"]}"))
        return WrittenHistory([*self._data, last], text)

    def _is_beginning_of(self, messages: Any) -> bool:
        if len(messages) <= len(self._messages) or not all(map(is_, self._messages, messages)):
            return False
        return all([vars(part) for part in msg.content] == then for msg, then in self._open)

    def _keep(self, message: AnyChatMessage) -> None:
        data = message.to_dict()
        self._messages.append(message)
        self._data.append(data)
        self._text += Prepared.text_of(data) + b","
        if not (self._private or isinstance(message, AssistantResponse)):
            self._open.append((message, [dict(vars(part)) for part in message.content]))
