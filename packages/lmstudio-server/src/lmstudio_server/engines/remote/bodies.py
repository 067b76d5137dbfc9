"""From a request to the JSON of OpenAI's API, with what a dialect takes besides. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.engines.llamacpp.bodies import offered_tools, sampling_fields, thinking
from lmstudio_server.engines.llamacpp.schemas import for_parser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.engines.base import ChatRequest, CompletionRequest, Sampling

    from .settings import Dialect

__all__ = ["chat_body", "completion_body"]

_OPENAI_SAMPLING: Final = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed")
_VLLM_SAMPLING: Final = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}
_SCHEMA_NAME: Final = "answer"


def chat_body(model: str, request: ChatRequest, dialect: Dialect) -> dict[str, Any]:
    """Return the body for ``/v1/chat/completions``.

    Stop strings are not in it: OpenAI's API does not say which of them ended the text, so they are
    looked for on our side.

    Args:
        model: The model's name on that server.
        request: What is asked of the engine.
        dialect: What the server understands beyond OpenAI's API.
    """
    body = _common(model, request.sampling, dialect)
    body["messages"] = [dict(message) for message in request.messages]
    tools = offered_tools(request)
    if tools:
        # llama.cpp's server makes a grammar of them, and refuses all for one that it cannot.
        llama_cpp = dialect == "llama.cpp"
        body["tools"] = for_parser(tools) if llama_cpp else [dict(tool) for tool in tools]
        body["tool_choice"] = request.tool_choice
        if not request.parallel_tool_calls:
            body["parallel_tool_calls"] = False
    if request.sampling.log_probs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = request.sampling.log_probs
    if not (tools and request.tool_choice == "required"):
        # A call has a schema of its own.
        body |= _structure(request.sampling, dialect)
    constrained = request.sampling.json_schema is not None or request.sampling.grammar is not None
    enable_thinking = thinking(request, constrained=constrained)
    if enable_thinking is not None and dialect != "openai":
        body["chat_template_kwargs"] = {"enable_thinking": enable_thinking}
    if dialect == "vllm":
        if request.chat_template is not None:
            body["chat_template"] = request.chat_template
        if request.messages and request.messages[-1].get("role") == "assistant":
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


def completion_body(model: str, request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
    """Return the body for ``/v1/completions``; without stop strings, as ``chat_body``.

    Args:
        model: The model's name on that server.
        request: What is asked of the engine.
        dialect: What the server understands beyond OpenAI's API.
    """
    body = _common(model, request.sampling, dialect)
    body["prompt"] = request.prompt
    if request.sampling.max_tokens is None:
        # OpenAI's default is 16 tokens; llama.cpp has none, and others end at the context.
        body["max_tokens"] = -1 if dialect == "llama.cpp" else None
    return body | _structure(request.sampling, dialect)


def _common(model: str, sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "stream": True}
    body["stream_options"] = {"include_usage": True}
    fields = sampling_fields(sampling, None)
    if dialect == "llama.cpp":
        body |= fields | {"return_progress": True, "timings_per_token": True}
    else:
        body |= {name: fields[name] for name in _OPENAI_SAMPLING if name in fields}
    if dialect == "vllm":
        body["stream_options"]["continuous_usage_stats"] = True
        body |= {new: fields[old] for old, new in _VLLM_SAMPLING.items() if old in fields}
        if body.get("top_k") == 0:  # all tokens
            body["top_k"] = -1
    if sampling.max_tokens is not None:
        body["max_tokens"] = sampling.max_tokens
    return body


def _structure(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    if sampling.json_schema is not None:
        return {"response_format": _response_format(sampling.json_schema)}
    if sampling.grammar is not None:
        if dialect == "vllm":
            return {"structured_outputs": {"grammar": sampling.grammar}}
        return {"grammar": sampling.grammar}
    return {}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    if not schema:
        return {"type": "json_object"}
    named = {"name": _SCHEMA_NAME, "strict": True, "schema": dict(schema)}
    return {"type": "json_schema", "json_schema": named}
