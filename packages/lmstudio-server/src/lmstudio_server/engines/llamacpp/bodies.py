"""From a request to the JSON llama.cpp's server takes. No I/O."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from .schemas import (
    for_compiler,
    for_grammar_parser,
    for_parser,
    for_template,
    forced_call_schema,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lmstudio_server.engines.base import ChatRequest, Sampling

_NATURAL_JSON = {
    # Free white space lets a small model write line breaks for ever; these separators are the ones
    # models have seen most.
    "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
}
_STREAMING = {"stream": True, "return_progress": True, "timings_per_token": True}
"""Sent with each generation: with progress, llama.cpp notices a closed connection in the prompt."""


def sampling_fields(sampling: Sampling, default_seed: int | None) -> dict[str, Any]:
    """Return what is set of ``sampling``, named as llama.cpp does (both its APIs agree here)."""
    seed = default_seed if sampling.seed is None else sampling.seed
    fields = {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "seed": seed,
        "xtc_probability": sampling.xtc_probability,
        "xtc_threshold": sampling.xtc_threshold,
        "typical_p": sampling.typical_p,
        "mirostat": sampling.mirostat,
        "mirostat_eta": sampling.mirostat_learning_rate,
        "mirostat_tau": sampling.mirostat_entropy,
        "logit_bias": _logit_bias(sampling) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _candidates(log_probs: int) -> int:
    """Return how many candidates to ask for: none at all would mean no probabilities either."""
    return max(1, log_probs)


def _logit_bias(sampling: Sampling) -> list[list[Any]]:
    """Return the pairs of tokens and biases; JSON has no infinity, which ``false`` stands for."""
    return [[token, False if bias == -math.inf else bias] for token, bias in sampling.logit_bias]


def shift_fields(sampling: Sampling, context_length: int) -> dict[str, Any]:
    """Return how many tokens stay at the beginning when the context shifts while generating."""
    if sampling.overflow == "keep_start":
        return {"n_keep": context_length // 2}
    return {}


def offered_tools(request: ChatRequest) -> Sequence[Mapping[str, Any]]:
    """Return the tools the model may call: none at all if the request's choice is "none"."""
    return () if request.tool_choice == "none" else request.tools


def thinking(request: ChatRequest, *, constrained: bool) -> bool | None:
    """Return whether to ask the template for thinking; ``None`` leaves it to the template.

    A schema or grammar holds from the first token on, so there thinking has to be asked for. An
    answer already begun (a last message of the assistant's) is continued without it.
    """
    if request.messages and request.messages[-1].get("role") == "assistant":
        return False
    if request.enable_thinking is None and constrained:
        return False
    return request.enable_thinking


def template_body(request: ChatRequest, *, constrained: bool = False) -> dict[str, Any]:
    """Return the body for ``/apply-template``, and the first part of every chat body."""
    body: dict[str, Any] = {"messages": [dict(message) for message in request.messages]}
    tools = offered_tools(request)
    if tools:
        # Without a choice llama.cpp only shows them; it would refuse those it cannot make a grammar of.
        body |= {"tools": for_template(tools), "tool_choice": "none"}
    enable_thinking = thinking(request, constrained=constrained)
    if enable_thinking is not None:
        body["chat_template_kwargs"] = {"enable_thinking": enable_thinking}
    return body


def chat_body(
    request: ChatRequest,
    default_seed: int | None,
    context_length: int = 0,
    *,
    plain: bool = False,
    constrained: bool = False,
) -> dict[str, Any]:
    """Return the body for ``/v1/chat/completions``.

    Stop strings are not in it: that endpoint does not say which one ended the text, so they are
    looked for on our side (see ``stops``).

    Args:
        request: What is asked of the engine.
        default_seed: The seed where the request has none.
        context_length: The model's context in tokens; 0 if it is not known.
        plain: Of the tools' parameters, say only that they are there.
        constrained: An answer of the same conversation that is held to a schema may follow.
    """
    sampling = request.sampling
    body = template_body(request, constrained=constrained)
    body |= sampling_fields(sampling, default_seed) | _STREAMING
    body |= shift_fields(sampling, context_length)
    body["stream_options"] = {"include_usage": True}
    if "tools" in body:
        body["tools"] = for_parser(offered_tools(request), plain=plain)
        body["tool_choice"] = request.tool_choice
        body["parallel_tool_calls"] = request.parallel_tool_calls
    elif sampling.log_probs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = _candidates(sampling.log_probs)
    if sampling.max_tokens is not None:
        body["max_tokens"] = sampling.max_tokens
    return body


