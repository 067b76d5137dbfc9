"""``Chat``: a conversation with a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, overload

import pydantic
from typing_extensions import Self

from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError

from .messages import (
    AnyChatMessage,
    AnyChatMessageDict,
    AssistantResponse,
    ChatHistoryData,
    ChatHistoryDataDict,
    FileHandle,
    FileHandleInput,
    SystemPrompt,
    TextData,
    TextDataDict,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallRequestDict,
    ToolCallResultData,
    ToolCallResultDataDict,
    ToolResultMessage,
    UserMessage,
    content_parts,
    parse_message,
)
from .narrow import is_list, is_mapping

if TYPE_CHECKING:
    from .results import PredictionResult

__all__ = ["Chat", "ChatInput", "history_data"]

UserInput = str | TextData | TextDataDict | FileHandleInput
ResponseInput = Union[str, TextData, TextDataDict, AssistantResponse, "PredictionResult[Any]"]
_M = TypeVar("_M", UserMessage, SystemPrompt, AssistantResponse, ToolResultMessage)


class Chat:
    """A conversation: system prompts, what the user said, responses, results of tools.

    Wherever a chat is taken, a string (one user message) or a dict with ``messages`` is too.

    Args:
        initial_prompt: The system prompt, if there is to be one.

    Example:
        >>> chat = Chat("You are a resident AI philosopher.")
        >>> chat.add_user_message("What is the meaning of life?")
        UserMessage(content=[TextData(text='What is the meaning of life?')])
        >>> len(chat)
        2
    """

    def __init__(self, initial_prompt: str | None = None) -> None:
        self._messages: list[AnyChatMessage] = []
        if initial_prompt is not None:
            self.add_system_prompt(initial_prompt)

    @classmethod
    def from_history(cls, history: str | Chat | ChatHistoryDataDict | Mapping[str, Any]) -> Self:
        """Make a chat of text, of a dict with ``messages``, or of another chat (a copy).

        Args:
            history: Text is one user message. The messages of a dict have a ``role`` and a
                ``content``: text, or parts as the server writes them; OpenAI's ``tool_calls``
                and ``tool_call_id`` are understood.

        Raises:
            LMStudioValueError: ``history`` is none of these, or a message in it is wrong.
        """
        if isinstance(history, str):
            chat = cls()
            chat.add_user_message(history)
            return chat
        if isinstance(history, Chat):
            return cls._of(history)
        if isinstance(history, ChatHistoryData):
            return cls._of(history.messages)
        return cls._of(_message(item) for item in _message_list(history))

    # --- reading -------------------------------------------------------------------------------

    @property
    def messages(self) -> Sequence[AnyChatMessage]:
        """The messages, oldest first, as a list of their own."""
        return list(self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[AnyChatMessage]:
        return iter(list(self._messages))

    @overload
    def __getitem__(self, index: int) -> AnyChatMessage: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> AnyChatMessage | Self:
        if isinstance(index, int):
            return self._messages[index]
        return self._of(self._messages[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chat):
            return NotImplemented
        return self._messages == other._messages

    __hash__ = None  # type: ignore[assignment]  # a chat changes

    def __repr__(self) -> str:
        return f"{type(self).__name__}.from_history({self.to_dict()!r})"

    def __str__(self) -> str:
        """The conversation as text, one line per part."""
        return "\n".join(_lines(self._messages))

    def to_dict(self) -> dict[str, Any]:
        """The chat in the server's form: ``{"messages": [...]}``."""
        return {"messages": [message.to_dict() for message in self._messages]}

    def to_json(self) -> str:
        """The chat as JSON text; ``from_json`` reads it again, without loss."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The chat that ``to_json`` wrote.

        Raises:
            LMStudioValueError: The text is not JSON, or no chat.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise LMStudioValueError(f"This is not the JSON of a chat: {error}.") from error
        if isinstance(data, str):
            raise LMStudioValueError("This is the JSON of a string, not of a chat.")
        return cls.from_history(data)

    # --- writing -------------------------------------------------------------------------------

    def copy(self) -> Self:
        """A chat with the same messages; changes to one do not reach the other."""
        return self._of(self._messages)

    @classmethod
    def _of(cls, messages: Iterable[AnyChatMessage]) -> Self:
        """A chat of copies of these messages."""
        chat = cls()
        chat._messages = [message.model_copy(deep=True) for message in messages]
        return chat

    def add_user_message(
        self, content: UserInput | Iterable[UserInput], *, images: Sequence[FileHandleInput] = ()
    ) -> UserMessage:
        """Add what the user says; it joins the last message if that is the user's as well.

        Args:
            content: Text, a file handle, or several of these in order.
            images: Handles from ``prepare_image``, placed after the content.

        Returns:
            The message that now holds the content.

        Raises:
            LMStudioValueError: There is nothing in it, or something that is neither text nor file.
        """
        parts = [*_listed(content), *(_image(image) for image in images)]
        message = _make(UserMessage, parts)
        if all(isinstance(part, TextData) and not part.text for part in message.content):
            raise LMStudioValueError("A user message must not be empty: give text or a file.")
        return self._merge(message)

    def add_system_prompt(self, prompt: str | TextData | TextDataDict) -> SystemPrompt:
        """Add instructions for the model.

        Raises:
            LMStudioRuntimeError: The last message is a system prompt already.
        """
        return self._push(_make(SystemPrompt, content_parts(prompt)))

    def add_assistant_response(
        self,
        response: ResponseInput,
        tool_call_requests: Iterable[ToolCallRequest | ToolCallRequestDict] = (),
    ) -> AssistantResponse:
        """Add what the model said.

        Args:
            response: Text, a prediction's result (its tool calls come along), or a whole message.
            tool_call_requests: The tool calls that the model asked for.

        Raises:
            LMStudioRuntimeError: The last message is the assistant's already.
        """
        parts, calls = _response_parts(response), list(tool_call_requests)
        if not calls:
            calls = list(getattr(response, "tool_calls", ()))
        parts += [{"type": "toolCallRequest", "toolCallRequest": call} for call in calls]
        return self._push(_make(AssistantResponse, parts))

    def add_tool_results(
        self, results: Iterable[ToolCallResultData | ToolCallResultDataDict]
    ) -> ToolResultMessage:
        """Add results of tools; they join the last message if that holds results as well."""
        message = _make(ToolResultMessage, list(results))
        if not message.content:
            raise LMStudioValueError("There is no tool result to add.")
        return self._merge(message)

    def add_tool_result(
        self, result: ToolCallResultData | ToolCallResultDataDict
    ) -> ToolResultMessage:
        """Add the result of one tool; see ``add_tool_results``."""
        return self.add_tool_results([result])

    def append(
        self, message: AnyChatMessage | AnyChatMessageDict | Mapping[str, Any]
    ) -> AnyChatMessage:
        """Add a whole message, as ``on_message=chat.append`` does; the chat keeps a copy."""
        given = _message(message)
        if isinstance(given, UserMessage):
            return self.add_user_message(given.content)
        if isinstance(given, ToolResultMessage):
            return self.add_tool_results(given.content)
        if isinstance(given, SystemPrompt):
            return self._push(given)
        return self._push(given)

    def add_entry(self, role: str, content: Any) -> AnyChatMessage:
        """Add a message by role: ``user``, ``system``, ``assistant`` or ``tool``."""
        return self.append(parse_message({"role": role, "content": content}))

    def add_entries(
        self, entries: Iterable[AnyChatMessage | Mapping[str, Any] | tuple[str, Any]]
    ) -> Sequence[AnyChatMessage]:
        """Add several messages: whole ones, dicts, or pairs of role and content."""
        return [
            self.add_entry(*entry) if isinstance(entry, tuple) else self.append(entry)
            for entry in entries
        ]

    def pop(self, index: int = -1) -> AnyChatMessage:
        """Remove a message (the last one) and return it."""
        if not self._messages:
            raise LMStudioRuntimeError("The chat is empty: there is no message to remove.")
        return self._messages.pop(index)

    def insert(self, index: int, message: AnyChatMessage | Mapping[str, Any]) -> AnyChatMessage:
        """Put a message before the one at ``index``."""
        given = _message(message)
        self._messages.insert(index, given)
        return given

    def replace(self, index: int, message: AnyChatMessage | Mapping[str, Any]) -> AnyChatMessage:
        """Put a message in the place of the one at ``index``."""
        self._messages[index] = given = _message(message)
        return given

    def filter(self, keep: Callable[[AnyChatMessage], object]) -> Self:
        """A new chat of the messages for which ``keep`` is true."""
        return self._of(message for message in self._messages if keep(message))

    def _push(self, message: _M) -> _M:
        if self._messages and isinstance(self._messages[-1], type(message)):
            role: str = message.role
            kind = "system prompts" if role == "system" else "assistant responses"
            raise LMStudioRuntimeError(
                f"Consecutive {kind} are not possible; put the texts into one, or remove the last "
                "message with chat.pop()."
            )
        self._messages.append(message)
        return message

    def _merge(self, message: _M) -> _M:
        last = self._messages[-1] if self._messages else None
        if last is not None and isinstance(last, type(message)):
            cast("list[Any]", last.content).extend(message.content)
            return last
        self._messages.append(message)
        return message


ChatInput = Chat | str | ChatHistoryDataDict | Mapping[str, Any]
"""What is taken wherever a chat is: a chat, text, or a dict with messages."""


def history_data(history: ChatInput) -> dict[str, Any]:
    """The chat to be sent to the model, checked.

    Raises:
        LMStudioValueError: There is no message, or a tool's result without a request for it.
    """
    chat = history if isinstance(history, Chat) else Chat.from_history(history)
    if not len(chat):
        raise LMStudioValueError("The chat is empty; add a message with chat.add_user_message().")
    asked: set[str | None] = set()
    for message in chat:
        if isinstance(message, AssistantResponse):
            asked.update(request.id for request in message.tool_call_requests)
        elif isinstance(message, ToolResultMessage):
            _check_results(message, asked)
    return chat.to_dict()


def _check_results(message: ToolResultMessage, asked: set[str | None]) -> None:
    for result in message.content:
        if result.tool_call_id not in asked and (not asked or None not in asked):
            raise LMStudioValueError(
                f"The chat holds a tool result (tool_call_id={result.tool_call_id!r}) that no "
                "assistant response before it asked for; add the response with its "
                "tool_call_requests first."
            )


def _message_list(history: Any) -> Sequence[Any]:
    if is_mapping(history):
        messages = history.get("messages")
        if is_list(messages):
            return messages
        raise LMStudioValueError("A chat as a dict needs 'messages', a list of messages.")
    raise LMStudioValueError(
        "A chat is a Chat, a string or a dict with 'messages', not " + type(history).__name__ + "."
    )


def _message(message: Any) -> AnyChatMessage:
    if isinstance(message, (UserMessage, SystemPrompt, AssistantResponse, ToolResultMessage)):
        return message.model_copy(deep=True)
    if is_mapping(message):
        return parse_message(message)
    raise LMStudioValueError(f"A message is a message object or a dict, not {message!r}.")


def _make(cls: type[_M], parts: Sequence[Any]) -> _M:
    try:
        return cls.model_validate({"content": list(parts)})
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        raise LMStudioValueError(
            f"{problem['input']!r} cannot be part of a {cls.__name__}: {problem['msg']}"
        ) from error


def _listed(content: Any) -> list[Any]:
    if isinstance(content, (str, Mapping, TextData, FileHandle)):
        return content_parts(content)
    if isinstance(content, Iterable) and not isinstance(content, (bytes, bytearray)):
        return content_parts(list(cast("Any", content)))
    return content_parts(content)


def _image(image: Any) -> FileHandle:
    if isinstance(image, FileHandle):
        return image
    if is_mapping(image):
        return FileHandle.from_dict(image)
    raise LMStudioValueError(
        f"images takes handles, not {type(image).__name__}; upload the image with "
        "prepare_image() first."
    )


def _response_parts(response: Any) -> list[Any]:
    if isinstance(response, AssistantResponse):
        return list(response.content)
    if isinstance(response, (str, TextData, Mapping, Sequence)):
        return content_parts(response)
    if isinstance(text := getattr(response, "content", None), str):
        return [TextData(text=text)]
    raise LMStudioValueError(
        f"A response is text, a PredictionResult or a message, not {type(response).__name__}."
    )


def _lines(messages: Iterable[AnyChatMessage]) -> Iterator[str]:
    for message in messages:
        for part in message.content:
            if isinstance(part, TextData):
                yield f"{message.role}: {part.text}"
            elif isinstance(part, FileHandle):
                yield f"{message.role}: [{part.file_type}: {part.name}]"
            elif isinstance(part, ToolCallRequestData):
                call = part.tool_call_request
                yield f"{message.role}: [calls {call.name}({json.dumps(call.arguments or {})})]"
            else:
                yield f"{message.role}: {part.content}"
