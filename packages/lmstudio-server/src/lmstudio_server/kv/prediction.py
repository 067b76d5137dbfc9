"""From prediction configuration to what an engine is asked to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from lmstudio_core.lenient import is_list
from lmstudio_server.engines.base import ContextOverflow, Sampling

from . import stack
from .defaults import PREDICTION_DEFAULTS, model_defaults
from .drafts import DraftWish, prediction_draft
from .templates import Template, read_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .stack import Config

__all__ = [
    "OverflowPolicy",
    "PredictionSettings",
    "effective_prediction_config",
    "prediction_settings",
]

OverflowPolicy = Literal["stopAtLimit", "truncateMiddle", "rollingWindow"]
ToolChoice = Literal["none", "auto", "required"]

_PREFIX = "llm.prediction."
_OWN_TAGS = ("<think>", "</think>")
_MOST_TOKENS = 2**31 - 1
"""Engines count in 32 bits."""
_MOST_THINKING = 2**30
"""Room is left for what a prompt has thought already, which counts too."""


@dataclass(frozen=True)
class PredictionSettings:
    """A prediction configuration, read."""

    sampling: Sampling
    overflow: OverflowPolicy
    tools: Sequence[Mapping[str, Any]]
    tool_choice: ToolChoice
    parallel_tool_calls: bool
    tool_naming: str
    tool_stop_strings: frozenset[str]
    template: Template | None
    system_prompt: str
    enable_thinking: bool | None
    parse_reasoning: bool
    reasoning_tags: tuple[str, str] | None
    """Strings around reasoning that the client chose; ``None``: the model's own."""
    reasoning_budget: int | None
    """How many tokens the model may think; ``None``: as many as it likes."""
    draft: DraftWish | None


def effective_prediction_config(client: Config, model_key: str) -> dict[str, Any]:
    """Defaults, then the model's own, then the client's, as results report it."""
    return {**PREDICTION_DEFAULTS, **model_defaults(model_key), **client}


def prediction_settings(
    config: Config, *, client: Config, load_config: Config | None = None
) -> PredictionSettings:
    """Read an effective configuration.

    ``client`` is the part that the caller gave. The template that ``load_config`` names is the one
    of the instance, where the caller has none of their own.

    Args:
        config: The effective configuration by key.
        client: The part of it that the caller gave.
        load_config: How the instance was loaded, by key.
    """
    template = read_template(config.get(_PREFIX + "promptTemplate"))
    if template is None and load_config is not None:
        template = read_template(load_config.get("llm.load.promptTemplate"))
    tool_stops = stack.strings(config.get(_PREFIX + "toolCallStopStrings"))
    stops = stack.strings(config.get(_PREFIX + "stopStrings")) + tool_stops
    if template is not None:
        stops += template.stop_strings
    return PredictionSettings(
        sampling=replace(_sampling(config, stops), overflow=_while_generating(client)),
        overflow=_overflow(config.get(_PREFIX + "contextOverflowPolicy")),
        tools=_tools(config.get(_PREFIX + "tools")),
        tool_choice=_tool_choice(config.get(_PREFIX + "toolChoice")),
        parallel_tool_calls=_parallel(config.get(_PREFIX + "toolChoice")),
        tool_naming=str(config.get(_PREFIX + "toolNaming")),
        tool_stop_strings=frozenset(tool_stops),
        template=template,
        system_prompt=_text(config.get(_PREFIX + "systemPrompt")),
        enable_thinking=_thinking(client),
        parse_reasoning=_parse_reasoning(config.get(_PREFIX + "reasoning.parsing")),
        reasoning_tags=_reasoning_tags(config.get(_PREFIX + "reasoning.parsing")),
        reasoning_budget=_budget(client),
        draft=prediction_draft(client),
    )


def _sampling(config: Config, stops: Sequence[str]) -> Sampling:
    def checked(key: str, off: float | None, low: float, high: float = float("inf")) -> Any:
        is_on, value = stack.checkbox(config.get(_PREFIX + key))
        found = stack.number(value, low, high) if is_on else None
        return off if found is None else found

    schema, grammar = _structure(config.get(_PREFIX + "structured"))
    max_tokens = checked("maxPredictedTokens", None, 1)
    log_probs = checked("logProbs", None, 0, 100)
    seed = checked("seed", None, 0)
    mirostat = _mirostat(config.get(_PREFIX + "llama.mirostatSampling"))
    return Sampling(
        temperature=stack.number(config.get(_PREFIX + "temperature"), 0),
        top_k=_top_k(config.get(_PREFIX + "topKSampling")),
        top_p=checked("topPSampling", 1.0, 0, 1),
        min_p=checked("minPSampling", 0.0, 0, 1),
        repeat_penalty=checked("repeatPenalty", 1.0, 0),
        presence_penalty=checked("llama.presencePenalty", 0.0, -(2**31)),
        frequency_penalty=checked("llama.frequencyPenalty", 0.0, -(2**31)),
        seed=None if seed is None else int(seed),
        max_tokens=None if max_tokens is None else min(int(max_tokens), _MOST_TOKENS),
        stop=tuple(dict.fromkeys(stops)),
        log_probs=None if log_probs is None else int(log_probs),
        json_schema=schema,
        grammar=grammar,
        xtc_probability=checked("llama.xtcProbability", None, 0, 1),
        xtc_threshold=checked("llama.xtcThreshold", None, 0, 1),
        typical_p=checked("llama.locallyTypicalSampling", None, 0, 1),
        mirostat=None if mirostat is None else mirostat[0],
        mirostat_learning_rate=None if mirostat is None else mirostat[1],
        mirostat_entropy=None if mirostat is None else mirostat[2],
        logit_bias=_logit_bias(config.get(_PREFIX + "llama.logitBias")),
    )