def completion_body(
    prompt: str | Mapping[str, Any],
    sampling: Sampling,
    default_seed: int | None,
    context_length: int = 0,
    *,
    held: Mapping[str, Any] | None = None,
    schema_tag: str | None = None,
) -> dict[str, Any]:
    """Return the body for ``/completion``.

    Args:
        prompt: The text to continue, or llama.cpp's object of a text with images.
        sampling: How to choose tokens, where to stop, and the grammar to keep to.
        default_seed: The seed if ``sampling`` has none.
        context_length: How many tokens the context holds.
        held: The schema to keep to, as llama.cpp's compiler takes it.
        schema_tag: Marks the schema, to know it again in llama.cpp's log.
    """
    body = sampling_fields(sampling, default_seed) | _STREAMING
    body |= shift_fields(sampling, context_length)
    limit = sampling.max_tokens
    body |= {"prompt": prompt, "n_predict": -1 if limit is None else limit, "return_tokens": True}
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.log_probs is not None:
        body["n_probs"] = _candidates(sampling.log_probs)
    if held is not None:
        body["json_schema"] = tagged_schema(held, schema_tag)
    elif sampling.grammar is not None:
        body["grammar"] = for_grammar_parser(sampling.grammar)
    return body


def answer_holds(schema: Mapping[str, Any], context_length: int) -> Iterator[Mapping[str, Any]]:
    """Yield what to hold an answer to, then what instead if the compiler refuses that."""
    for plain in (False, True):
        yield for_compiler(schema, context_length, plain=plain)


def call_holds(
    tools: Sequence[Mapping[str, Any]], context_length: int
) -> Iterator[Mapping[str, Any]]:
    """Yield what to hold a call to, then what instead if the compiler refuses that."""
    # One at a time: the schemas of fifty tools take 15 ms.
    for plain in (False, True):
        yield forced_call_schema(tools, context_length, plain=plain)
    yield forced_call_schema([{"function": {"name": one["function"]["name"]}} for one in tools])


def tagged_schema(schema: Mapping[str, Any], tag: str | None) -> dict[str, Any]:
    """Return ``schema`` for llama.cpp: plain separators, ``tag`` as its comment.

    Args:
        schema: The JSON schema.
        tag: The comment, by which its grammar is known again.
    """
    comment = {} if tag is None else {"$comment": tag}
    # The tag comes first, so that a long schema's error shows it too.
    return comment | _NATURAL_JSON | {k: v for k, v in schema.items() if k != "$comment"}


def images_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the images in ``messages`` in order, base64 encoded, without their ``data:`` heads."""
    images: list[str] = []
    for message in messages:
        content: Any = message.get("content")
        parts: list[Any] = [] if content is None or isinstance(content, str) else content
        images += [
            part["image_url"]["url"].partition(",")[2]
            for part in parts
            if part.get("type") == "image_url"
        ]
    return images


def prompt_with_images(
    prompt: str, images: Sequence[str], media_marker: str
) -> str | dict[str, Any]:
    """Return what ``/completion`` takes for ``prompt`` and the images its markers stand for.

    Args:
        prompt: The text, with a marker for each image.
        images: The images in base64, in order.
        media_marker: The marker.
    """
    if not images:
        return prompt
    if prompt.endswith(media_marker):
        # llama.cpp ends with a failed assertion when no text follows the last image.
        prompt += "\n"
    return {"prompt_string": prompt, "multimodal_data": list(images)}


def flattened(messages: Sequence[Mapping[str, Any]], media_marker: str) -> list[dict[str, Any]]:
    """Return ``messages`` with contents in parts joined to text, ``media_marker`` for each image.

    llama.cpp puts the images in where it finds the markers.
    """
    flat: list[dict[str, Any]] = []
    for message in messages:
        copy = dict(message)
        content: Any = copy.get("content")
        if content is not None and not isinstance(content, str):
            copy["content"] = "".join(
                part["text"] if part.get("type") == "text" else media_marker for part in content
            )
        flat.append(copy)
    return flat


def arguments_as_objects(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ``messages`` with tool calls' arguments as objects, as most templates expect them.

    OpenAI's form has them as JSON text; llama.cpp converts on its side, our own rendering here.
    """
    converted: list[dict[str, Any]] = []
    for message in messages:
        copy = dict(message)
        if copy.get("tool_calls"):
            copy["tool_calls"] = [_with_object(call) for call in copy["tool_calls"]]
        converted.append(copy)
    return converted


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    if isinstance(function.get("arguments"), str):
        try:
            function["arguments"] = json.loads(function["arguments"])
        except ValueError:
            return dict(call)
    return {**call, "function": function}
