"""``Chat``: what it takes, what it merges, what it refuses, and its ways there and back."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.files.handles import FileHandle
from lmstudio_llm import (
    AssistantResponse,
    Chat,
    ChatHistoryData,
    SystemPrompt,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallResultData,
    UserMessage,
)
from lmstudio_llm.chat import history_data

IMAGE = FileHandle(name="cat.png", identifier="local:1", size_bytes=10, file_type="image")
IMAGE_DICT = {"name": "cat.png", "identifier": "local:1", "sizeBytes": 10, "fileType": "image"}
CALL = ToolCallRequest(name="add", id="1", arguments={"a": 1, "b": None})


def full_chat() -> Chat:
    chat = Chat("Be brief.")
    chat.add_user_message("Look:", images=[IMAGE])
    chat.add_assistant_response("", [CALL])
    chat.add_tool_result(ToolCallResultData(content="1", tool_call_id="1", name="add"))
    chat.add_assistant_response("One.")
    return chat


class TestAdding:
    def test_messages_print_as_documented(self) -> None:
        chat = Chat("You are a resident AI philosopher.")
        message = chat.add_user_message("What is the meaning of life?")
        expected = "UserMessage(content=[TextData(text='What is the meaning of life?')])"
        assert repr(message) == str(message) == expected

    def test_consecutive_user_messages_merge(self) -> None:
        chat = Chat()
        first = chat.add_user_message("a")
        second = chat.add_user_message(["b", "c"], images=[IMAGE_DICT])
        assert second is first
        assert [getattr(part, "text", part) for part in first.content] == ["a", "b", "c", IMAGE]
        assert len(chat) == 1

    @pytest.mark.parametrize("content", ["", [""], TextData(text=""), {"type": "text", "text": ""}])
    def test_empty_text_is_text(self, content) -> None:
        chat = Chat()
        assert chat.add_user_message(content).content == [TextData(text="")]
        assert history_data(chat) == history_data("") == chat.to_dict()

    def test_a_user_message_without_a_part_is_refused(self) -> None:
        chat = Chat()
        with pytest.raises(LMStudioValueError, match="empty"):
            chat.add_user_message([])
        assert len(chat) == 0

    def test_an_image_alone_is_a_message(self) -> None:
        assert Chat().add_user_message([], images=[IMAGE]).content == [IMAGE]

    def test_files_are_content_too(self) -> None:
        assert Chat().add_user_message(["x", IMAGE, dict(IMAGE_DICT)]).content[1:] == [IMAGE, IMAGE]

    @pytest.mark.parametrize("image", ["cat.png", b"\x89PNG"])
    def test_raw_images_are_refused_with_advice(self, image) -> None:
        with pytest.raises(LMStudioValueError, match="prepare_image"):
            Chat().add_user_message("x", images=[image])

    @pytest.mark.parametrize("images", [IMAGE, dict(IMAGE_DICT), None])
    def test_images_are_a_list(self, images) -> None:
        with pytest.raises(LMStudioValueError, match=r"images=\[handle\]"):
            Chat().add_user_message("x", images=images)

    @pytest.mark.parametrize("content", [3, None, b"x", [3], [{"type": "nonsense"}]])
    def test_what_is_no_content_is_refused(self, content) -> None:
        with pytest.raises(LMStudioValueError):
            Chat().add_user_message(content)

    def test_consecutive_system_prompts_and_responses_are_refused(self) -> None:
        chat = Chat("one")
        with pytest.raises(LMStudioRuntimeError, match="Multi-part or consecutive system prompts"):
            chat.add_system_prompt("two")
        chat.add_user_message("x")
        chat.add_assistant_response("a")
        with pytest.raises(LMStudioRuntimeError, match="consecutive assistant responses"):
            chat.add_assistant_response("b")
        chat.add_system_prompt("in between is fine")

    def test_tool_results_merge(self) -> None:
        chat = full_chat()
        chat.pop()
        chat.add_tool_results([{"type": "toolCallResult", "content": "2"}])
        assert [part.content for part in chat[-1].content] == ["1", "2"]
        with pytest.raises(LMStudioValueError, match="no tool result"):
            chat.add_tool_results([])

    def test_an_empty_system_prompt_counts(self) -> None:
        assert len(Chat("")) == 1
        assert len(Chat(None)) == 0

    def test_append_copies(self) -> None:
        message = UserMessage(content=[TextData(text="a")])
        chat = Chat()
        chat.append(message)
        chat.add_user_message("b")
        assert len(message.content) == 1
        assert chat.append({"role": "assistant", "content": "x"}) == AssistantResponse(
            content=[TextData(text="x")]
        )

    def test_a_result_is_no_message_but_a_response(self) -> None:
        class Result:
            content = "x"

        with pytest.raises(LMStudioValueError, match="add_assistant_response"):
            Chat().append(Result())
        assert len(Chat().add_assistant_response(Result()).content) == 1

    def test_a_response_may_be_a_whole_message(self) -> None:
        chat = full_chat()
        other = Chat()
        for message in chat:
            other.append(message)
        assert other.to_dict() == chat.to_dict()

    @pytest.mark.parametrize("file", [IMAGE, dict(IMAGE_DICT), IMAGE.to_dict()])
    def test_a_file_is_part_of_a_response_and_not_of_a_system_prompt(self, file) -> None:
        assert Chat().add_assistant_response(file).content == [IMAGE]
        for add in (Chat().add_system_prompt, lambda it: Chat().add_entry("system", it)):
            with pytest.raises(LMStudioValueError, match="Unable to parse system prompt"):
                add(file)
        with pytest.raises(LMStudioValueError, match="Unable to parse system prompt"):
            Chat().add_system_prompt(3)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "request_form",
        [
            CALL,
            ToolCallRequestData(tool_call_request=CALL),
            CALL.to_dict(),
            {"name": "add", "id": "1", "arguments": {"a": 1, "b": None}},
            {"type": "toolCallRequest", "toolCallRequest": CALL.to_dict()},
            {"type": "toolCallRequest", "tool_call_request": CALL},
            {"toolCallRequest": CALL.to_dict()},
            {
                "id": "1",
                "type": "function",
                "function": {"name": "add", "arguments": '{"a": 1, "b": null}'},
            },
        ],
    )
    def test_requests_in_every_form(self, request_form) -> None:
        response = Chat().add_assistant_response("text", [request_form])
        assert response.tool_call_requests == [CALL]

    @pytest.mark.parametrize("wrong", ["add", 3, {"type": "toolCallRequest"}, {"x": 1}, ["add"]])
    def test_what_is_no_request_is_said_to_be_none(self, wrong) -> None:
        with pytest.raises(LMStudioValueError, match="Unable to parse tool call request"):
            Chat().add_assistant_response("text", [wrong])

    def test_entries(self) -> None:
        chat = Chat()
        chat.add_entry("system", "s")
        added = chat.add_entries([("user", "u"), {"role": "assistant", "content": "a"}])
        assert [message.role for message in chat] == ["system", "user", "assistant"]
        assert isinstance(added[0], UserMessage)
        with pytest.raises(LMStudioValueError, match="user, system, assistant, tool"):
            chat.add_entry("robot", "x")
        with pytest.raises(LMStudioValueError, match="message object or a dict"):
            chat.append("just text")  # type: ignore[arg-type]


class TestHistory:
    def test_of_text_a_dict_and_a_chat(self) -> None:
        same = Chat.from_history({"messages": [{"role": "user", "content": "hi"}]})
        assert Chat.from_history("hi").to_dict() == same.to_dict()
        chat = full_chat()
        again = Chat.from_history(chat)
        again.add_user_message("more")
        assert len(again) == len(chat) + 1
        assert Chat.from_history(ChatHistoryData(messages=list(chat))).to_dict() == chat.to_dict()

    def test_wire_form_is_loss_free(self) -> None:
        chat = full_chat()
        assert Chat.from_history(chat.to_dict()).to_dict() == chat.to_dict()
        assert chat.to_dict()["messages"][2]["content"] == [
            {"type": "text", "text": ""},
            {
                "type": "toolCallRequest",
                "toolCallRequest": {
                    "type": "function",
                    "name": "add",
                    "id": "1",
                    "arguments": {"a": 1, "b": None},
                },
            },
        ]

    def test_a_dict_follows_the_rules_of_a_chat(self) -> None:
        def messages(*roles: str):
            return {"messages": [{"role": role, "content": "x"} for role in roles]}

        for merged in (Chat.from_history(messages("user", "user")).to_dict(),
                       history_data(messages("user", "user"))):  # fmt: skip
            [message] = merged["messages"]
            assert [part["text"] for part in message["content"]] == ["x", "x"]
        for role in ("system", "assistant"):
            with pytest.raises(LMStudioRuntimeError, match="consecutive"):
                Chat.from_history(messages("user", role, role))
            with pytest.raises(LMStudioRuntimeError, match="consecutive"):
                history_data(messages(role, role))
        pairs = Chat.from_history({"messages": (("user", "x"), ["assistant", "y"], ("user", "z"))})
        assert [message.text() for message in pairs] == ["x", "y", "z"]
        user = UserMessage(content=[TextData(text="x")])
        kept = ChatHistoryData(messages=[user, user])  # already in the server's form
        assert len(Chat.from_history(kept)) == 2

    def test_openai_form(self) -> None:
        chat = Chat.from_history(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "6*7?"}]},
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "c",
                                "type": "function",
                                "function": {"name": "mul", "arguments": '{"a": 6, "b": 7}'},
                            }
                        ],
                    },
                    {"role": "tool", "tool_call_id": "c", "content": "42"},
                ]
            }
        )
        response = chat[1]
        assert isinstance(response, AssistantResponse)
        assert response.tool_call_requests[0].arguments == {"a": 6, "b": 7}
        assert chat[2].content[0].tool_call_id == "c"
        assert history_data(chat)["messages"][1]["content"][0] == {"type": "text", "text": ""}

    @pytest.mark.parametrize(
        ("history", "says"),
        [
            (3, "not int"),
            (["x"], "A message is a message object or a dict"),
            ({}, "'messages'"),
            ({"messages": "x"}, "'messages'"),
            ({"messages": [{"content": "x"}]}, "role"),
            ({"messages": [{"role": "user", "content": 3}]}, "not int"),
            (
                {"messages": [{"role": "user", "content": [{"type": "toolCallResult"}]}]},
                "'user' cannot hold",
            ),
            ({"messages": [{"role": "assistant", "tool_calls": [3]}]}, "dicts, not int"),
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
                "prepare_image",
            ),
            (
                {"messages": [{"role": "assistant", "tool_calls": [{"function": {
                    "name": "f", "arguments": "{"}}]}]},
                "not JSON",
            ),
        ],
    )  # fmt: skip
    def test_what_is_no_history_is_refused(self, history, says) -> None:
        with pytest.raises(LMStudioValueError, match=says):
            Chat.from_history(history)

    def test_json(self) -> None:
        chat = full_chat()
        chat.insert(1, chat[0])
        chat.insert(3, {"role": "user", "content": "again"})
        assert Chat.from_json(chat.to_json()).to_json() == chat.to_json()
        for text in ("{", '"x"', "[3]"):
            with pytest.raises(LMStudioValueError):
                Chat.from_json(text)

    def test_copies_are_independent(self) -> None:
        chat = full_chat()
        before = chat.to_dict()
        for other in (
            chat.copy(), copy.copy(chat), copy.deepcopy(chat), pickle.loads(pickle.dumps(chat))
        ):  # fmt: skip
            assert other.to_dict() == before
            other[1].content.append(TextData(text="more"))
            other.add_user_message("more")
            assert chat.to_dict() == before
            assert type(other) is Chat

    def test_a_chat_is_itself_alone(self) -> None:
        chat, other = full_chat(), full_chat()
        assert chat != other
        assert chat in [other, chat]
        assert len({chat, other, chat}) == 2
        empty = Chat()
        assert empty
        assert (empty or other) is empty

    def test_repr_can_be_evaluated(self) -> None:
        chat = full_chat()
        assert eval(repr(chat)).to_dict() == chat.to_dict()

    def test_str_is_readable(self) -> None:
        assert str(full_chat()).splitlines() == [
            "system: Be brief.",
            "user: Look:",
            "user: [image: cat.png]",
            'assistant: [calls add({"a": 1, "b": null})]',
            "tool: 1",
            "assistant: One.",
        ]
        asked = Chat()
        asked.add_assistant_response("", [ToolCallRequest(name="say", arguments={"to": "Käthe"})])
        assert str(asked) == 'assistant: [calls say({"to": "Käthe"})]'


class TestEditing:
    def test_messages_are_a_list_of_their_own(self) -> None:
        chat = full_chat()
        assert [*chat.messages] == [*chat]
        assert Chat() != "x"
        with pytest.raises(LMStudioValueError, match="PredictionResult"):
            chat.add_assistant_response(3)

    def test_pop_insert_replace_slice_filter(self) -> None:
        chat = full_chat()
        assert chat.pop().role == "assistant"
        chat.replace(0, {"role": "system", "content": "New."})
        assert chat[0] == SystemPrompt(content=[TextData(text="New.")])
        chat.insert(1, {"role": "assistant", "content": "Hello."})
        assert [m.role for m in chat[:3]] == ["system", "assistant", "user"]
        assert [m.role for m in chat.filter(lambda m: m.role == "user")] == ["user"]
        with pytest.raises(LMStudioRuntimeError, match="empty"):
            Chat().pop()


class TestSending:
    def test_an_empty_chat_is_refused(self) -> None:
        with pytest.raises(LMStudioValueError, match="empty"):
            history_data(Chat())

    def test_a_trimmed_history_is_sent(self) -> None:
        chat = Chat()
        chat.add_tool_result(ToolCallResultData(content="1", tool_call_id="9"))
        chat.add_user_message("x")
        assert history_data(chat) == chat.to_dict()
        whole = full_chat().to_dict()["messages"]
        assert history_data({"messages": whole[3:]})["messages"] == whole[3:]

    def test_servers_that_give_no_ids_are_fine(self) -> None:
        chat = Chat()
        chat.add_user_message("x")
        chat.add_assistant_response("", [{"type": "function", "name": "f"}])
        chat.add_tool_result({"type": "toolCallResult", "content": "1"})
        assert len(history_data(chat)["messages"]) == 3


texts = st.text(min_size=1, max_size=8)
calls = st.builds(
    ToolCallRequest,
    name=texts,
    id=st.none() | texts,
    arguments=st.none() | st.dictionaries(texts, st.none() | st.integers() | texts, max_size=3),
)
messages = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": texts}),
    st.builds(lambda t, c: Chat().add_assistant_response(t, c), st.text(max_size=5),
              st.lists(calls, max_size=2)),
    st.builds(lambda t: Chat().add_tool_result(ToolCallResultData(content=t)), st.text()),
)  # fmt: skip


@given(st.lists(messages, max_size=6))
def test_any_chat_goes_there_and_back(entries) -> None:
    chat = Chat()
    for entry in entries:
        with contextlib.suppress(LMStudioRuntimeError):
            chat.append(entry)
    assert Chat.from_history(chat.to_dict()).to_dict() == chat.to_dict()
    assert Chat.from_json(chat.to_json()).to_json() == chat.to_json()
    assert json.loads(chat.to_json()) == chat.to_dict()
    assert chat.copy().to_dict() == chat.to_dict()


LISTED = [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {
        "role": "tool",
        "tool_call_id": "1",
        "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}],
    },
]


@pytest.mark.parametrize("given", [LISTED, tuple(LISTED), {"messages": LISTED}])
def test_messages_as_people_have_them(given) -> None:
    system, user, asked, result = history_data(given)["messages"]
    assert system == {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    assert user["content"] == [{"type": "text", "text": "Hi"}]
    assert asked["content"][1]["toolCallRequest"]["name"] == "f"
    assert result["content"][0]["content"] == "42"
    assert result["content"][0]["toolCallId"] == "1"
    assert Chat.from_history(given).to_dict() == history_data(given)
