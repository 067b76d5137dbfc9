"""Chats to and from LangChain's messages, with the real package."""

from __future__ import annotations

from typing import Any

import pytest

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import Chat

pytest.importorskip("langchain_core.messages", reason="needs langchain-core")

from langchain_core import messages

from lmstudio_llm.langchain_messages import from_langchain, to_langchain

PICTURE = "data:image/png;base64,AAAA"
HANDLE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")


def conversation() -> list[Any]:
    call = {"name": "add", "args": {"a": 1, "b": 2}, "id": "c1", "type": "tool_call"}
    return [
        messages.SystemMessage("Be brief."),
        messages.HumanMessage("1 + 2?"),
        messages.AIMessage("Let me see.", tool_calls=[call]),
        messages.ToolMessage("3", tool_call_id="c1", name="add"),
        messages.AIMessage("It is 3."),
    ]


def test_there_and_back() -> None:
    chat = from_langchain(conversation())
    assert chat.to_dict() == {
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "text", "text": "1 + 2?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me see."},
                    {
                        "type": "toolCallRequest",
                        "toolCallRequest": {
                            "type": "function",
                            "name": "add",
                            "id": "c1",
                            "arguments": {"a": 1, "b": 2},
                        },
                    },
                ],
            },
            {
                "role": "tool",
                "content": [
                    {"type": "toolCallResult", "content": "3", "toolCallId": "c1", "name": "add"}
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "It is 3."}]},
        ]
    }
    assert to_langchain(chat) == conversation()


def test_pictures() -> None:
    asked = ["What is it?", {"type": "image_url", "image_url": {"url": PICTURE}}]
    standard = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "base64": "AAAA", "mime_type": "image/png"},
    ]
    for content in (asked, standard):
        chat = from_langchain([messages.HumanMessage(content)], images={PICTURE: HANDLE})
        assert chat.messages[0].content[1] == HANDLE
    (shown,) = to_langchain(chat, image_url=lambda handle: f"https://x/{handle.identifier}")
    assert shown.content[1] == {"type": "image_url", "image_url": {"url": "https://x/f1"}}
    assert from_langchain(to_langchain(chat)).to_dict() == chat.to_dict()
    with pytest.raises(LMStudioValueError, match="prepare_image"):
        from_langchain([messages.HumanMessage(asked)])


def test_what_no_model_is_shown_stays_behind() -> None:
    said = messages.AIMessage(
        [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "It is 3."},
            {"type": "tool_call", "name": "add", "args": {}, "id": "c1"},
        ],
        tool_calls=[{"name": "add", "args": {}, "id": "c1"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    )
    given = messages.ToolMessage("3", tool_call_id="c1", artifact={"a": 1}, status="error")
    chat = from_langchain([messages.HumanMessage("x"), said, given])
    assert [message.text() for message in chat.messages[:2]] == ["x", "It is 3."]
    assert len(chat.messages[1].tool_call_requests) == 1
    thought = messages.AIMessage([{"type": "reasoning", "reasoning": "Hm."}])
    assert from_langchain([thought]).messages[0].text() == ""


def test_chunks() -> None:
    chunk = messages.AIMessageChunk("It is") + messages.AIMessageChunk(" 3.")
    assert from_langchain([chunk]).messages[0].text() == "It is 3."


def test_calls_without_arguments_and_text() -> None:
    chat = Chat()
    chat.add_user_message("x")
    chat.add_assistant_response("", [{"type": "function", "name": "now", "id": "c1"}])
    chat.add_tool_result({"type": "toolCallResult", "content": "12:00", "toolCallId": "c1"})
    _, said, given = to_langchain(chat)
    assert said.tool_calls == [{"name": "now", "args": {}, "id": "c1", "type": "tool_call"}]
    assert (said.content, given.content) == ("", "12:00")


def test_what_cannot_be_held() -> None:
    broken = {"name": "add", "args": "{", "id": "c1", "error": None, "type": "invalid_tool_call"}
    for message, says in (
        (messages.ChatMessage("x", role="critic"), "is a ChatMessage"),
        ("x", "is a str"),
        (messages.AIMessage("x", invalid_tool_calls=[broken]), "'add'"),
        (messages.HumanMessage("x", name="Bob"), "'name'"),
        (
            messages.HumanMessage([{"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}]),
            "cannot hold",
        ),
    ):
        with pytest.raises(LMStudioValueError, match=says):
            from_langchain([message])
    nameless = Chat.from_history(
        {
            "messages": [
                {"role": "tool", "content": [{"type": "toolCallResult", "content": "x"}]},
            ]
        }
    )
    with pytest.raises(LMStudioValueError, match="tool_call_id"):
        to_langchain(nameless)


def test_pieces_of_text_stay_as_they_are() -> None:
    """Citations come between them, in the middle of a sentence."""
    pieces = [{"type": "text", "text": "It is"}, {"type": "text", "text": " 3."}]
    said = [
        messages.HumanMessage(["1 + ", {"type": "text", "text": "2?"}]),
        messages.AIMessage([{"type": "reasoning", "reasoning": "Hm."}, *pieces]),
    ]
    asked, answered = from_langchain(said).to_dict()["messages"]
    assert [part["text"] for part in asked["content"]] == ["1 + ", "2?"]
    assert answered["content"] == pieces
    call = {"name": "add", "args": {}, "id": "c1", "type": "tool_call"}
    given = messages.ToolMessage(pieces, tool_call_id="c1")
    chat = from_langchain([messages.AIMessage([], tool_calls=[call]), given])
    assert chat.to_dict()["messages"][1]["content"][0]["content"] == "It is 3."
