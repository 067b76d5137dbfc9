"""The messages of a chat and what they are made of.

Each struct here has the server's form: ``to_dict()`` gives what goes over the wire and
``from_dict()`` reads it. Unknown keys in what a server or another program wrote are ignored.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, TypeVar

import pydantic
from pydantic import ConfigDict, Field, PrivateAttr
from typing_extensions import NotRequired, TypedDict

from lmstudio_core.data import InputStruct
from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle, FileHandleDict, FileHandleInput
from lmstudio_core.lenient import as_mapping, error_text, is_mapping, is_sequence

__all__ = [
    "AnyChatMessage",
    "AnyChatMessageDict",
    "AssistantResponse",
    "AssistantResponseContent",
    "AssistantResponseDict",
    "ChatHistoryData",
    "ChatHistoryDataDict",
    "FileHandle",
    "FileHandleDict",
    "FileHandleInput",
    "SystemPrompt",
    "SystemPromptContent",
    "SystemPromptDict",
    "TextData",
    "TextDataDict",
    "ToolCallRequest",
    "ToolCallRequestData",
    "ToolCallRequestDataDict",
    "ToolCallRequestDict",
    "ToolCallResultData",
    "ToolCallResultDataDict",
    "ToolResultMessage",
    "ToolResultMessageDict",
    "UserMessage",
    "UserMessageContent",
    "UserMessageDict",
    "content_parts",
    "copied",
    "openai_tool_call",
    "parse_message",
]


_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_set: Final = object.__setattr__  # past validation: what is set has been validated


class ChatStruct(InputStruct):
    """The base of messages and their parts."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    def __str__(self) -> str:
        return repr(self)


class TextData(ChatStruct):  # public
    """A piece of text in a message.

    Example:
        >>> Chat().add_user_message(TextData(text="Hello"))
        UserMessage(content=[TextData(text='Hello')])
    """

    type: Literal["text"] = Field(default="text", repr=False)
    text: str


class ToolCallRequest(ChatStruct):  # public
    """The model's wish to call a tool.

    Attributes:
        name: The tool's name.
        id: What ties the result to the request, if the server gave an id.
        arguments: The arguments by name, as plain data.
        raw_content: The text that the model generated for the call, where the server tells it;
            it is not sent back.

    Example:
        >>> result = model.respond("What is 6 times 7?", tools=[multiply])
        >>> [(call.name, call.arguments) for call in result.tool_calls]
        [('multiply', {'a': 6, 'b': 7})]
    """

    type: Literal["function"] = Field(default="function", repr=False)
    name: str
    id: str | None = None
    arguments: dict[str, Any] | None = None
    raw_content: str | None = Field(default=None, repr=False, exclude=True)


class ToolCallRequestData(ChatStruct):  # public
    """The part of an assistant's message that holds a tool call request.

    Example:
        >>> call = ToolCallRequest(name="multiply", arguments={"a": 6, "b": 7})
        >>> ToolCallRequestData(tool_call_request=call).tool_call_request.name
        'multiply'
    """

    type: Literal["toolCallRequest"] = Field(default="toolCallRequest", repr=False)
    tool_call_request: ToolCallRequest


class ToolCallResultData(ChatStruct):  # public
    """What a tool gave: ``content`` is text, by convention the JSON of the returned value.

    Example:
        >>> Chat().add_tool_result(ToolCallResultData(content="42", tool_call_id="1")).role
        'tool'
    """

    type: Literal["toolCallResult"] = Field(default="toolCallResult", repr=False)
    content: str
    tool_call_id: str | None = None
    name: str | None = None


SystemPromptContent = TextData  # public
UserMessageContent = TextData | FileHandle  # public
AssistantResponseContent = TextData | FileHandle | ToolCallRequestData  # public


class _Message(ChatStruct):
    def text(self) -> str:
        """The text parts of the message, joined."""
        parts: Sequence[Any] = getattr(self, "content", ())
        return "".join(part.text for part in parts if isinstance(part, TextData))


