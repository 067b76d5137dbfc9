"""Messages in OpenAI's form, read and written without loss.

What one form has and the other has not is an error, never left out in silence. Three things only
look different: OpenAI's ``developer`` is a system prompt here, each of its tool messages holds one
result where one message here holds all of a round, and its assistant's text comes before the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_mapping, as_text, is_mapping, is_sequence, json_text

from .messages import (
    AnyChatMessage,
    AssistantResponse,
    FileHandle,
    FileHandleInput,
    TextData,
    ToolCallRequestData,
    ToolCallResultData,
    ToolResultMessage,
    parse_message,
)

__all__ = ["from_openai", "to_openai"]

ImageSource = Callable[[str], FileHandleInput] | Mapping[str, FileHandleInput] | None

_ROLES: Final = {"developer": "system"}
_KNOWN: Final = {
    "system": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "refusal", "tool_calls"),
    "tool": ("role", "content", "tool_call_id", "name"),
}


# --- writing -----------------------------------------------------------------------------------


def to_openai(
    messages: Iterable[AnyChatMessage], image_url: Callable[[FileHandle], str] | None = None
) -> list[dict[str, Any]]:
    """The messages as dicts in OpenAI's form."""
    return [written for message in messages for written in _written(message, image_url)]


def _written(
    message: AnyChatMessage, image_url: Callable[[FileHandle], str] | None
) -> Iterator[dict[str, Any]]:
    if isinstance(message, ToolResultMessage):
        yield from map(_written_result, message.content)
        return
    shown = [part for part in message.content if not isinstance(part, ToolCallRequestData)]
    parts = [_written_part(part, image_url) for part in shown]
    whole: dict[str, Any] = {"role": message.role}
    if len(parts) == 1 and isinstance(shown[0], TextData):
        whole["content"] = shown[0].text
    elif parts or not isinstance(message, AssistantResponse):
        whole["content"] = parts
    if isinstance(message, AssistantResponse) and (calls := message.tool_call_requests):
        if whole.get("content") == "":
            whole["content"] = None
        whole["tool_calls"] = [_written_call(call) for call in calls]
    yield whole


def _written_part(
    part: TextData | FileHandle, image_url: Callable[[FileHandle], str] | None
) -> dict[str, Any]:
    if isinstance(part, TextData):
        return {"type": "text", "text": part.text}
    if image_url is not None and part.file_type == "image":
        return {"type": "image_url", "image_url": {"url": image_url(part)}}
    file = {"file_id": part.identifier, "filename": part.name}
    return {"type": "file", "file": {**file, "bytes": part.size_bytes, "kind": part.file_type}}


def _written_call(call: Any) -> dict[str, Any]:
    arguments = "" if call.arguments is None else json_text(call.arguments)
    written = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    return written if call.id is None else {"id": call.id, **written}


def _written_result(result: ToolCallResultData) -> dict[str, Any]:
    written = {"role": "tool", "content": result.content}
    if result.tool_call_id is not None:
        written["tool_call_id"] = result.tool_call_id
    if result.name is not None:
        written["name"] = result.name
    return written


# --- reading -----------------------------------------------------------------------------------


def from_openai(messages: Iterable[Any], images: ImageSource = None) -> list[AnyChatMessage]:
    """The messages that dicts (or OpenAI's own objects) describe."""
    listed: Any = messages  # what the caller gave, whatever the annotation says
    if isinstance(listed, (str, bytes)) or is_mapping(listed):
        raise LMStudioValueError(
            f"OpenAI's messages are a list of dicts, not {type(listed).__name__}."
        )
    made: list[AnyChatMessage] = []
    for index, given in enumerate(messages):
        message = _read(_plain(given), f"messages[{index}]", images)
        last = made[-1] if made else None
        if isinstance(message, ToolResultMessage) and isinstance(last, ToolResultMessage):
            last.content.extend(message.content)
        else:
            made.append(message)
    return made


def _plain(given: Any) -> Mapping[str, Any]:
    if callable(dump := getattr(given, "model_dump", None)):  # OpenAI's package has such objects
        given = dump(exclude_none=True)
    if is_mapping(given):
        return given
    raise LMStudioValueError(f"A message in OpenAI's form is a dict, not {type(given).__name__}.")


