"""Messages of LangChain, read and written. Needs the extra ``lmstudio-llm[langchain]``.

LangChain itself converts its messages from and to OpenAI's form; what that form and a chat here have
to do with each other is in ``openai_messages``. What one side cannot hold is an error, but for what
no model is ever shown: reasoning, artifacts of tools, usage and other metadata stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, cast

import langchain_core.messages
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle, FileHandleInput
from lmstudio_core.lenient import as_mapping, is_mapping, is_sequence

from .chat import Chat

__all__ = ["from_langchain", "to_langchain"]

# Each release of LangChain leaves other types unknown to checkers in parts, such as a bare ``dict``.
# What is read of its functions and messages is therefore ``Any`` here, and is looked at as such.
_langchain: Any = langchain_core.messages

_KNOWN: Final = (SystemMessage, HumanMessage, AIMessage, ToolMessage)
_REASONING: Final = ("reasoning", "reasoning_content", "thinking", "redacted_thinking")
_CALLS: Final = ("tool_call", "tool_use", "tool_call_chunk", "function_call")
"""Blocks that say once more what ``tool_calls`` says."""


def from_langchain(
    messages: Iterable[BaseMessage],
    images: Callable[[str], FileHandleInput] | Mapping[str, FileHandleInput] | None = None,
) -> Chat:
    """Make a chat of LangChain's messages.

    Args:
        messages: System, human, AI and tool messages, or chunks of these.
        images: Gives the handle for the URL of an image; see ``Chat.from_openai``.

    Raises:
        LMStudioValueError: A message holds what a chat here cannot.

    Example:
        >>> from langchain_core.messages import HumanMessage
        >>> from lmstudio_llm.langchain_messages import from_langchain
        >>> chat = from_langchain([HumanMessage("Hello")])
        >>> len(chat)
        1
    """
    plain = [_plain(message, f"messages[{n}]") for n, message in enumerate(messages)]
    return Chat.from_openai([one for message in plain for one in _written(message)], images)


def _written(message: BaseMessage) -> list[Any]:
    """The message in OpenAI's form; pieces of text stay apart, between which LangChain puts lines."""
    content = cast("Any", message).content
    form: Literal["block", "string"] = "block" if is_sequence(content) else "string"
    return list(_langchain.convert_to_openai_messages([message], text_format=form))


def _plain(message: BaseMessage, where: str) -> BaseMessage:
    """The message without what no model is shown."""
    given = cast("Any", message)  # what the caller gave, whatever the annotation says
    if not isinstance(message, _KNOWN):
        raise LMStudioValueError(
            f"{where} is a {type(given).__name__}; a chat here is made of LangChain's system, "
            "human, AI and tool messages."
        )
    if not isinstance(message, AIMessage):
        return message
    if given.invalid_tool_calls:
        raise LMStudioValueError(
            f"{where} holds a tool call that could not be read "
            f"({given.invalid_tool_calls[0].get('name')!r}), which a message of LM Studio cannot "
            "hold; remove it first."
        )
    content = given.content
    if not is_sequence(content):
        return message
    dropped = (*_REASONING, *(_CALLS if given.tool_calls else ()))
    kept = [block for block in content if not is_mapping(block) or block.get("type") not in dropped]
    return message.model_copy(update={"content": kept or ""})


def to_langchain(
    chat: Chat, image_url: Callable[[FileHandle], str] | None = None
) -> list[BaseMessage]:
    """A chat as LangChain's messages.

    Args:
        chat: The chat.
        image_url: Gives the URL of an image; without it, images go as files of the server's, which
            ``from_langchain`` reads again.

    Raises:
        LMStudioValueError: A tool's result names no call, which LangChain demands.

    Example:
        >>> from lmstudio_llm.langchain_messages import to_langchain
        >>> to_langchain(Chat.from_history("Hello"))[0].content
        'Hello'
    """
    return list(convert_to_messages([_complete(one) for one in chat.to_openai(image_url)]))


def _complete(written: dict[str, Any]) -> dict[str, Any]:
    """With all that LangChain insists on."""
    if written["role"] == "tool" and not written.get("tool_call_id"):
        raise LMStudioValueError(
            "A tool's result without a tool_call_id cannot be a ToolMessage; give the calls and "
            "their results ids."
        )
    complete = {**written, "content": written.get("content") or ""}
    if calls := written.get("tool_calls"):
        complete["tool_calls"] = [_complete_call(as_mapping(call)) for call in calls]
    return complete


def _complete_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = as_mapping(call["function"])
    return {
        **call,
        "id": call.get("id"),
        "function": {**function, "arguments": function["arguments"] or "{}"},
    }