class UserMessage(_Message):  # public
    """What the user says: text and files.

    Example:
        >>> Chat().add_user_message("Hello")
        UserMessage(content=[TextData(text='Hello')])
    """

    role: Literal["user"] = Field(default="user", repr=False)
    content: list[UserMessageContent]


class SystemPrompt(_Message):  # public
    """Instructions that come before the conversation.

    Example:
        >>> Chat("Be brief.").messages[0]
        SystemPrompt(content=[TextData(text='Be brief.')])
    """

    role: Literal["system"] = Field(default="system", repr=False)
    content: list[UserMessageContent]


class AssistantResponse(_Message):  # public
    """What the model said, and which tools it asked for.

    Example:
        >>> chat.add_user_message("Hello")
        UserMessage(content=[TextData(text='Hello')])
        >>> chat.add_assistant_response("Good day!")
        AssistantResponse(content=[TextData(text='Good day!')])
    """

    role: Literal["assistant"] = Field(default="assistant", repr=False)
    content: list[AssistantResponseContent]
    _continues: bool = PrivateAttr(default=False)

    @property
    def tool_call_requests(self) -> list[ToolCallRequest]:
        """The tool calls in this message, in order."""
        return [p.tool_call_request for p in self.content if isinstance(p, ToolCallRequestData)]

    @property
    def continues(self) -> bool:
        """Whether the model was given the beginning of this message as the end of the chat."""
        return self._continues

    def continuing(self) -> AssistantResponse:
        """This message, as the rest of the one at the end of the chat; ``append`` joins the two."""
        self._continues = True
        return self


class ToolResultMessage(_Message):  # public
    """The results of the tools that the assistant's message before asked for.

    Example:
        >>> ToolResultMessage(content=[ToolCallResultData(content="42")]).role
        'tool'
    """

    role: Literal["tool"] = Field(default="tool", repr=False)
    content: list[ToolCallResultData]


AnyChatMessage = UserMessage | SystemPrompt | AssistantResponse | ToolResultMessage  # public


class ChatHistoryData(ChatStruct):  # public
    """A whole conversation in the server's form.

    Example:
        >>> message = UserMessage(content=[TextData(text="Hello")])
        >>> len(Chat.from_history(ChatHistoryData(messages=[message])))
        1
    """

    messages: list[AnyChatMessage] = Field(default_factory=list[AnyChatMessage])


class TextDataDict(TypedDict):  # public
    """``TextData`` as a dict.

    Example:
        >>> part: TextDataDict = {"type": "text", "text": "Hello"}
        >>> Chat().add_user_message(part)
        UserMessage(content=[TextData(text='Hello')])
    """

    type: Literal["text"]
    text: str


class ToolCallRequestDict(TypedDict):  # public
    """``ToolCallRequest`` as a dict.

    Example:
        >>> call: ToolCallRequestDict = {"type": "function", "name": "now", "arguments": {}}
        >>> ToolCallRequest.from_dict(call).name
        'now'
    """

    type: Literal["function"]
    name: str
    id: NotRequired[str]
    arguments: NotRequired[dict[str, Any]]


class ToolCallRequestDataDict(TypedDict):  # public
    """``ToolCallRequestData`` as a dict.

    Example:
        >>> part: ToolCallRequestDataDict = {
        ...     "type": "toolCallRequest", "toolCallRequest": {"type": "function", "name": "now"}
        ... }
        >>> len(Chat().append({"role": "assistant", "content": [part]}).content)
        1
    """

    type: Literal["toolCallRequest"]
    toolCallRequest: ToolCallRequestDict


class ToolCallResultDataDict(TypedDict):  # public
    """``ToolCallResultData`` as a dict.

    Example:
        >>> result: ToolCallResultDataDict = {"type": "toolCallResult", "content": "42"}
        >>> Chat().add_tool_result(result).role
        'tool'
    """

    type: Literal["toolCallResult"]
    content: str
    toolCallId: NotRequired[str]
    name: NotRequired[str]


