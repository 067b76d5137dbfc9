"""What becomes of each key of LM Studio's configuration here. Pure data and functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from . import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .stack import Config

__all__ = ["SUPPORT", "Support", "ineffective", "refusals"]

Effect = Literal["mapped", "refused", "ineffective"]


@dataclass(frozen=True)
class Support:
    """What a key does.

    Attributes:
        effect: ``mapped``: it does what it says. ``refused``: asking for it is an error.
            ``ineffective``: it is taken, reported back, and changes nothing.
        why: The reason, for those that are not mapped.
    """

    effect: Effect
    why: str = ""


_MAPPED: Final = Support("mapped")


def _keys(prefix: str, names: str, support: Support = _MAPPED) -> dict[str, Support]:
    return {prefix + name: support for name in names.split()}


def _ineffective(why: str) -> Support:
    return Support("ineffective", why)


def _refused(why: str) -> Support:
    return Support("refused", why)


_OTHER_ENGINE = _ineffective("it is for another engine")
_CHOSEN_SIZES = _ineffective("sizes are as configured and never fitted to the machine")
_DEVICES = _ineffective("llama.cpp spreads a model over all devices it finds")
_SCALED = _ineffective("llama.cpp scales each image to what the model takes")
_DRAFT_HEADS = _refused("only separate draft models are supported")

SUPPORT: Final[Mapping[str, Support]] = {
    **_keys(
        "llm.prediction.",
        "temperature contextOverflowPolicy maxPredictedTokens stopStrings toolCallStopStrings "
        "structured tools toolChoice toolNaming promptTemplate systemPrompt seed topKSampling "
        "repeatPenalty minPSampling topPSampling logProbs reasoning.enableThinking "
        "reasoning.budgetTokens reasoning.parsing llama.frequencyPenalty llama.presencePenalty "
        "llama.xtcProbability llama.xtcThreshold llama.mirostatSampling "
        "llama.locallyTypicalSampling llama.logitBias",
    ),
    **_keys(
        "llm.prediction.speculativeDecoding.",
        "draftModel minDraftLengthToConsider minContinueDraftingProbability maxTokensToDraft "
        "numDraftTokensExact",
    ),
    "llm.prediction.speculativeDecoding.numReuseTokens": _ineffective(
        "llama.cpp keeps as much of a draft model's cache as it can"
    ),
    "llm.prediction.contextPrefill": _refused("files of the server's machine are not read"),
    "llm.prediction.llama.cpuThreads": _ineffective(
        "llama.cpp takes the number of threads when it loads a model: cpuThreadPoolSize"
    ),
    "llm.prediction.llama.tailFreeSampling": _ineffective("llama.cpp has no such sampler any more"),
    **_keys(
        "llm.prediction.vision.",
        "userMaxImageDimensionPixels ignoreModelPreferredMaxImageDimension",
        _SCALED,
    ),
    **_keys(
        "llm.load.",
        "contextLength seed promptTemplate offloadKVCacheToGpu numCpuExpertLayersRatio "
        "numParallelSessions useUnifiedKvCache",
    ),
    **_keys(
        "llm.load.llama.",
        "acceleration.offloadRatio cpuThreadPoolSize evalBatchSize physicalBatchSize "
        "flashAttention contextCheckpoints reasoningBudgetMessage ropeFrequencyBase "
        "ropeFrequencyScale keepModelInMemory useFp16ForKVCache tryMmap tryDirectIO "
        "kCacheQuantizationType vCacheQuantizationType",
    ),
    **_keys(
        "llm.load.llama.speculativeDecoding.",
        "draftSimple draftModel draftMaxTokens draftMinTokens draftMinContinueProbability",
    ),
    **_keys(
        "llm.load.llama.speculativeDecoding.",
        "draftMtp draftDflashSidecar draftDsparkSidecar draftMtpSidecar",
        _DRAFT_HEADS,
    ),
    "llm.load.numExperts": _refused("a model's own number of experts is used"),
    "llm.load.llama.argumentsOverride": _refused("llama.cpp's arguments are the server's own"),
    **_keys("llm.load.", "autoFitMinContextLength llama.autoFit", _CHOSEN_SIZES),
    **_keys(
        "llm.load.",
        "mlx.autoFit mlx.diskCache mlx.kvCacheQuantization yuzu.autoFit "
        "vllm.gpuMemoryUtilization vllm.reasoningParser vllm.toolCallParser",
        _OTHER_ENGINE,
    ),
    **_keys("load.", "gpuSplitConfig gpuStrictVramCap", _DEVICES),
    **_keys(
        "embedding.load.",
        "contextLength llama.acceleration.offloadRatio llama.ropeFrequencyBase "
        "llama.ropeFrequencyScale llama.keepModelInMemory llama.tryMmap",
    ),
    "embedding.load.seed": _ineffective("embedding has nothing random"),
    "embedding.load.llama.evalBatchSize": _ineffective(
        "a text is embedded in one batch, which is as large as the context"
    ),
    "envVars": _ineffective("it is for AMD's GPUs, and the engine is built without them"),
}
"""All keys of predictions and loads. (Those of retrieval concern no model.)"""


def _on(value: Any) -> bool:
    return value is True


def _positive(value: Any) -> bool:
    return stack.number(value, 1) is not None


def _enabled(value: Any) -> bool:
    return isinstance(value, dict) and cast("dict[str, Any]", value).get("enabled") is True


_ASKS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "llm.prediction.contextPrefill": bool,
    "llm.load.numExperts": _positive,
    "llm.load.llama.argumentsOverride": _enabled,
}
"""When the value of a refused key asks for something; where nothing is said, ``true`` does."""


def refusals(client: Config) -> list[tuple[str, str]]:
    """The refused keys that a client asks something of, each with the reason."""
    return [
        (key, SUPPORT[key].why)
        for key, value in client.items()
        if key in SUPPORT and SUPPORT[key].effect == "refused" and _ASKS.get(key, _on)(value)
    ]


def ineffective(client: Config) -> tuple[str, ...]:
    """The keys that a client gave and that change nothing here, unknown ones included."""
    return tuple(
        key for key in client if key not in SUPPORT or SUPPORT[key].effect == "ineffective"
    )
