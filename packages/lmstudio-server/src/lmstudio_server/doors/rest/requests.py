"""Requests of LM Studio's REST API, read. No I/O."""

from __future__ import annotations

from typing import Any, Final

from lmstudio_core.lenient import is_list
from lmstudio_server.doors.bodies import Body, Bool, Count, Positive, Seconds, Text, is_object
from lmstudio_server.doors.errors import invalid
from lmstudio_server.doors.sampling import PREDICTION, SamplingBody, checked, sampling_fields

__all__ = [
    "ChatBody",
    "DownloadBody",
    "LoadBody",
    "UnloadBody",
    "load_fields",
    "message_of",
    "prediction_fields",
]

_LEVELS: Final = ("off", "low", "medium", "high", "on")


class ChatBody(SamplingBody):
    """``POST /api/v1/chat``."""

    model: str
    input: Any
    system_prompt: Text = None
    integrations: Any = None
    stream: Bool = None
    max_output_tokens: Positive = None
    reasoning: Text = None
    context_length: Positive = None
    store: Bool = None
    previous_response_id: Text = None
    ttl: Seconds = None


class LoadConfig(Body):
    context_length: Positive = None
    eval_batch_size: Positive = None
    flash_attention: Bool = None
    offload_kv_cache_to_gpu: Bool = None
    num_experts: Count = None
    parallel: Positive = None


class LoadBody(LoadConfig):
    """``POST /api/v1/models/load``. The settings stand beside ``model``, or in ``config``."""

    model: str
    config: LoadConfig | None = None
    echo_load_config: Bool = None
    identifier: Text = None
    ttl: Seconds = None


class DownloadBody(Body):
    """``POST /api/v1/models/download``."""

    model: str
    quantization: Text = None


class UnloadBody(Body):
    """``POST /api/v1/models/unload``."""

    instance_id: str


def message_of(given: object) -> dict[str, Any]:
    """The input of a chat as a message in OpenAI's form."""
    if isinstance(given, str):
        return {"role": "user", "content": given}
    if not is_list(given) or not given:
        raise invalid('"input" has to be a text or a list of items.', "input", "invalid_value")
    return {"role": "user", "content": [_item(item, f"input[{i}]") for i, item in enumerate(given)]}


def _item(item: object, where: str) -> dict[str, Any]:
    given = is_object(item) or {}
    kind = given.get("type")
    if kind in ("message", "text"):
        content = given.get("content", given.get("text"))
        if not isinstance(content, str):
            raise invalid(f'"{where}.content" has to be a text.', f"{where}.content")
        return {"type": "text", "text": content}
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": given.get("data_url")}}
    raise invalid(
        f'"{where}.type" has to be "message" or "image".', f"{where}.type", "invalid_value"
    )


def prediction_fields(body: ChatBody, *, reasons: bool) -> dict[str, Any]:
    """The configuration fields that a chat asks for; ``reasons``: the model can be told to think."""
    fields = sampling_fields(body)
    if body.max_output_tokens is not None:
        fields["maxPredictedTokens"] = checked(body.max_output_tokens)
    if body.reasoning is not None:
        fields["reasoning.enableThinking"] = _reasoning(body.reasoning, reasons=reasons)
    return {PREDICTION + key: value for key, value in fields.items()}


def _reasoning(level: str, *, reasons: bool) -> bool:
    if level not in _LEVELS:
        listed = ", ".join(f'"{known}"' for known in _LEVELS)
        raise invalid(f'"reasoning" has to be one of {listed}.', "reasoning", "invalid_value")
    if level != "off" and not reasons:
        raise invalid('"reasoning": this model does not reason.', "reasoning", "not_supported")
    return level != "off"


def load_fields(body: LoadConfig, kind: str) -> dict[str, Any]:
    """The load configuration that is asked for, for a model of a kind."""
    nested = body.config if isinstance(body, LoadBody) else None
    names = (
        ("context_length", "contextLength"),
        ("eval_batch_size", "llama.evalBatchSize"),
        ("flash_attention", "llama.flashAttention"),
        ("offload_kv_cache_to_gpu", "offloadKVCacheToGpu"),
        ("num_experts", "numExperts"),
        ("parallel", "numParallelSessions"),
    )
    fields: dict[str, Any] = {}
    for name, key in names:
        value = getattr(body, name)
        if value is None and nested is not None:
            value = getattr(nested, name)
        if value is not None:
            fields[f"{kind}.load.{key}"] = value
    return fields
