"""Chats to and from Pydantic AI's messages, with the real package."""

from __future__ import annotations

from typing import Any

import pytest

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import Chat

pytest.importorskip("pydantic_ai.messages", reason="needs pydantic-ai-slim")

from pydantic_ai import messages as m

from lmstudio_llm.pydantic_ai_messages import from_pydantic_ai, to_pydantic_ai

HANDLE = FileHandle(name="cat.png", identifier="f1", size_bytes=3, file_type="image")


def conversation() -> list[Any]:
    return [
        m.ModelRequest(parts=[m.SystemPromptPart("Be brief."), m.UserPromptPart("1 + 2?")]),
        m.ModelResponse(
            parts=[
                m.ThinkingPart("Hm."),
                m.TextPart("Let me see."),
                m.ToolCallPart("add", '{"a": 1, "b": 2}', tool_call_id="c1"),
            ]
        ),
        m.ModelRequest(parts=[m.ToolReturnPart("add", {"sum": 3}, tool_call_id="c1")]),
        m.ModelResponse(parts=[m.TextPart("It is 3.")]),
    ]


def shape(messages: list[Any]) -> list[list[tuple[Any, ...]]]:
    """What is said, without what differs every time."""
    return [
        [
            (
                part.part_kind,
                getattr(part, "content", None),
                getattr(part, "tool_name", None),
                getattr(part, "tool_call_id", None),
                part.args_as_dict() if part.part_kind == "tool-call" else None,
            )
            for part in message.parts
        ]
        for message in messages
    ]


def test_there_and_back() -> None:
    chat = from_pydantic_ai(conversation())
    assert [message.role for message in chat.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.messages[2].text() == "Let me see."
    (call,) = chat.messages[2].tool_call_requests
    assert (call.name, call.id, call.arguments) == ("add", "c1", {"a": 1, "b": 2})
    assert chat.messages[3].content[0].content == '{"sum":3}'
    back = to_pydantic_ai(chat)
    expected = conversation()
    del expected[1].parts[0]  # thinking stays behind
    expected[2].parts[0].content = '{"sum":3}'
    assert shape(back) == shape(expected)
    assert from_pydantic_ai(back).to_dict() == chat.to_dict()


def test_instructions_are_those_of_the_last_request() -> None:
    messages = [
        m.ModelRequest(parts=[m.UserPromptPart("Hi")], instructions="Be long."),
        m.ModelResponse(parts=[m.TextPart("Hello")]),
        m.ModelRequest(parts=[m.UserPromptPart("Hi")], instructions="Be brief."),
    ]
    chat = from_pydantic_ai(messages)
    assert [message.text() for message in chat.messages] == ["Be brief.", "Hi", "Hello", "Hi"]
    assert not len(from_pydantic_ai([]))


def test_pictures() -> None:
    data = m.BinaryContent(b"\x00\x00\x00", media_type="image/png")
    url = m.ImageUrl("https://x/cat.png")
    for picture, known in ((data, "data:image/png;base64,AAAA"), (url, "https://x/cat.png")):
        asked = m.ModelRequest(parts=[m.UserPromptPart(["What is it?", picture])])
        chat = from_pydantic_ai([asked], images={known: HANDLE})
        assert chat.messages[0].content[1] == HANDLE
    back = to_pydantic_ai(chat, image_url=lambda handle: f"https://x/{handle.name}")
    assert back[0].parts[0].content == ["What is it?", m.ImageUrl("https://x/cat.png")]
    with pytest.raises(LMStudioValueError, match="image_url"):
        to_pydantic_ai(chat)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*RetryPromptPart.*")
def test_retries() -> None:
    asked = conversation()[1]
    retry = m.RetryPromptPart("Too big", tool_name="add", tool_call_id="c1")
    bare = m.RetryPromptPart("Not JSON")
    chat = from_pydantic_ai([asked, m.ModelRequest(parts=[retry, bare])])
    assert chat.messages[1].content[0].tool_call_id == "c1"
    assert "Too big" in chat.messages[1].content[0].content
    assert "Not JSON" in chat.messages[2].text()


def test_what_cannot_be_held() -> None:
    sound = m.BinaryContent(b"\x00", media_type="audio/wav")
    for message, says in (
        ("x", "is a str"),
        (m.ModelRequest(parts=[m.UserPromptPart([sound])]), "BinaryContent"),
        (m.ModelResponse(parts=[m.FilePart(sound)]), "FilePart"),
    ):
        with pytest.raises(LMStudioValueError, match=says):
            from_pydantic_ai([message])
    chat = Chat()
    chat.add_user_message("x")
    chat.add_assistant_response("", [{"type": "function", "name": "now"}])
    with pytest.raises(LMStudioValueError, match="no id"):
        to_pydantic_ai(chat)
    nameless = {"role": "tool", "content": [{"type": "toolCallResult", "content": "x"}]}
    with pytest.raises(LMStudioValueError, match="names no call"):
        to_pydantic_ai(Chat.from_history({"messages": [nameless]}))
