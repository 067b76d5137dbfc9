"""Chats that are written once for each of an agent's rounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmstudio_core.lenient import sendable
from lmstudio_core.protocol.frames import Prepared
from lmstudio_core.protocol.mux import Mux
from lmstudio_core.protocol.operations import Endpoint
from lmstudio_llm.chat import Chat
from lmstudio_llm.messages import AssistantResponse, FileHandle, TextData, UserMessage, copied
from lmstudio_llm.operations import respond
from lmstudio_llm.written import WrittenChat

IMAGE = FileHandle(name="a.png", identifier="i", size_bytes=1, file_type="image")
CALL = {"name": "add", "id": "1", "arguments": {"a": [1, {"b": 2}]}}


def grown(rounds: int = 3) -> Chat:
    chat = Chat("Be brief.")
    chat.add_user_message(["Hi\ud83d", IMAGE])
    for number in range(rounds):
        chat.add_assistant_response(f"é{number}", [CALL])
        chat.add_tool_result({"type": "toolCallResult", "content": "3", "toolCallId": "1"})
    return chat


def check(written: WrittenChat, chat: Chat) -> None:
    given = written.of(chat)
    assert given == chat.to_dict()
    assert json.loads(given.text) == sendable(chat.to_dict(), [])


@pytest.mark.parametrize("private", [True, False])
def test_a_chat_that_grows(private: bool) -> None:
    written, chat = WrittenChat(private=private), Chat("Be brief.")
    check(written, chat)
    for message in grown():
        if message.role != "system":
            chat.append(message)
        check(written, chat)
    chat.add_tool_result({"type": "toolCallResult", "content": "4"})  # joins the last message
    check(written, chat)


CHANGES: dict[str, Any] = {
    "a text": lambda chat: setattr(chat[0].content[0], "text", "Be long."),
    "a part of many": lambda chat: setattr(chat[1].content[1], "name", "b.png"),
    "a part more": lambda chat: chat[1].content.append(TextData(text="more")),
    "a part less": lambda chat: chat[1].content.pop(),
    "all parts": lambda chat: setattr(chat[1], "content", [TextData(text="new")]),
    "a result": lambda chat: setattr(chat[3].content[0], "content", "5"),
    "another message": lambda chat: chat.replace(1, {"role": "user", "content": "Ho"}),
    "a message less": lambda chat: chat.pop(1),
    "a message more": lambda chat: chat.insert(1, {"role": "user", "content": "Ho"}),
    "most messages gone": lambda chat: [chat.pop() for _ in range(6)],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_heard(change: Any) -> None:
    written, chat = WrittenChat(), grown()
    check(written, chat)
    before = written.of(chat)
    change(chat)
    check(written, chat)
    assert written.of(chat) != before
    chat.add_user_message("And now?")
    check(written, chat)


def test_only_new_messages_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    dumped: list[str] = []
    plain = UserMessage.to_dict

    def to_dict(self: Any) -> Any:
        dumped.append(self.role)
        return plain(self)

    for cls in {type(message) for message in grown()}:
        monkeypatch.setattr(cls, "to_dict", to_dict)
    written, chat = WrittenChat(), grown(20)
    written.of(chat)
    assert len(dumped) == len(chat)
    dumped.clear()
    chat.add_user_message("And now?")
    written.of(chat)
    assert dumped == [
        "tool",
        "user",
    ]  # what was the last message, which may have grown, and the new one


@pytest.mark.parametrize("data", [{}, {"a": 1}, {"a": 1, "b": {"c": "x}}"}}])
def test_a_prepared_parameter_is_sent_as_any(data: dict[str, Any]) -> None:
    endpoint, value = Endpoint("llm", "predict", "channel"), {"messages": ["\ud83d", "é"]}
    whole = {**data, "history": value}
    _, plain = Mux().open_channel(endpoint, whole)
    _, prepared = Mux().open_channel(endpoint, Prepared(whole, "history", Prepared.text_of(value)))
    assert json.loads(prepared) == json.loads(plain)


def test_a_request_with_a_written_chat_is_the_same() -> None:
    chat = grown()
    one = respond("m", chat).channel
    other = respond("m", chat, written=WrittenChat().of(chat)).channel
    assert one.parameter == other.parameter
    _, plain = Mux().open_channel(one.endpoint, one.parameter)
    _, prepared = Mux().open_channel(other.endpoint, other.parameter)
    assert json.loads(prepared) == json.loads(plain)


def test_copies_share_nothing_that_can_change() -> None:
    chat = grown()
    before = chat.to_dict()
    for message in chat:
        twin = copied(message)
        assert twin == message
        assert twin.model_fields_set == message.model_fields_set
        for part in twin.content:
            if part.type == "toolCallRequest":
                part.tool_call_request.arguments["a"][1]["b"] = 3
                part.tool_call_request.name = "sub"
            else:
                setattr(part, "text" if part.type == "text" else "name", "other")
        twin.content.append(twin.content[0])
    assert chat.to_dict() == before
    began = AssistantResponse(content=[TextData(text="x")]).continuing()
    assert copied(began).continues


def test_a_copy_is_checked_as_any_message() -> None:
    twin = copied(grown()[0])
    with pytest.raises(ValueError, match="text"):
        twin.content[0].text = 5  # type: ignore[assignment]
