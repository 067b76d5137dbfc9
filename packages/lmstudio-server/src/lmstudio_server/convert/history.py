"""From LM Studio's chat history to the message form that chat templates take."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lmstudio_core.lenient import mend
from lmstudio_server.api import parameters as p
from lmstudio_server.errors import WireError

if TYPE_CHECKING:
    from lmstudio_server.documents.document import Document

    from .tools import ToolNames

__all__ = ["StoredFile", "joined_text", "to_messages"]


class StoredFile(Protocol):
    """A file that the client uploaded."""

    @property
    def name(self) -> str: ...
    @property
    def file_type(self) -> str: ...
    @property
    def mime_type(self) -> str: ...
    @property
    def document(self) -> Document | None:
        """Its text, where it is a document and was read."""
        ...

    def read(self) -> bytes: ...


FileLookup = Callable[[str], StoredFile | None]


def to_messages(
    history: p.History,
    *,
    names: ToolNames,
    find_file: FileLookup,
    system_prompt: str = "",
    vision: bool = True,
    model: str = "The model",
) -> list[dict[str, Any]]:
    """Convert a history.

    ``system_prompt`` comes first where the history has no system message of its own. Tool calls
    without an id are numbered, and results without one take the ids of the calls before them.

    Args:
        history: The chat in the wire's form.
        names: The names that tools have on the wire, and to the model.
        find_file: Gives the content of an attached file.
        system_prompt: What to put before it; ``None`` for nothing.
        vision: Whether the model can see.
        model: The model's key, for errors.
    """
    converter = _Converter(names, find_file, vision, model)
    messages = [out for message in history.messages for out in converter.convert(message)]
    if messages and _says_nothing(messages[-1]):
        # An answer of which nothing is there yet is one to begin, not one to continue.
        messages.pop()
    if system_prompt and not any(message["role"] == "system" for message in messages):
        messages.insert(0, {"role": "system", "content": system_prompt})
    return messages


def _says_nothing(message: Mapping[str, Any]) -> bool:
    return message["role"] == "assistant" and not message["content"] and "tool_calls" not in message


def joined_text(history: p.History) -> str:
    """The texts of a history one after the other: a raw prompt that was sent as a chat."""
    return "".join(
        part.text
        for message in history.messages
        for part in message.content
        if isinstance(part, p.TextPart)
    )


class _Converter:
    def __init__(self, names: ToolNames, find_file: FileLookup, vision: bool, model: str) -> None:
        self._names = names
        self._find_file = find_file
        self._vision = vision
        self._model = model
        self._count = 0
        self._waiting: list[tuple[str, str]] = []

    def convert(self, message: p.Message) -> Sequence[dict[str, Any]]:
        if message.role == "tool":
            return [
                self._result(part) for part in message.content if isinstance(part, p.ResultPart)
            ]
        converted: dict[str, Any] = {
            "role": message.role,
            "content": self._content(message.content),
        }
        calls = [part.tool_call_request for part in message.content if isinstance(part, p.CallPart)]
        if message.role == "assistant":
            self._waiting.clear()
            if calls:
                converted["tool_calls"] = [self._call(call) for call in calls]
        return [converted]

    def _call(self, call: p.ToolCallRequest) -> Mapping[str, Any]:
        self._count += 1
        call_id = call.id or f"call_{self._count}"
        name = self._names.for_model(call.name)
        self._waiting.append((call_id, name))
        # Engines refuse JSON with halves of characters in it.
        arguments = json.dumps(mend(call.arguments or {}), ensure_ascii=False)
        return {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }

    def _result(self, part: p.ResultPart) -> dict[str, Any]:
        call_id, name = self._match(part.tool_call_id)
        result: dict[str, Any] = {
            "role": "tool",
            "content": part.content,
            "tool_call_id": call_id,
        }
        shown = self._names.for_model(part.name) if part.name else name
        return {**result, "name": shown} if shown else result

    def _match(self, call_id: str | None) -> tuple[str, str]:
        """The call that a result answers: the one named, otherwise the next in order."""
        for index, (waiting_id, name) in enumerate(self._waiting):
            if call_id is None or waiting_id == call_id:
                del self._waiting[index]
                return call_id or waiting_id, name
        self._count += 1
        return call_id or f"call_{self._count}", ""

    def _content(self, parts: Sequence[p.Part]) -> str | list[dict[str, Any]]:
        pieces: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, p.TextPart):
                pieces.append({"type": "text", "text": part.text})
            elif isinstance(part, p.FilePart):
                pieces.append(self._file(part))
        if all(piece["type"] == "text" for piece in pieces):
            return "\n".join(piece["text"] for piece in pieces if piece["text"])
        return pieces

    def _file(self, part: p.FilePart) -> dict[str, Any]:
        stored = self._find_file(part.identifier)
        if stored is None:
            raise WireError(
                f'The file "{part.name}" of the chat is not on this server.',
                cause="Uploaded files belong to the client that uploaded them, while it is connected.",
                suggestion="Upload the file again, for example with prepare_image().",
            )
        if stored.file_type == "image":
            return self._image(stored)
        document = stored.document
        if document is None or (document.paged and not document.text.strip()):
            raise WireError(
                f'The file "{part.name}" cannot be put into a prompt.',
                cause="There is no text in it; a document of scanned pages has none.",
                suggestion="Send what it says as text, or its pages as images.",
            )
        return {"type": "text", "text": f"[{stored.name}]\n{document.text}"}

    def _image(self, stored: StoredFile) -> dict[str, Any]:
        if not self._vision:
            raise WireError(
                f"{self._model} cannot see images.",
                cause=f'The chat contains the image "{stored.name}".',
                suggestion="Load a model with vision, or leave the image out.",
            )
        data = base64.b64encode(stored.read()).decode("ascii")
        return {
            "type": "image_url",
            "image_url": {"url": f"data:{stored.mime_type};base64,{data}"},
        }