class UserMessageDict(TypedDict):  # public
    """``UserMessage`` as a dict; plain text serves as content too.

    Example:
        >>> message: UserMessageDict = {"role": "user", "content": "Hello"}
        >>> Chat().append(message)
        UserMessage(content=[TextData(text='Hello')])
    """

    role: Literal["user"]
    content: str | Sequence[TextData | TextDataDict | FileHandle | FileHandleDict]


class SystemPromptDict(TypedDict):  # public
    """``SystemPrompt`` as a dict; plain text serves as content too.

    Example:
        >>> message: SystemPromptDict = {"role": "system", "content": "Be brief."}
        >>> Chat().append(message)
        SystemPrompt(content=[TextData(text='Be brief.')])
    """

    role: Literal["system", "developer"]
    content: str | Sequence[TextData | TextDataDict]


class AssistantResponseDict(TypedDict):  # public
    """``AssistantResponse`` as a dict; plain text and OpenAI's ``tool_calls`` serve too.

    Example:
        >>> message: AssistantResponseDict = {"role": "assistant", "content": "Good day!"}
        >>> print(Chat().append(message).content[0])
        TextData(text='Good day!')
    """

    role: Literal["assistant"]
    content: NotRequired[
        str
        | Sequence[
            TextData
            | TextDataDict
            | FileHandle
            | FileHandleDict
            | ToolCallRequestData
            | ToolCallRequestDataDict
        ]
        | None
    ]
    tool_calls: NotRequired[Sequence[Mapping[str, Any]] | None]


class ToolResultMessageDict(TypedDict):  # public
    """``ToolResultMessage`` as a dict; text with OpenAI's ``tool_call_id`` serves too.

    Example:
        >>> message: ToolResultMessageDict = {"role": "tool", "content": "42", "tool_call_id": "1"}
        >>> Chat().append(message).role
        'tool'
    """

    role: Literal["tool"]
    content: str | Sequence[ToolCallResultData | ToolCallResultDataDict]
    tool_call_id: NotRequired[str]


AnyChatMessageDict = (
    UserMessageDict | SystemPromptDict | AssistantResponseDict | ToolResultMessageDict
)  # public


class ChatHistoryDataDict(TypedDict):  # public
    """``ChatHistoryData`` as a dict.

    Example:
        >>> history: ChatHistoryDataDict = {"messages": [{"role": "user", "content": "Hello"}]}
        >>> len(Chat.from_history(history))
        1
    """

    messages: Sequence[AnyChatMessage | AnyChatMessageDict]


_MESSAGES: Mapping[str, type[AnyChatMessage]] = {
    "user": UserMessage,
    "system": SystemPrompt,
    "assistant": AssistantResponse,
    "tool": ToolResultMessage,
    "developer": SystemPrompt,
}


def copied(message: AnyChatMessage) -> AnyChatMessage:
    """A message that changes to the other one do not reach, in a fifth of pydantic's time."""
    return _twin(message, content=[_copied_part(part) for part in message.content])


def _copied_part(part: Any) -> Any:
    if part.__class__ is not ToolCallRequestData:
        return _twin(part) if part.__class__ in _FLAT else part.model_copy(deep=True)
    request = part.tool_call_request
    request = _twin(request, arguments=copy.deepcopy(request.arguments))
    return _twin(part, tool_call_request=request)


_FLAT = frozenset((TextData, FileHandle, ToolCallResultData))
"""Parts that hold nothing which itself can be changed."""


def _twin(model: _Model, **changed: Any) -> _Model:
    """A shallow copy; pydantic's own copies each of the four parts by a call of ``copy``."""
    twin = object.__new__(model.__class__)
    extra, private = model.__pydantic_extra__, model.__pydantic_private__
    _set(twin, "__dict__", {**model.__dict__, **changed})
    _set(twin, "__pydantic_fields_set__", model.__pydantic_fields_set__.copy())
    _set(twin, "__pydantic_extra__", None if extra is None else extra.copy())
    _set(twin, "__pydantic_private__", None if private is None else private.copy())
    return twin


