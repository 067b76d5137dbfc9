"""The configuration that holds where a client says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .stack import Config

__all__ = ["EMBEDDING_LOAD_DEFAULTS", "LLM_LOAD_DEFAULTS", "PREDICTION_DEFAULTS", "model_defaults"]

PREDICTION_DEFAULTS: Final[Config] = {
    "llm.prediction.temperature": 0.8,
    "llm.prediction.contextOverflowPolicy": "truncateMiddle",
    "llm.prediction.maxPredictedTokens": {"checked": False, "value": 1000},
    "llm.prediction.stopStrings": [],
    "llm.prediction.toolCallStopStrings": [],
    "llm.prediction.structured": {"type": "none"},
    "llm.prediction.tools": {"type": "none"},
    "llm.prediction.toolChoice": {"type": "generic", "mode": "auto"},
    "llm.prediction.toolNaming": "removeSpecial",
    "llm.prediction.systemPrompt": "",
    "llm.prediction.seed": {"checked": False, "value": -1},
    "llm.prediction.topKSampling": 40,
    "llm.prediction.repeatPenalty": {"checked": True, "value": 1.1},
    "llm.prediction.minPSampling": {"checked": True, "value": 0.05},
    "llm.prediction.topPSampling": {"checked": True, "value": 0.95},
    "llm.prediction.logProbs": {"checked": False, "value": 0},
    "llm.prediction.reasoning.enableThinking": True,
    "llm.prediction.reasoning.parsing": {
        "enabled": True,
        "startString": "<think>",
        "endString": "</think>",
    },
    "llm.prediction.llama.frequencyPenalty": {"checked": False, "value": 0},
    "llm.prediction.llama.presencePenalty": {"checked": False, "value": 0},
}

LLM_LOAD_DEFAULTS: Final[Config] = {
    "llm.load.contextLength": 4096,
    "llm.load.seed": {"checked": False, "value": -1},
    "llm.load.numParallelSessions": 4,
    "llm.load.useUnifiedKvCache": True,
    "llm.load.llama.acceleration.offloadRatio": "max",
    "llm.load.llama.evalBatchSize": 256,
    "llm.load.llama.physicalBatchSize": 512,
    "llm.load.llama.flashAttention": False,
    "llm.load.llama.ropeFrequencyBase": {"checked": False, "value": 0},
    "llm.load.llama.ropeFrequencyScale": {"checked": False, "value": 0},
    "llm.load.llama.keepModelInMemory": False,
    "llm.load.llama.tryMmap": True,
}
"""The batch is smaller than LM Studio's 2048: on a CPU the engine notices a cancelled prompt only
between two batches. Keeping a model in memory takes locked memory, of which containers have little, so
it is not the default here."""

EMBEDDING_LOAD_DEFAULTS: Final[Config] = {
    "embedding.load.contextLength": 2048,
    "embedding.load.seed": {"checked": False, "value": -1},
    "embedding.load.llama.acceleration.offloadRatio": "max",
    "embedding.load.llama.evalBatchSize": 2048,
    "embedding.load.llama.ropeFrequencyBase": {"checked": False, "value": 0},
    "embedding.load.llama.ropeFrequencyScale": {"checked": False, "value": 0},
    "embedding.load.llama.keepModelInMemory": False,
    "embedding.load.llama.tryMmap": True,
}

_POCKET: Final[Config] = {
    # A model of a million parameters has no spare certainty: sampling and penalties, which make
    # a large model lively, make this one misspell.
    "llm.prediction.temperature": 0.0,
    "llm.prediction.repeatPenalty": {"checked": False, "value": 1.1},
}


def model_defaults(model_key: str) -> dict[str, Any]:
    """What a model itself suggests; it lies between the server's defaults and the client's."""
    return dict(_POCKET) if model_key in ("pocket", "pocket-think") else {}
