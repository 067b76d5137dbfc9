"""Chats in OpenAI's form: there and back without loss, and what has no place here is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import Chat, TextData, ToolCallRequest, ToolCallResultData

IMAGE = FileHandle(name="cat.png", identifier="local:1", size_bytes=10, file_type="image")
PDF = FileHandle(name="a.pdf", identifier="local:2", size_bytes=9, file_type="application/pdf")
URL = "data:image/png;base64,iVBORw0KGgo="

CONVERSATION: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "6*7"}, {"type": "text", "text": "?"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": name,
                "type": "function",
                "function": {"name": "mul", "arguments": '{"a": 6, "b": "é"}'},
            }
            for name in ("c", "d")
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "42"},
    {"role": "tool", "tool_call_id": "d", "content": "43"},
    {"role": "assistant", "content": "42."},
]


def test_there_and_back() -> None:
    chat = Chat.from_openai(CONVERSATION)
    assert [message.role for message in chat] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.to_openai() == CONVERSATION
    assert Chat.from_openai(chat.to_openai()).to_json() == chat.to_json()


def test_files_keep_all_that_the_server_told() -> None:
    chat = Chat()
    chat.add_user_message("Look:", images=[IMAGE, PDF])
    assert Chat.from_openai(chat.to_openai()).to_json() == chat.to_json()


class TestImages:
    MESSAGE: dict[str, Any] = {  # noqa: RUF012
        "role": "user",
        "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": URL}},
        ],
    }

    def test_they_are_handed_to_a_function(self) -> None:
        seen: list[str] = []

        def upload(url: str) -> FileHandle:
            seen.append(url)
            return IMAGE

        chat = Chat.from_openai([self.MESSAGE], images=upload)
        assert seen == [URL]
        assert chat[0].content == [TextData(text="Look:"), IMAGE]
        assert chat.to_openai(lambda handle: {IMAGE.identifier: URL}[handle.identifier]) == [
            self.MESSAGE
        ]

    def test_or_looked_up(self) -> None:
        handle = IMAGE.to_dict()
        assert Chat.from_openai([self.MESSAGE], {URL: handle})[0].content[1] == IMAGE
        with pytest.raises(LMStudioValueError, match="does not list"):
            Chat.from_openai([self.MESSAGE], {})

    def test_or_refused_with_advice(self) -> None:
        with pytest.raises(LMStudioValueError, match=r"images=client\.prepare_image"):
            Chat.from_openai([self.MESSAGE])


def test_what_openai_says_in_other_words() -> None:
    given_: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "4"}]},
    ]
    chat = Chat.from_openai(given_)
    assert [message.role for message in chat] == ["system", "assistant", "assistant", "tool"]
    assert [message.content[0] for message in chat][1:3] == [
        TextData(text="I cannot."),
        TextData(text="No."),
    ]


class Completion:
    """A message as OpenAI's package has it: keys for everything."""

    def model_dump(self, *, exclude_none: bool) -> dict[str, Any]:
        assert exclude_none
        return {"role": "assistant", "content": "Hi.", "annotations": [], "function_call": None}


def test_objects_of_openais_package() -> None:
    assert Chat.from_openai([Completion()])[0].text() == "Hi."


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ("hi", "a list of dicts, not str"),
        ({"messages": []}, "a list of dicts, not dict"),
        ([3], "a dict, not int"),
        ([{"role": "robot", "content": "x"}], r"messages\[0\] needs a role"),
        ([{"role": ["user"], "content": "x"}], "needs a role"),
        ([{"role": "user"}], "no content"),
        ([{"role": "user", "content": 3}], "text or a list"),
        ([{"role": "user", "content": "x", "name": "Ann"}], "'name'"),
        ([{"role": "assistant", "audio": {"id": "a"}}], "'audio'"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "'input_audio'"),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}], "'file'"),
        ([{"role": "user", "content": [3]}], "part 3"),
        ([{"role": "tool", "content": 3}], "its content is text"),
        ([{"role": "assistant", "tool_calls": [{"type": "custom"}]}], "A tool call is"),
        ([{"role": "assistant", "tool_calls": ["f"]}], "A tool call is"),
        (
            [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            "not JSON",
        ),
    ],
)
def test_what_has_no_place_here_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(LMStudioValueError, match=says):
        Chat.from_openai(messages)


def test_json_keeps_what_the_model_wrote() -> None:
    chat = Chat()
    chat.add_assistant_response("", [ToolCallRequest(name="f", raw_content="<tool_call>")])
    again = Chat.from_json(chat.to_json())
    assert again.to_dict() == chat.to_dict()
    assert again[0].tool_call_requests[0].raw_content == "<tool_call>"
    assert "rawContent" not in str(chat.to_dict())


texts = st.text(min_size=1, max_size=6)
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
handles = st.builds(
    FileHandle,
    name=texts,
    identifier=texts,
    size_bytes=st.integers(0, 10**9),
    file_type=st.sampled_from(["image", "text/plain", "of tomorrow"]),
)
calls = st.builds(
    ToolCallRequest,
    name=texts,
    id=st.none() | texts,
    arguments=st.none() | st.dictionaries(texts, json_values, max_size=3),
)
results = st.builds(
    ToolCallResultData, content=st.text(), tool_call_id=st.none() | texts, name=st.none() | texts
)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    chat = Chat(draw(st.none() | st.text(max_size=5)))
    for _ in range(draw(st.integers(0, 3))):
        chat.add_user_message(draw(st.lists(texts | handles, min_size=1, max_size=3)))
        answer = draw(st.text(max_size=5) | st.lists(texts, max_size=2))
        chat.add_assistant_response(answer, draw(st.lists(calls, max_size=2)))
        chat.add_tool_results(draw(st.lists(results, min_size=1, max_size=2)))
    return chat


@given(chats())
def test_any_chat_goes_there_and_back(chat: Chat) -> None:
    assert Chat.from_openai(chat.to_openai()).to_json() == chat.to_json()
    assert Chat.from_json(chat.to_json()).to_json() == chat.to_json()
