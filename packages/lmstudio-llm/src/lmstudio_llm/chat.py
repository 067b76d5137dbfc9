"""``Chat``: a conversation with a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Union, cast, overload

from typing_extensions import Self

from lmstudio_core.data import field_schema
from lmstudio_core.errors import LMStudioRuntimeError, LMStudioValueError
from lmstudio_core.lenient import error_text, json_text
from lmstudio_core.program.tracebacks import Short

from .chat_parts import (
    MessageType,
    RequestInput,
    continued,
    image_handles,
    lines,
    listed_parts,
    make_message,
    message_list,
    message_of,
    pair_of,
    request_part,
    response_parts,
    system_parts,
)
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
    ToolCallRequestData,
    ToolCallResultData,
    ToolCallResultDataDict,
    ToolResultMessage,
    UserMessage,
    copied,
    parse_message,
)
from .openai_messages import from_openai, to_openai

if TYPE_CHECKING:
    from .results import PredictionResult

__all__ = ["Chat", "ChatInput", "history_data"]

_HINTS: Final = {"PredictionResult": "lmstudio_llm.results:PredictionResult"}

ChatRole = Literal["user", "system", "assistant", "tool", "developer"]
"""Who says a message, or what it is."""

UserInput = str | TextData | TextDataDict | FileHandleInput
ResponseInput = Union[
    str, TextData, TextDataDict, FileHandleInput, AssistantResponse, "PredictionResult[Any]"
]


class Chat(Short):  # public
    """A conversation: system prompts, what the user said, responses, results of tools.

    Wherever a chat is taken, a string (one user message), a list of messages, or a dict with
    ``messages`` is too.
    A chat changes, so it is equal only to itself; ``to_dict()`` compares what chats hold.

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
    def from_history(cls, history: ChatInput) -> Self:
        """Make a chat of text, of messages (a list, or a dict with one), or of another chat (a copy).

        Args:
            history: Text is one user message. The messages of a dict have a ``role`` and a
                ``content``: text, or parts as the server writes them; OpenAI's ``tool_calls``
                and ``tool_call_id`` are understood. They are added one by one, so that
                consecutive user messages become one.

        Raises:
            LMStudioValueError: ``history`` is none of these, or a message in it is wrong.
            LMStudioRuntimeError: Consecutive messages are system prompts, or responses.
        """
        if isinstance(history, str):
            chat = cls()
            chat.add_user_message(history)
            return chat
        if isinstance(history, Chat):
            return cls._of(history)
        if isinstance(history, ChatHistoryData):
            return cls._of(history.messages)
        chat = cls()
        chat.add_entries(message_list(history))
        return chat

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return field_schema(cls, cls.from_history, (str, list, dict))

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

    def __bool__(self) -> bool:
        """True, so that ``chat = chat or Chat()`` keeps the caller's chat though it is empty."""
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}.from_history({self.to_dict()!r})"

    def __str__(self) -> str:
        """The conversation as text, one line per part."""
        return "\n".join(lines(self._messages))

    def _repr_html_(self) -> str:
        """What notebooks show: each message with its role."""
        from .notebook import conversation

        return conversation(self._messages)

    def to_dict(self) -> dict[str, Any]:
        """The chat in the server's form: ``{"messages": [...]}``."""
        return {"messages": [message.to_dict() for message in self._messages]}

    def to_json(self) -> str:
        """The chat as JSON text; ``from_json`` reads it again, without loss."""
        data = self.to_dict()
        for message, written in zip(self._messages, data["messages"], strict=True):
            for part, into in zip(message.content, written["content"], strict=True):
                if isinstance(part, ToolCallRequestData) and part.tool_call_request.raw_content:
                    # The server is not to get it back, so ``to_dict`` leaves it out.
                    into["toolCallRequest"]["rawContent"] = part.tool_call_request.raw_content
        return json_text(data)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The chat that ``to_json`` wrote.

        Args:
            text: The JSON text.

        Returns:
            The chat.

        Raises:
            LMStudioValueError: The text is not JSON, or no chat.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise LMStudioValueError(
                f"This is not the JSON of a chat: {error_text(error)}."
            ) from error
        if isinstance(data, str):
            raise LMStudioValueError("This is the JSON of a string, not of a chat.")
        return cls._of(message_of(item) for item in message_list(data))

    def to_openai(self, image_url: Callable[[FileHandle], str] | None = None) -> list[Any]:
        """The chat as a list of messages in OpenAI's form; ``from_openai`` reads it again.

        Args:
            image_url: Gives the URL (mostly a data URL) of an image. Without it, and for other
                files, the server's own handle is written: it means something to that server alone.

        Example:
            >>> Chat.from_history("Hello").to_openai()
            [{'role': 'user', 'content': 'Hello'}]
        """
        return to_openai(self._messages, image_url)

    @classmethod
    def from_openai(
        cls,
        messages: Iterable[Any],
        images: Callable[[str], FileHandleInput] | Mapping[str, FileHandleInput] | None = None,
    ) -> Self:
        """Make a chat of a list of messages in OpenAI's form.

        Args:
            messages: Dicts, or the objects of OpenAI's own package.
            images: Gives the handle for the URL of an image: ``client.prepare_image`` takes data
                URLs; a dict does as well, for asyncio say. Not needed for chats without images.

        Raises:
            LMStudioValueError: A message holds what a chat here cannot, such as sound.

        Example:
            >>> chat = Chat.from_openai([{"role": "user", "content": "Hello"}])
            >>> len(chat)
            1
        """
        return cls._of(from_openai(messages, images))

    # --- writing -------------------------------------------------------------------------------

    def copy(self) -> Self:
        """A chat with the same messages; changes to one do not reach the other."""
        return self._of(self._messages)

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> Self:
        return self.copy()

    @classmethod
    def _of(cls, messages: Iterable[AnyChatMessage]) -> Self:
        """A chat of copies of these messages."""
        chat = cls()
        chat._messages = [copied(message) for message in messages]
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
            LMStudioValueError: There is no part in it, or one that is neither text nor file.
        """
        parts = [*listed_parts(content), *image_handles(images)]
        if not parts:
            raise LMStudioValueError("A user message must not be empty: give text or a file.")
        return self._merge(make_message(UserMessage, parts))

    def add_system_prompt(self, prompt: str | TextData | TextDataDict) -> SystemPrompt:
        """Add instructions for the model.

        Args:
            prompt: Text, or a part that holds text.

        Returns:
            The new message.

        Raises:
            LMStudioValueError: It is not text.
            LMStudioRuntimeError: The last message is a system prompt already.
        """
        return self._push(make_message(SystemPrompt, system_parts(prompt)))

    def add_assistant_response(
        self,
        response: ResponseInput,
        tool_call_requests: Iterable[RequestInput] = (),
    ) -> AssistantResponse:
        """Add what the model said.

        Args:
            response: Text, a prediction's result (its tool calls come along), or a whole message.
            tool_call_requests: The tool calls that the model asked for: objects, or dicts with a
                ``name`` and ``arguments``, alone or inside ``{"type": "toolCallRequest", ...}``.

        Raises:
            LMStudioValueError: One of them is none.
            LMStudioRuntimeError: The last message is the assistant's already.
        """
        parts, calls = response_parts(response), list(tool_call_requests)
        if not calls:
            calls = list(getattr(response, "tool_calls", ()))
        parts += [request_part(call) for call in calls]
        return self._push(make_message(AssistantResponse, parts))

    def add_tool_results(
        self, results: Iterable[ToolCallResultData | ToolCallResultDataDict]
    ) -> ToolResultMessage:
        """Add results of tools; they join the last message if that holds results as well.

        Args:
            results: The results, each with the id of its call if that has one.

        Returns:
            The message that now holds them.
        """
        message = make_message(ToolResultMessage, list(results))
        if not message.content:
            raise LMStudioValueError("There is no tool result to add.")
        return self._merge(message)

    def add_tool_result(
        self, result: ToolCallResultData | ToolCallResultDataDict
    ) -> ToolResultMessage:
        """Add the result of one tool; see ``add_tool_results``.

        Args:
            result: The result, with the id of the call if it has one.

        Returns:
            The message that now holds it.
        """
        return self.add_tool_results([result])

    def append(self, message: AnyChatMessage | AnyChatMessageDict) -> AnyChatMessage:
        """Add a whole message, as ``on_message=chat.append`` does; the chat keeps a copy.

        Args:
            message: A message, or a dict with its ``role`` and ``content``.

        Returns:
            The message that now holds the content.
        """
        given = message_of(message)
        if isinstance(given, UserMessage):
            return self.add_user_message(given.content)
        if isinstance(given, ToolResultMessage):
            return self.add_tool_results(given.content)
        if isinstance(given, SystemPrompt):
            return self._push(given)
        return self._push(given)

    def add_entry(self, role: ChatRole, content: Any) -> AnyChatMessage:
        """Add a message by role: ``user``, ``system``, ``assistant`` or ``tool``.

        Args:
            role: Who says it; ``developer`` counts as ``system``.
            content: Text, or the parts of such a message.

        Returns:
            The message that now holds the content.
        """
        if role == "system":
            return self.add_system_prompt(content)
        return self.append(parse_message({"role": role, "content": content}))

    def add_entries(
        self, entries: Iterable[AnyChatMessage | Mapping[str, Any] | tuple[str, Any]]
    ) -> Sequence[AnyChatMessage]:
        """Add several messages: whole ones, dicts, or pairs of role and content.

        Args:
            entries: Messages, dicts with ``role`` and ``content``, or pairs ``(role, content)``.

        Returns:
            The messages that now hold them.
        """
        return [
            self.add_entry(*cast("Any", pair))
            if (pair := pair_of(entry))
            else self.append(cast("Any", entry))
            for entry in entries
        ]

    def pop(self, index: int = -1) -> AnyChatMessage:
        """Remove a message (the last one) and return it.

        Args:
            index: Which message, counted from 0; negative from the end.

        Returns:
            The message.
        """
        if not self._messages:
            raise LMStudioRuntimeError("The chat is empty: there is no message to remove.")
        return self._messages.pop(index)

    def insert(self, index: int, message: AnyChatMessage | AnyChatMessageDict) -> AnyChatMessage:
        """Put a message before the one at ``index``.

        Args:
            index: Which message, counted from 0; negative from the end.
            message: A message, or a dict with its ``role`` and ``content``.

        Returns:
            The chat's copy of the message.
        """
        given = message_of(message)
        self._messages.insert(index, given)
        return given

    def replace(self, index: int, message: AnyChatMessage | AnyChatMessageDict) -> AnyChatMessage:
        """Put a message in the place of the one at ``index``.

        Args:
            index: Which message, counted from 0; negative from the end.
            message: A message, or a dict with its ``role`` and ``content``.

        Returns:
            The chat's copy of the message.
        """
        self._messages[index] = given = message_of(message)
        return given

    def filter(self, keep: Callable[[AnyChatMessage], object]) -> Self:
        """A new chat of the messages for which ``keep`` is true.

        Args:
            keep: Called with each message.

        Returns:
            The new chat.
        """
        return self._of(message for message in self._messages if keep(message))

    def _push(self, message: MessageType) -> MessageType:
        last = self._messages[-1] if self._messages else None
        if last is not None and isinstance(last, type(message)):
            if isinstance(message, AssistantResponse) and message.continues:
                return cast("MessageType", continued(cast("AssistantResponse", last), message))
            role: str = message.role
            kind = "system prompts" if role == "system" else "assistant responses"
            raise LMStudioRuntimeError(
                f"Multi-part or consecutive {kind} are not supported: put the texts into one, or "
                "remove the last message with chat.pop()."
            )
        self._messages.append(message)
        return message

    def _merge(self, message: MessageType) -> MessageType:
        last = self._messages[-1] if self._messages else None
        if last is not None and isinstance(last, type(message)):
            cast("list[Any]", last.content).extend(message.content)
            return last
        self._messages.append(message)
        return message


ChatInput = (
    Chat
    | str
    | ChatHistoryData
    | ChatHistoryDataDict
    | Sequence[AnyChatMessage | Mapping[str, Any]]
)
"""What is taken wherever a chat is: a chat, text, a list of messages, or a dict with one.

The messages of a list may be dicts of any type: checkers take a list in a variable for
``list[dict[str, str]]``, which would be no list of ``AnyChatMessageDict``.
"""


def history_data(history: ChatInput) -> dict[str, Any]:
    """The chat to be sent to the model, checked.

    Raises:
        LMStudioValueError: There is no message.
    """
    chat = history if isinstance(history, Chat) else Chat.from_history(history)
    if not len(chat):
        raise LMStudioValueError("The chat is empty; add a message with chat.add_user_message().")
    return chat.to_dict()
