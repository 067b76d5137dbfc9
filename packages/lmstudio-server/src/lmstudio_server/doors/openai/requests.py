"""From requests of OpenAI's clients to a prediction configuration of LM Studio's. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from lmstudio_core.lenient import is_list
from lmstudio_server.doors.bodies import (
    Body,
    Bool,
    Count,
    Limit,
    Number,
    Object,
    Positive,
    Seconds,
    Text,
    Whole,
    is_object,
)
from lmstudio_server.doors.errors import invalid, not_implemented
from lmstudio_server.doors.sampling import PREDICTION, SamplingBody, checked, sampling_fields

__all__ = ["ChatBody", "CompletionBody", "EmbeddingBody", "prediction_fields", "prompts", "texts"]

MAX_TOP_LOGPROBS: Final = 20
MAX_LOGPROBS: Final = 100


class StreamOptions(Body):
    include_usage: Bool = None


class _Generation(SamplingBody):
    """What chats and completions have in common."""

    model: str = ""
    stream: Bool = None
    stream_options: StreamOptions | None = None
    presence_penalty: Number = None
    frequency_penalty: Number = None
    logit_bias: Object = None
    seed: Whole = None
    stop: Any = None
    max_tokens: Limit = None
    n: Count = None
    ttl: Seconds = None
    """LM Studio's own: seconds without use after which a model loaded for this is unloaded."""

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage is True


class ChatBody(_Generation):
    """``POST /v1/chat/completions``."""

    messages: Any
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Bool = None
    response_format: Object = None
    max_completion_tokens: Limit = None
    logprobs: Bool = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    reasoning_effort: Text = None
    chat_template_kwargs: Object = None


class CompletionBody(_Generation):
    """``POST /v1/completions``."""

    prompt: Any
    echo: Bool = None
    suffix: Text = None
    best_of: Count = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None


class EmbeddingBody(Body):
    """``POST /v1/embeddings``."""

    model: str = ""
    input: Any
    encoding_format: Text = None
    dimensions: Positive = None
    ttl: Seconds = None


def prediction_fields(body: ChatBody | CompletionBody) -> dict[str, Any]:
    """The configuration fields that a request asks for; what it leaves out is not in it."""
    if body.n not in (None, 1):
        raise not_implemented('"n": this server gives one answer a request; send several.', "n")
    fields = _sampling(body)
    if isinstance(body, ChatBody):
        fields |= _chat_fields(body)
    else:
        if body.best_of not in (None, 1):
            raise not_implemented('"best_of" is not supported here.', "best_of")
        if body.suffix:
            raise not_implemented('"suffix" is not supported here.', "suffix")
        if body.logprobs is not None:
            fields["logProbs"] = checked(body.logprobs)
    return {PREDICTION + key: value for key, value in fields.items()}


def prompts(prompt: object) -> list[str]:
    """The texts to continue."""
    return texts(prompt, "prompt")


def texts(given: object, where: str) -> list[str]:
    """One text or a list of texts, as a list."""
    found = [given] if isinstance(given, str) else given
    if not is_list(found) or not found:
        raise invalid(f'"{where}" has to be a text or a list of texts.', where, "invalid_value")
    if not all(isinstance(text, str) for text in found):
        raise not_implemented(
            f'"{where}" has to be text: lists of token ids are not taken, since ids of another '
            "tokenizer would be other words to this model. (LangChain: pass "
            "check_embedding_ctx_length=False.)",
            where,
        )
    return found


def _sampling(body: _Generation) -> dict[str, Any]:
    fields = sampling_fields(body)
    for value, key in (
        (body.presence_penalty, "llama.presencePenalty"),
        (body.frequency_penalty, "llama.frequencyPenalty"),
    ):
        if value is not None:
            fields[key] = checked(value)
    if body.max_tokens is not None:
        fields["maxPredictedTokens"] = checked(body.max_tokens)
    if body.stop is not None:
        fields["stopStrings"] = _stops(body.stop)
    if body.logit_bias:
        fields["llama.logitBias"] = _logit_bias(body.logit_bias)
    # Some clients send -1 for "any".
    if body.seed is not None and body.seed >= 0:
        fields["seed"] = checked(body.seed)
    return fields


def _stops(stop: object) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    if not is_list(stops) or not all(isinstance(text, str) for text in stops):
        raise invalid('"stop" has to be a text or a list of texts.', "stop", "invalid_value")
    return [text for text in stops if text]


