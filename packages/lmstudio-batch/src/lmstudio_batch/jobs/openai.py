"""OpenAI's batch format: one table of what its bodies mean here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lmstudio_core.plugins.api import (
    LMStudioValueError,
    as_mapping,
    error_text,
    is_list,
    is_mapping,
    json_text,
)
from lmstudio_llm import Chat

from .rows import Row

__all__ = ["EMBEDDINGS", "arguments", "embedding_input", "failure", "response"]

CHAT: Final = "/v1/chat/completions"
EMBEDDINGS: Final = "/v1/embeddings"

_SETTINGS: Final[Mapping[str, str]] = {
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topPSampling",
    "top_k": "topKSampling",
    "min_p": "minPSampling",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "repeat_penalty": "repeatPenalty",
    "seed": "seed",
    "stop": "stopStrings",
}
"""A body's key → the setting of a prediction."""

_ELSE: Final = (
    "model",
    "messages",
    "response_format",
    "stream",
    "n",
    "user",
    "metadata",
    "tools",
    "tool_choice",
)
"""Keys that are read by themselves, or say nothing here."""


def _body(fields: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    asked = fields.get("url", url)
    if asked != url:
        raise LMStudioValueError(f"This batch is for {url}, and the row for {asked!r}.")
    if fields.get("method", "POST") != "POST":
        raise LMStudioValueError(f"The method is 'POST', not {fields['method']!r}.")
    body = fields.get("body")
    if not is_mapping(body):
        raise LMStudioValueError("The row has no 'body'.")
    return body


def arguments(fields: Mapping[str, Any], config: Any) -> tuple[Chat, dict[str, Any]]:
    """What ``respond`` is called with for a row.

    Raises:
        LMStudioValueError: The body has a key or a value that has no meaning here.
    """
    body = _body(fields, CHAT)
    unknown = [key for key in body if key not in _SETTINGS and key not in _ELSE]
    if unknown:
        raise LMStudioValueError(f"The body has {unknown[0]!r}, which is not supported.")
    if body.get("stream") or body.get("n") not in (None, 1):
        raise LMStudioValueError("A row has one answer: 'stream' and 'n' cannot be set.")
    settings = dict(config or {})
    for key, name in _SETTINGS.items():
        if body.get(key) is not None:
            value = body[key]
            settings[name] = [value] if key == "stop" and isinstance(value, str) else value
    if "messages" not in body:
        raise LMStudioValueError("The body has no 'messages'.")
    options: dict[str, Any] = {"config": settings or None, "response_format": _format(body)}
    if body.get("tools"):
        options["tools"] = [as_mapping(tool).get("function", tool) for tool in body["tools"]]
        if body.get("tool_choice"):
            options["tool_choice"] = body["tool_choice"]
    return Chat.from_openai(body["messages"]), options


def _format(body: Mapping[str, Any]) -> Any:
    given = as_mapping(body.get("response_format") or {})
    match given.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            return as_mapping(given.get("json_schema") or {}).get("schema")
        case other:
            raise LMStudioValueError(f"There is no response_format of the type {other!r}.")


def embedding_input(fields: Mapping[str, Any]) -> str:
    """The text of a row of embeddings."""
    body = _body(fields, EMBEDDINGS)
    text = body.get("input")
    if is_list(text) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        raise LMStudioValueError("The body's 'input' has to be one text.")
    return text


def response(row: Row, result: Any) -> dict[str, Any]:
    """A line of the output file for a result."""
    if is_list(result):
        item = {"object": "embedding", "index": 0, "embedding": result}
        body: dict[str, Any] = {"object": "list", "data": [item]}
    else:
        body = _completion(row, result)
    answer = {"status_code": 200, "request_id": f"req_{row.position}", "body": body}
    return {**_identity(row), "response": answer, "error": None}


def _completion(row: Row, result: Any) -> dict[str, Any]:
    stats = result.stats
    ends = {"toolCalls": "tool_calls", "maxPredictedTokensReached": "length"}
    message: dict[str, Any] = {"role": "assistant", "content": result.content}
    if result.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json_text(call.arguments or {})},
            }
            for call in result.tool_calls
        ]
    return {
        "id": f"chatcmpl-{row.position}",
        "object": "chat.completion",
        "model": result.model_info.model_key,
        "choices": [
            {"index": 0, "message": message, "finish_reason": ends.get(stats.stop_reason, "stop")}
        ],
        "usage": {
            "prompt_tokens": stats.prompt_tokens_count or 0,
            "completion_tokens": stats.predicted_tokens_count or 0,
            "total_tokens": stats.total_tokens_count or 0,
        },
    }


def failure(row: Row, error: BaseException) -> dict[str, Any]:
    """A line of the errors' file."""
    said = {"code": type(error).__name__, "message": error_text(error)}
    return {**_identity(row), "response": None, "error": said}


def _identity(row: Row) -> dict[str, Any]:
    return {"id": f"batch_req_{row.position}", "custom_id": row.id}
