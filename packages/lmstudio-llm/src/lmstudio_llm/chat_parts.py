"""From what callers give to messages and their parts, and from messages to text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import pydantic

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import is_mapping, is_sequence, json_text

from .messages import (
    AnyChatMessage,
    AssistantResponse,
    FileHandle,
    SystemPrompt,
    TextData,
    ToolCallRequest,
    ToolCallRequestData,
    ToolCallRequestDataDict,
    ToolCallRequestDict,
    ToolResultMessage,
    UserMessage,
    content_parts,
    copied,
    openai_tool_call,
    parse_message,
)

__all__ = [
    "MessageType",
    "RequestInput",
    "continued",
    "image_handles",
    "lines",
    "listed_parts",
    "make_message",
    "message_list",
    "message_of",
    "pair_of",
    "part_text",
    "request_part",
    "response_parts",
    "system_parts",
]

MessageType = TypeVar(
    "MessageType", UserMessage, SystemPrompt, AssistantResponse, ToolResultMessage
)


def message_list(history: Any) -> Sequence[Any]:
    """The messages of a chat given as a list, or as a dict that holds one."""
    if is_sequence(history):
        return history
    if is_mapping(history):
        messages = history.get("messages")
        if is_sequence(messages):
            return messages
        raise LMStudioValueError("A chat as a dict needs 'messages', a list of messages.")
    raise LMStudioValueError(
        "A chat is a Chat, a string, a list of messages or a dict with 'messages', not "
        f"{type(history).__name__}."
    )


def message_of(message: Any) -> AnyChatMessage:
    """The message given, as an object of its own."""
    if isinstance(message, (UserMessage, SystemPrompt, AssistantResponse, ToolResultMessage)):
        return copied(message)
    if is_mapping(message):
        return parse_message(message)
    hint = ""
    if isinstance(getattr(message, "content", None), str):  # a result
        hint = "; chat.add_assistant_response(result) adds the answer of a prediction"
    raise LMStudioValueError(f"A message is a message object or a dict, not {message!r}{hint}.")


def pair_of(entry: Any) -> tuple[str, Any] | None:
    """The role and the content, if an entry is a pair of them; in JSON, that is a list."""
    return (entry[0], entry[1]) if is_sequence(entry) and len(entry) == 2 else None


def make_message(cls: type[MessageType], parts: Sequence[Any]) -> MessageType:
    """A message of these parts; what cannot be part of it is an error that shows it."""
    try:
        return cls.model_validate({"content": list(parts)})
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        raise LMStudioValueError(
            f"{problem['input']!r} cannot be part of a {cls.__name__}: {problem['msg']}"
        ) from error


def listed_parts(content: Any) -> list[Any]:
    """The parts of content given as text, a part, or any iterable of these."""
    if isinstance(content, (str, Mapping, TextData, FileHandle)):
        return content_parts(content)
    if isinstance(content, Iterable) and not isinstance(content, (bytes, bytearray)):
        return content_parts(list(cast("Any", content)))
    return content_parts(content)


def image_handles(images: Any) -> list[FileHandle]:
    """The handles of a message's images; a single one is refused, as in a list of texts."""
    if isinstance(images, FileHandle) or is_mapping(images) or not isinstance(images, Iterable):
        kind = type(cast("object", images)).__name__
        raise LMStudioValueError(f"images is a list of handles, not {kind}; write images=[handle].")
    return [_image_handle(image) for image in cast("Iterable[Any]", images)]


def _image_handle(image: Any) -> FileHandle:
    if isinstance(image, FileHandle):
        return image
    if is_mapping(image):
        return FileHandle.from_dict(image)
    raise LMStudioValueError(
        f"images takes handles, not {type(image).__name__}; upload the image with "
        "prepare_image() first."
    )


def response_parts(response: Any) -> list[Any]:
    """The parts of whatever stands for a response."""
    if isinstance(response, AssistantResponse):
        return list(response.content)
    if isinstance(response, (str, TextData, FileHandle, Mapping, Sequence)):
        return content_parts(response)
    if isinstance(text := getattr(response, "content", None), str):
        return [TextData(text=text)]
    raise LMStudioValueError(
        "Unable to parse assistant response content: it is text, a PredictionResult or a message, "
        f"not {type(response).__name__}."
    )


RequestInput = ToolCallRequest | ToolCallRequestData | ToolCallRequestDict | ToolCallRequestDataDict
"""Whatever stands for a tool call that a model asked for."""


def request_part(request: Any) -> ToolCallRequestData:
    """The part of a message that a tool call request makes, whichever form it has."""
    if isinstance(request, ToolCallRequestData):
        return request
    inner = request
    if is_mapping(request):
        if "function" in request:
            return openai_tool_call(request)
        inner = request.get("toolCallRequest", request.get("tool_call_request", request))
    if not isinstance(inner, ToolCallRequest) and not is_mapping(inner):
        raise LMStudioValueError(_no_request(request))
    try:
        return ToolCallRequestData.model_validate({"toolCallRequest": inner})
    except pydantic.ValidationError as error:
        raise LMStudioValueError(_no_request(request)) from error


def _no_request(request: object) -> str:
    return (
        "Unable to parse tool call request content: it is a ToolCallRequest, or a dict with a "
        f"'name' and 'arguments', not {request!r}."
    )


def system_parts(prompt: Any) -> list[Any]:
    """The parts of a system prompt: text alone, since servers show files with user messages."""
    try:
        parts = content_parts(prompt)
    except LMStudioValueError as error:
        raise LMStudioValueError(f"Unable to parse system prompt: {error}") from error
    for part in parts:
        if isinstance(part, FileHandle) or (is_mapping(part) and "identifier" in part):
            raise LMStudioValueError(
                f"Unable to parse system prompt: it is text, not a file; give {part!r} to "
                "add_user_message()."
            )
    return parts


def continued(message: AssistantResponse, rest: AssistantResponse) -> AssistantResponse:
    """A message that the model was given the beginning of, with the rest added to it."""
    last, first = message.content[-1:], rest.content[:1]
    if last and first and isinstance(last[0], TextData) and isinstance(first[0], TextData):
        # One text: what the model reads next time is what it wrote.
        last[0].text += first[0].text
        message.content.extend(rest.content[1:])
    else:
        message.content.extend(rest.content)
    return message


def lines(messages: Iterable[AnyChatMessage]) -> Iterator[str]:
    """A conversation as text, one line per part."""
    for message in messages:
        for part in message.content:
            text = part_text(part)
            if text or len(message.content) == 1:  # an empty one may stand before calls
                yield f"{message.role}: {text}"


def part_text(part: Any) -> str:
    """One part of a message as text; what is no text is described."""
    if isinstance(part, TextData):
        return part.text
    if isinstance(part, FileHandle):
        return f"[{part.file_type}: {part.name}]"
    if isinstance(part, ToolCallRequestData):
        call = part.tool_call_request
        return f"[calls {call.name}({json_text(call.arguments or {})})]"
    return str(part.content)