_OVERFLOWS: Mapping[OverflowPolicy, ContextOverflow] = {
    "stopAtLimit": "stop",
    "truncateMiddle": "keep_start",
    "rollingWindow": "roll",
}


def _while_generating(client: Config) -> ContextOverflow:
    """What happens when an answer fills the context: it ends, unless the client chose otherwise.

    A context that rolls lets a model that finds no end talk for ever, which nobody gets unasked.
    """
    policy = client.get(_PREFIX + "contextOverflowPolicy")
    return "stop" if policy is None else _OVERFLOWS[_overflow(policy)]


def _mirostat(value: Any) -> tuple[int, float, float] | None:
    if not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value)
    version = stack.integer(given.get("version"), 1, 2)
    if version is None:
        return None
    rate = stack.number(given.get("learningRate"), 0)
    entropy = stack.number(given.get("targetEntropy"), 0)
    return version, 0.1 if rate is None else rate, 5.0 if entropy is None else entropy


def _logit_bias(value: Any) -> tuple[tuple[int, float], ...]:
    """Pairs of a token and a number; ``"-inf"`` is minus infinity."""
    pairs: list[tuple[int, float]] = []
    for item in value if is_list(value) else ():
        if not is_list(item) or len(item) != 2:
            continue
        token = stack.integer(item[0], 0)
        bias = -math.inf if item[1] == "-inf" else stack.number(item[1])
        if token is not None and bias is not None:
            pairs.append((token, bias))
    return tuple(pairs)


def _top_k(value: Any) -> int | None:
    found = stack.integer(value, -1, 500)
    # -1 means "all tokens", for which engines say 0.
    return 0 if found == -1 else found


def _structure(value: Any) -> tuple[Mapping[str, Any] | None, str | None]:
    if not isinstance(value, dict):
        return None, None
    structured = cast("dict[str, Any]", value)
    if structured.get("type") == "json":
        schema = structured.get("jsonSchema")
        return (cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}), None
    grammar = structured.get("gbnfGrammar")
    if structured.get("type") == "gbnf" and isinstance(grammar, str):
        return None, grammar
    return None, None


def _tools(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, dict):
        return []
    given = cast("dict[str, Any]", value)
    tools = given.get("tools")
    if given.get("type") != "toolArray" or not is_list(tools):
        return []
    return [tool for tool in tools if _is_tool(tool)]


def _is_tool(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    function = cast("dict[str, Any]", tool).get("function")
    return isinstance(function, dict) and isinstance(
        cast("dict[str, Any]", function).get("name"), str
    )


def _tool_choice(value: Any) -> ToolChoice:
    mode = cast("dict[str, Any]", value).get("mode") if isinstance(value, dict) else None
    return mode if mode in ("none", "required") else "auto"


def _parallel(value: Any) -> bool:
    given = cast("dict[str, Any]", value).get("parallel") if isinstance(value, dict) else None
    return given is not False


def _overflow(value: Any) -> OverflowPolicy:
    return value if value in ("stopAtLimit", "rollingWindow") else "truncateMiddle"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _thinking(client: Config) -> bool | None:
    # A budget of nothing is the same wish as no thinking. Without a word from the client the
    # model's own template decides.
    if _budget(client) == 0:
        return False
    return stack.boolean(client.get(_PREFIX + "reasoning.enableThinking"))


def _budget(client: Config) -> int | None:
    checked, budget = stack.checkbox(client.get(_PREFIX + "reasoning.budgetTokens"))
    tokens = stack.integer(budget, 0) if checked else None
    return None if tokens is None else min(tokens, _MOST_THINKING)


def _parse_reasoning(value: Any) -> bool:
    return not isinstance(value, dict) or cast("dict[str, Any]", value).get("enabled") is not False


def _reasoning_tags(value: Any) -> tuple[str, str] | None:
    if not _parse_reasoning(value) or not isinstance(value, dict):
        return None
    given = cast("dict[str, Any]", value)
    tags = (_text(given.get("startString")), _text(given.get("endString")))
    return tags if all(tags) and tags != _OWN_TAGS else None