def _read(given: Mapping[str, Any], where: str, images: ImageSource) -> AnyChatMessage:
    given_role = given.get("role")
    role = _ROLES.get(str(given_role), given_role)
    known = _KNOWN.get(str(role))
    if known is None:
        raise LMStudioValueError(
            f"{where} needs a role out of {', '.join((*_KNOWN, *_ROLES))}, not {given_role!r}."
        )
    # OpenAI's own objects have keys for everything; those with nothing in them say nothing.
    lost = [key for key, value in given.items() if key not in known and value not in (None, [], {})]
    if lost:
        raise LMStudioValueError(
            f"{where} has {', '.join(map(repr, lost))}, which a message of LM Studio cannot hold; "
            "remove it first."
        )
    if role == "tool":
        return _read_result(given, where)
    parts = _read_parts(given.get("content"), where, images)
    if refusal := as_text(given.get("refusal")):
        parts.append({"type": "text", "text": refusal})
    calls = given.get("tool_calls") or ()
    if calls and "content" in given and not parts:
        parts.append({"type": "text", "text": ""})
    message = {"role": role, "content": parts, "tool_calls": [_read_call(call) for call in calls]}
    if role != "assistant":
        del message["tool_calls"]
        if not parts:
            raise LMStudioValueError(f"{where} has no content.")
    return parse_message(message)


def _read_result(given: Mapping[str, Any], where: str) -> ToolResultMessage:
    content = given.get("content")
    if is_sequence(content):  # OpenAI allows text in several parts
        content = "".join(str(part["text"]) for part in _read_parts(content, where, None))
    if not isinstance(content, str):
        raise LMStudioValueError(f"{where} is a tool's result; its content is text.")
    call_id, name = given.get("tool_call_id"), given.get("name")
    result = ToolCallResultData(content=content, tool_call_id=call_id, name=name)
    return ToolResultMessage(content=[result])


def _read_call(call: Any) -> dict[str, Any]:
    """The call as ``parse_message`` reads it; arguments that are no text at all stay none."""
    plain = dict(as_mapping(call))
    function = dict(as_mapping(plain.get("function")))
    if plain.get("type", "function") != "function" or not function:
        raise LMStudioValueError(
            f"A tool call is {{'type': 'function', 'function': {{...}}}}, not {call!r}."
        )
    if function.get("arguments") == "":
        function["arguments"] = None
    return {**plain, "function": function}


def _read_parts(content: Any, where: str, images: ImageSource) -> list[Any]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if is_sequence(content):
        return [_read_part(part, f"{where}.content[{n}]", images) for n, part in enumerate(content)]
    raise LMStudioValueError(f"{where}.content is text or a list of parts, not {content!r}.")


def _read_part(part: Any, where: str, images: ImageSource) -> Any:
    given = as_mapping(part)
    kind = given.get("type")
    if kind in ("text", "refusal") and as_text(given.get(str(kind))) is not None:
        return {"type": "text", "text": given[str(kind)]}
    if kind == "image_url":
        image = given.get("image_url")
        url = as_text(as_mapping(image).get("url")) or as_text(image)
        if url is not None:
            return _image(url, where, images)
    if kind == "file":
        file = as_mapping(given.get("file"))
        if {"file_id", "filename", "bytes", "kind"} <= file.keys():
            return FileHandle(
                name=file["filename"],
                identifier=file["file_id"],
                size_bytes=file["bytes"],
                file_type=file["kind"],
            )
    shown = f"of the type {kind!r}" if kind else repr(part)
    raise LMStudioValueError(
        f"{where} is a part {shown} that a message of LM Studio cannot hold; it holds text, images "
        "and files that its server knows."
    )


def _image(url: str, where: str, images: ImageSource) -> FileHandleInput:
    if images is None:
        raise LMStudioValueError(
            f"{where} is an image ({url[:40]}…); say how to get it to the server: "
            "images=client.prepare_image, as in Chat.from_openai(messages, images=…)."
        )
    if not is_mapping(images):
        return cast("Callable[[str], FileHandleInput]", images)(url)
    if (handle := images.get(url)) is None:
        raise LMStudioValueError(f"{where} is an image ({url[:40]}…) that images does not list.")
    return cast("FileHandleInput", handle)
