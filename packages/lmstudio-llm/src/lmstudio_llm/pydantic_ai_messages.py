"""Messages of Pydantic AI, read and written. Needs the extra ``lmstudio-llm[pydantic-ai]``.

Only those parts are known that every model has to do with: prompts, text, tool calls and what they
gave. What one side cannot hold is an error, but for what no model is ever shown: thinking, usage and
other metadata stay behind. For agents of Pydantic AI that ask LM Studio themselves, use its model
for OpenAI's API with the server's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic_ai.messages import (
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.files.handles import FileHandle, FileHandleInput

from .chat import Chat
from .messages import AssistantResponse, TextData, ToolResultMessage

__all__ = ["from_pydantic_ai", "to_pydantic_ai"]

ImageSource = Callable[[str], FileHandleInput] | Mapping[str, FileHandleInput] | None


# --- reading -----------------------------------------------------------------------------------


def from_pydantic_ai(messages: Iterable[ModelMessage], images: ImageSource = None) -> Chat:
    """Make a chat of Pydantic AI's messages, such as ``result.all_messages()``.

    Instructions are those of the last request, as Pydantic AI sends them, and come first.

    Args:
        messages: Requests and responses.
        images: Gives the handle for the URL of an image; see ``Chat.from_openai``. Images that are
            in the message itself have data URLs.

    Raises:
        LMStudioValueError: A message holds what a chat here cannot.

    Example:
        >>> from pydantic_ai.messages import ModelRequest, UserPromptPart
        >>> from lmstudio_llm.pydantic_ai_messages import from_pydantic_ai
        >>> chat = from_pydantic_ai([ModelRequest(parts=[UserPromptPart("Hello")])])
        >>> len(chat)
        1
    """
    listed: list[Any] = list(messages)
    written = [one for n, message in enumerate(listed) for one in _read(message, f"messages[{n}]")]
    requests = [message for message in listed if getattr(message, "kind", None) == "request"]
    instructions = getattr(requests[-1], "instructions", None) if requests else None
    if instructions:
        written.insert(0, {"role": "system", "content": instructions})
    return Chat.from_openai(written, images)


def _read(message: Any, where: str) -> Iterator[dict[str, Any]]:
    kind = getattr(message, "kind", None)
    if kind == "request":
        for n, part in enumerate(message.parts):
            yield _read_request(part, f"{where}.parts[{n}]")
    elif kind == "response":
        yield _read_response(message.parts, where)
    else:
        raise LMStudioValueError(
            f"{where} is a {type(message).__name__}, not a ModelRequest or ModelResponse."
        )


def _read_request(part: Any, where: str) -> dict[str, Any]:
    match part.part_kind:
        case "system-prompt":
            return {"role": "system", "content": part.content}
        case "user-prompt":
            return {"role": "user", "content": _read_prompt(part.content, where)}
        case "tool-return":
            return _result(part, part.model_response_str())
        case "retry-prompt" if part.tool_name is not None:
            return _result(part, part.model_response())
        case "retry-prompt":
            return {"role": "user", "content": part.model_response()}
        case _:
            raise _unknown(part, where)


def _result(part: Any, content: str) -> dict[str, Any]:
    return {
        "role": "tool",
        "tool_call_id": part.tool_call_id,
        "name": part.tool_name,
        "content": content,
    }


def _read_prompt(content: Any, where: str) -> Any:
    if isinstance(content, str):
        return content
    return [_read_content(one, f"{where}.content[{n}]") for n, one in enumerate(content)]


def _read_content(given: Any, where: str) -> dict[str, Any]:
    if isinstance(given, str):
        return {"type": "text", "text": given}
    kind = getattr(given, "kind", None)
    if kind == "image-url":
        return {"type": "image_url", "image_url": {"url": given.url}}
    if kind == "binary" and given.media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": given.data_uri}}
    raise LMStudioValueError(
        f"{where} is a {type(given).__name__}, which a message of LM Studio cannot hold; it holds "
        "text and images."
    )


def _read_response(parts: Iterable[Any], where: str) -> dict[str, Any]:
    texts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for n, part in enumerate(parts):
        match part.part_kind:
            case "text":
                texts.append({"type": "text", "text": part.content})
            case "tool-call":
                function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
                calls.append({"type": "function", "id": part.tool_call_id, "function": function})
            case "thinking":
                pass
            case _:
                raise _unknown(part, f"{where}.parts[{n}]")
    message: dict[str, Any] = {"role": "assistant", "content": texts}
    return {**message, "tool_calls": calls} if calls else message


def _unknown(part: Any, where: str) -> LMStudioValueError:
    return LMStudioValueError(
        f"{where} is a {type(part).__name__}, which a message of LM Studio cannot hold; remove it "
        "first."
    )


# --- writing -----------------------------------------------------------------------------------


def to_pydantic_ai(
    chat: Chat, image_url: Callable[[FileHandle], str] | None = None
) -> list[ModelMessage]:
    """A chat as Pydantic AI's messages, for an agent's ``message_history``.

    Args:
        chat: The chat.
        image_url: Gives the URL of an image in it.

    Raises:
        LMStudioValueError: It holds a file that is no image, an image without ``image_url``, or a
            tool's result that names neither its call nor its tool.

    Example:
        >>> from lmstudio_llm.pydantic_ai_messages import to_pydantic_ai
        >>> to_pydantic_ai(Chat.from_history("Hello"))[0].parts[0].content
        'Hello'
    """
    made: list[ModelMessage] = []
    names: dict[str, str] = {}
    for message in chat:
        if isinstance(message, AssistantResponse):
            made.append(ModelResponse(parts=list(_response_parts(message, names))))
            continue
        parts: list[Any]
        if isinstance(message, ToolResultMessage):
            parts = [_return_part(result, names) for result in message.content]
        else:
            content = [_content(part, image_url) for part in message.content]
            plain = content[0] if len(content) == 1 and isinstance(content[0], str) else content
            if message.role == "user":
                parts = [UserPromptPart(plain)]
            else:
                parts = [SystemPromptPart(message.text())]
        last = made[-1] if made else None
        if isinstance(last, ModelRequest):  # it holds all that comes before a response
            last.parts = [*last.parts, *parts]
        else:
            made.append(ModelRequest(parts=parts))
    return made


def _content(part: Any, image_url: Callable[[FileHandle], str] | None) -> Any:
    if isinstance(part, TextData):
        return part.text
    if image_url is None or part.file_type != "image":
        raise LMStudioValueError(
            f"The file {part.name!r} is on LM Studio's server only; say how images are reached "
            "with image_url=..., or remove it first."
        )
    return ImageUrl(url=image_url(part))


def _response_parts(
    message: AssistantResponse, names: dict[str, str]
) -> Iterator[TextPart | ToolCallPart]:
    for part in message.content:
        if isinstance(part, TextData):
            if part.text:
                yield TextPart(part.text)
        elif isinstance(part, FileHandle):
            raise LMStudioValueError(
                f"The file {part.name!r} in a response cannot be a part of Pydantic AI's; remove "
                "it first."
            )
        else:
            call = part.tool_call_request
            if call.id is None:
                raise LMStudioValueError(
                    f"The call of {call.name!r} has no id, which Pydantic AI needs for its result; "
                    "give the calls and their results ids."
                )
            names[call.id] = call.name
            yield ToolCallPart(call.name, call.arguments or {}, tool_call_id=call.id)


def _return_part(result: Any, names: Mapping[str, str]) -> ToolReturnPart:
    call_id = result.tool_call_id
    name = result.name or names.get(call_id or "")
    if call_id is None or name is None:
        raise LMStudioValueError(
            f"A tool's result ({result.content[:40]!r}) names no call and tool that the chat "
            "holds, which Pydantic AI demands; give the calls and their results ids."
        )
    return ToolReturnPart(name, result.content, tool_call_id=call_id)
