"""Which values of settings can be used. Pure functions.

Values are anything on the wire. One of the wrong type or out of range counts as not given, and is
named in the log; a structure that cannot be understood is refused, since an answer without the
structure that was asked for is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_core.lenient import is_list

from . import stack
from .templates import read_template

if TYPE_CHECKING:
    from .stack import Config

__all__ = ["CACHE_TYPES", "WHOLE_CACHE_TYPES", "structure_problem", "usable"]

_Check = Callable[[Any], bool]
_PREFIX: Final = "llm.prediction."
_MOST: Final = 2**31 - 1

WHOLE_CACHE_TYPES: Final = ("f32", "f16")
CACHE_TYPES: Final = (*WHOLE_CACHE_TYPES, "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""How the cache may keep its values: whole, or in fewer bits."""


def _number(low: float, high: float = float("inf")) -> _Check:
    return lambda value: stack.number(value, low, high) is not None


def _whole(low: float, high: float = float("inf")) -> _Check:
    return lambda value: stack.integer(value, low, high) is not None


def _if_on(check: _Check) -> _Check:
    """For values that can be off: what is off needs no value."""

    def accepts(value: Any) -> bool:
        is_on, inner = stack.checkbox(value)
        return check(inner) if is_on else value is False or isinstance(value, dict)

    return accepts


def _one_of(*names: str) -> _Check:
    return lambda value: value in names


def _is(kind: type) -> _Check:
    return lambda value: isinstance(value, kind)


def _is_ratio(value: Any) -> bool:
    return value in ("max", "off") or stack.number(value, 0, 1) is not None


_DRAFT: Final = "speculativeDecoding."
_PREDICTION: Final[Mapping[str, _Check]] = {
    "temperature": _number(0),
    "contextOverflowPolicy": _one_of("stopAtLimit", "truncateMiddle", "rollingWindow"),
    "maxPredictedTokens": _if_on(_whole(1)),
    "stopStrings": is_list,
    "toolCallStopStrings": is_list,
    "tools": _is(dict),
    "toolChoice": _is(dict),
    "toolNaming": _one_of("passThrough", "removeSpecial", "snakeCase", "camelCase"),
    "promptTemplate": lambda value: read_template(value) is not None,
    "systemPrompt": _is(str),
    "seed": _if_on(_whole(-1)),
    "topKSampling": _whole(-1, 500),
    "repeatPenalty": _if_on(_number(0)),
    "minPSampling": _if_on(_number(0, 1)),
    "topPSampling": _if_on(_number(0, 1)),
    "logProbs": _if_on(_whole(0, 100)),
    "reasoning.enableThinking": _is(bool),
    "reasoning.budgetTokens": _if_on(_whole(0)),
    "reasoning.parsing": _is(dict),
    "llama.frequencyPenalty": _if_on(_number(-(2**31))),
    "llama.presencePenalty": _if_on(_number(-(2**31))),
    "llama.xtcProbability": _if_on(_number(0, 1)),
    "llama.xtcThreshold": _if_on(_number(0, 1)),
    "llama.locallyTypicalSampling": _if_on(_number(0, 1)),
    "llama.mirostatSampling": _is(dict),
    "llama.logitBias": is_list,
    _DRAFT + "draftModel": _is(str),
    _DRAFT + "minDraftLengthToConsider": _whole(0),
    _DRAFT + "minContinueDraftingProbability": _number(0, 1),
    _DRAFT + "maxTokensToDraft": _whole(1),
    _DRAFT + "numDraftTokensExact": _whole(1),
}

_LOAD: Final[Mapping[str, _Check]] = {
    "contextLength": _whole(1, _MOST),
    "seed": _if_on(_whole(-1)),
    "promptTemplate": lambda value: read_template(value) is not None,
    "offloadKVCacheToGpu": _is(bool),
    "numCpuExpertLayersRatio": _is_ratio,
    "numParallelSessions": _whole(1, 1023),
    "useUnifiedKvCache": _is(bool),
    "llama.acceleration.offloadRatio": _is_ratio,
    "llama.cpuThreadPoolSize": _whole(1),
    "llama.evalBatchSize": _whole(1, _MOST),
    "llama.physicalBatchSize": _whole(1, _MOST),
    "llama.flashAttention": _is(bool),
    "llama.contextCheckpoints": _whole(0, _MOST),
    "llama.reasoningBudgetMessage": _is(str),
    "llama.ropeFrequencyBase": _if_on(_number(0)),
    "llama.ropeFrequencyScale": _if_on(_number(0)),
    "llama.keepModelInMemory": _is(bool),
    "llama.useFp16ForKVCache": _is(bool),
    "llama.tryMmap": _is(bool),
    "llama.tryDirectIO": _is(bool),
    "llama.kCacheQuantizationType": _if_on(_one_of(*CACHE_TYPES)),
    "llama.vCacheQuantizationType": _if_on(_one_of(*CACHE_TYPES)),
    "llama." + _DRAFT + "draftSimple": _is(bool),
    "llama." + _DRAFT + "draftModel": _is(str),
    "llama." + _DRAFT + "draftMaxTokens": _whole(0),
    "llama." + _DRAFT + "draftMinTokens": _whole(0),
    "llama." + _DRAFT + "draftMinContinueProbability": _number(0, 1),
}
_CHECKS: Final[Mapping[str, _Check]] = {
    prefix + name: check
    for prefix, checks in (
        (_PREFIX, _PREDICTION),
        ("llm.load.", _LOAD),
        ("embedding.load.", _LOAD),
    )
    for name, check in checks.items()
}


def usable(client: Config) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What of a client's configuration can be used, and the keys of what cannot."""
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for key, value in client.items():
        check = _CHECKS.get(key)
        if check is None or check(value):
            kept[key] = value
        else:
            dropped.append(key)
    return kept, tuple(dropped)


def structure_problem(client: Config) -> str | None:
    """Why a client's ``structured`` setting cannot be used; ``None``: it can, or there is none."""
    value = client.get(_PREFIX + "structured")
    if value is None:
        return None
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    kind = given.get("type")
    if kind == "json":
        schema = given.get("jsonSchema")
        if schema is None or schema is True or isinstance(schema, dict):
            return None
        return "its jsonSchema is no JSON object"
    if kind == "gbnf":
        grammar = given.get("gbnfGrammar")
        if isinstance(grammar, str) and grammar.strip():
            return None
        return "its gbnfGrammar is no text, or empty"
    return None if kind == "none" else 'its type is not "json", "gbnf" or "none"'