def _logit_bias(given: Mapping[str, Any]) -> list[list[Any]]:
    try:
        # -100 means "never" to OpenAI.
        return [[int(key), "-inf" if v <= -100 else float(v)] for key, v in given.items()]
    except (TypeError, ValueError) as error:
        raise invalid(
            '"logit_bias" has to map token ids to numbers from -100 to 100.',
            "logit_bias",
            "invalid_value",
        ) from error


def _chat_fields(body: ChatBody) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if body.max_completion_tokens is not None:
        fields["maxPredictedTokens"] = checked(body.max_completion_tokens)
    if body.logprobs:
        fields["logProbs"] = checked(body.top_logprobs or 0)
    if body.response_format is not None:
        fields |= _structure(body.response_format)
    tools = _tools(body.tools)
    if tools:
        fields |= _tool_fields(tools, body.tool_choice)
        if body.parallel_tool_calls is False:
            # LM Studio's protocol has no key for it: this server's own.
            fields["toolChoice"]["parallel"] = False
    elif body.tool_choice not in (None, "none", "auto"):
        raise invalid('"tool_choice" asks for a call, and there are no "tools".', "tool_choice")
    thinking = _thinking(body)
    if thinking is not None:
        fields["reasoning.enableThinking"] = thinking
    return fields


def _thinking(body: ChatBody) -> bool | None:
    wanted = (body.chat_template_kwargs or {}).get("enable_thinking")
    if isinstance(wanted, bool):
        return wanted
    if body.reasoning_effort is None:
        return None
    return body.reasoning_effort != "none"


def _structure(given: Mapping[str, Any]) -> dict[str, Any]:
    kind = given.get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"structured": {"type": "json", "jsonSchema": {"type": "object"}}}
    if kind == "json_schema":
        where = "response_format.json_schema.schema"
        schema = is_object((is_object(given.get("json_schema")) or {}).get("schema"))
        if schema is None:
            raise invalid(f'"{where}" is required.', where, "missing_required_parameter")
        return {"structured": {"type": "json", "jsonSchema": schema}}
    raise invalid(
        '"response_format.type" has to be "text", "json_object" or "json_schema".',
        "response_format.type",
        "invalid_value",
    )


def _tools(given: object) -> list[dict[str, Any]]:
    if given is None:
        return []
    if not is_list(given):
        raise invalid('"tools" has to be a list.', "tools", "invalid_value")
    return [_tool(tool, f"tools[{index}]") for index, tool in enumerate(given)]


def _tool(tool: object, where: str) -> dict[str, Any]:
    given = is_object(tool) or {}
    function = is_object(given.get("function"))
    if given.get("type", "function") != "function":
        raise not_implemented(f'"{where}.type": only functions are supported.', f"{where}.type")
    if function is None or not isinstance(function.get("name"), str) or not function["name"]:
        raise invalid(
            f'"{where}.function.name" is required.',
            f"{where}.function.name",
            "missing_required_parameter",
        )
    parameters = function.get("parameters")
    if parameters is True or parameters == []:
        # What some languages make of a schema that says nothing.
        parameters = None
    if parameters is not None and is_object(parameters) is None:
        raise invalid(
            f'"{where}.function.parameters" of {function["name"]!r} has to be a JSON schema: an object.',
            f"{where}.function.parameters",
        )
    kept: dict[str, Any] = {"name": function["name"]}
    if isinstance(function.get("description"), str):
        kept["description"] = function["description"]
    # An object of which nothing is said may hold anything; a tool without parameters takes none.
    free = {"additionalProperties": True} if parameters and "properties" not in parameters else {}
    kept["parameters"] = {"type": "object", "properties": {}, **free, **(parameters or {})}
    return {"type": "function", "function": kept}


def _tool_fields(tools: Sequence[dict[str, Any]], choice: object) -> dict[str, Any]:
    mode: Any = "auto" if choice is None else choice
    named = is_object(choice)
    if named is not None:
        name = (is_object(named.get("function")) or {}).get("name")
        tools = [tool for tool in tools if tool["function"]["name"] == name]
        if not tools:
            raise invalid(
                '"tool_choice" names no function of "tools".', "tool_choice", "invalid_value"
            )
        mode = "required"
    if mode not in ("none", "auto", "required"):
        raise invalid(
            '"tool_choice" has to be "none", "auto", "required" or a function.',
            "tool_choice",
            "invalid_value",
        )
    return {
        "tools": {"type": "toolArray", "tools": list(tools)},
        "toolChoice": {"type": "generic", "mode": mode},
    }
