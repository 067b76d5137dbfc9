"""From messages in OpenAI's form to a chat history of LM Studio's protocol. No I/O."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any, Final, Protocol

from lmstudio_core.lenient import error_text, is_list
from lmstudio_server.wire.frames import MAX_VALUES, has_too_many_values

from .bodies import is_object
from .errors import DoorError, invalid, not_implemented

__all__ = ["AddImage", "StoredImage", "history_of"]

_DATA_URL: Final = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)
_ROLES: Final = {"developer": "system", "function": "tool"}


class StoredImage(Protocol):
    """An image that the server keeps for the time of the request."""

    @property
    def identifier(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def file_type(self) -> str: ...


AddImage = Callable[[str, str], StoredImage]
"""Keeps an image: its name and its content in base64."""


def history_of(messages: object, add_image: AddImage) -> dict[str, Any]:
    """A ``History`` as the ``predict`` endpoint takes it.

    Raises:
        DoorError: The messages make no sense; the error names the place.
    """
    if not is_list(messages):
        raise invalid('"messages" has to be a list.', "messages", "invalid_value")
    if not messages:
        raise invalid('"messages" has no message.', "messages", "invalid_value")
    converted = [
        _message(message, f"messages[{index}]", add_image) for index, message in enumerate(messages)
    ]
    return {"messages": converted}


def _message(message: object, where: str, add_image: AddImage) -> dict[str, Any]:
    given = is_object(message)
    if given is None:
        raise invalid(f'"{where}" has to be an object.', where, "invalid_value")
    role = given.get("role")
    role = _ROLES.get(role, role) if isinstance(role, str) else role
    content = given.get("content")
    if role == "tool":
        return {"role": "tool", "content": [_result(given, where)]}
    if role not in ("system", "user", "assistant"):
        raise invalid(
            f'"{where}.role" has to be "system", "developer", "user", "assistant" or "tool".',
            f"{where}.role",
            "invalid_value",
        )
    parts = _parts(content, f"{where}.content", add_image if role == "user" else None)
    if role == "assistant":
        parts += _calls(given, where)
    return {"role": role, "content": parts}


def _result(message: Any, where: str) -> dict[str, Any]:
    texts = [part["text"] for part in _parts(message.get("content"), f"{where}.content", None)]
    part: dict[str, Any] = {"type": "toolCallResult", "content": "\n".join(texts)}
    for key, name in (("tool_call_id", "toolCallId"), ("name", "name")):
        if isinstance(message.get(key), str):
            part[name] = message[key]
    return part


def _calls(message: Any, where: str) -> list[dict[str, Any]]:
    calls: Any = message.get("tool_calls") or []
    if not is_list(calls):
        raise invalid(f'"{where}.tool_calls" has to be a list.', f"{where}.tool_calls")
    return [_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]


def _call(call: object, where: str) -> dict[str, Any]:
    given = is_object(call) or {}
    function = is_object(given.get("function"))
    if function is None or not isinstance(function.get("name"), str):
        raise invalid(f'"{where}.function.name" is required.', f"{where}.function.name")
    request: dict[str, Any] = {
        "type": "function",
        "name": function["name"],
        "arguments": _arguments(function.get("arguments"), f"{where}.function.arguments"),
    }
    if isinstance(given.get("id"), str):
        request["id"] = given["id"]
    return {"type": "toolCallRequest", "toolCallRequest": request}


def _arguments(given: object, where: str) -> dict[str, Any]:
    value: Any = given
    if isinstance(given, str):
        if has_too_many_values(given):
            raise invalid(f'"{where}" holds more than {MAX_VALUES:,} values.', where)
        try:
            value = json.loads(given) if given.strip() else {}
        except (ValueError, RecursionError) as error:
            raise invalid(f'"{where}" is not valid JSON: {error_text(error)}.', where) from error
    if value is None:
        return {}
    if is_object(value) is None:
        raise invalid(f'"{where}" has to be the JSON text of an object.', where, "invalid_value")
    return value  # type: ignore[no-any-return] # checked in the line before


def _parts(content: object, where: str, add_image: AddImage | None) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not is_list(content):
        raise invalid(f'"{where}" has to be a text or a list of parts.', where, "invalid_value")
    return [_part(part, f"{where}[{i}]", add_image) for i, part in enumerate(content)]


def _part(part: object, where: str, add_image: AddImage | None) -> dict[str, Any]:
    given = is_object(part) or {}
    kind = given.get("type")
    if kind in ("text", "input_text", "output_text", "refusal"):
        text = given.get("refusal" if kind == "refusal" else "text")
        if not isinstance(text, str):
            raise invalid(f'"{where}.text" has to be a text.', f"{where}.text", "invalid_value")
        return {"type": "text", "text": text}
    if kind == "image_url" and add_image is not None:
        image = given.get("image_url")
        url = (is_object(image) or {}).get("url") if not isinstance(image, str) else image
        return _image(url, f"{where}.image_url.url", add_image)
    if kind in ("input_audio", "file", "image_url"):
        raise not_implemented(f'"{where}": parts of type "{kind}" are not supported here.', where)
    raise invalid(
        f'"{where}.type" has to be "text" or "image_url".', f"{where}.type", "invalid_value"
    )


def _image(url: object, where: str, add_image: AddImage) -> dict[str, Any]:
    if not isinstance(url, str):
        raise invalid(f'"{where}" is required.', where, "missing_required_parameter")
    head = _DATA_URL.match(url[:200])
    if head is None:
        raise _no_data_url(where)
    content = url[head.end() :]
    try:
        base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(
            f'"{where}" is not valid base64: {error_text(error)}.', where, "invalid_value"
        ) from error
    stored = add_image(f"image.{head[1].rpartition('/')[2] or 'bin'}", content)
    if stored.file_type != "image":
        raise invalid(
            f'"{where}" is no image that this server knows (PNG, JPEG, GIF, BMP or WebP).',
            where,
            "invalid_value",
        )
    return {
        "type": "file",
        "name": stored.name,
        "identifier": stored.identifier,
        "sizeBytes": stored.size_bytes,
        "fileType": "image",
    }


def _no_data_url(where: str) -> DoorError:
    return invalid(
        f'"{where}" has to be a data URL ("data:image/png;base64,..."): this server fetches nothing '
        "from the network.",
        where,
        "invalid_value",
    )