def parse_message(message: Mapping[str, Any]) -> AnyChatMessage:
    """The message that a dict describes, in LM Studio's form or in OpenAI's.

    OpenAI's form has text as ``content``, ``tool_calls`` beside it, and ``tool_call_id`` in the
    messages of the role ``tool``. Its role ``developer`` is a system prompt.

    Raises:
        LMStudioValueError: The role is unknown, or the content does not fit it.
    """
    role = message.get("role")
    cls = _MESSAGES.get(role) if isinstance(role, str) else None
    if cls is None:
        raise LMStudioValueError(
            f"A message needs a role out of {', '.join(_MESSAGES)}, not {role!r}."
        )
    parts = _tool_parts(message) if cls is ToolResultMessage else _parts(message)
    try:
        return cls.model_validate({"content": parts})
    except pydantic.ValidationError as error:
        raise _bad_content(str(role), error) from error


def _parts(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    parts: list[Any]
    if content is None and message.get("tool_calls"):
        parts = [TextData(text="")]  # OpenAI writes null beside tool calls; LM Studio empty text
    else:
        parts = content_parts(content)
    return [*parts, *(openai_tool_call(call) for call in message.get("tool_calls") or ())]


def _tool_parts(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    call_id = message.get("tool_call_id", message.get("toolCallId"))
    texts = [content] if isinstance(content, str) else _texts(content)
    if texts is None:
        return content_parts(content)
    result: dict[str, Any] = {"content": "".join(texts), "tool_call_id": call_id}
    return [{**result, "name": message.get("name")}]


def _texts(content: Any) -> list[str] | None:
    """The texts of content that is nothing but parts of text, as OpenAI's tool messages have."""
    texts: list[str] = []
    for part in content if is_sequence(content) else [content]:
        plain = part.to_dict() if isinstance(part, TextData) else as_mapping(part)
        if plain.get("type") != "text" or not isinstance(text := plain.get("text"), str):
            return None
        texts.append(text)
    return texts or None


def content_parts(content: Any) -> list[Any]:
    """The parts of whatever a caller gave as content; the structs check them afterwards."""
    if isinstance(content, str):
        return [TextData(text=content)]
    if isinstance(content, (Mapping, ChatStruct, FileHandle)):
        return [_part(content)]
    if is_sequence(content):
        return [_part(item) for item in content]
    raise LMStudioValueError(
        f"Message content is text, a part or a list of parts, not {type(content).__name__}."
    )


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return TextData(text=part)
    if is_mapping(part):
        if "type" not in part and {"name", "identifier"} <= part.keys():
            return FileHandle.from_dict(part)
        if part.get("type") == "image_url":
            raise LMStudioValueError(
                "Images by URL are not known to LM Studio; upload the file with prepare_image() "
                "and pass the handle in images=[...]."
            )
        return dict(part)
    return part


def openai_tool_call(call: Any) -> ToolCallRequestData:
    """The part of a message that a tool call in OpenAI's form makes."""
    if not is_mapping(call):
        raise LMStudioValueError(f"tool_calls holds dicts, not {type(call).__name__}.")
    function = as_mapping(call.get("function") or call)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError as error:
            raise LMStudioValueError(
                f"The arguments of the tool call {function.get('name')!r} are not JSON: {error_text(error)}."
            ) from error
    fields = {"id": call.get("id"), "name": function.get("name"), "arguments": arguments}
    return ToolCallRequestData(tool_call_request=ToolCallRequest.model_validate(fields))


def _bad_content(role: str, error: pydantic.ValidationError) -> LMStudioValueError:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return LMStudioValueError(
        f"A message of the role {role!r} cannot hold {problem['input']!r} ({where}: "
        f"{problem['msg']}); text is a string or {{'type': 'text', 'text': ...}}."
    )
