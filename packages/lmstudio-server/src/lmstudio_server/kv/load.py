"""From load configuration to what an engine is asked to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server.engines.base import LoadRequest

from . import stack
from .defaults import EMBEDDING_LOAD_DEFAULTS, LLM_LOAD_DEFAULTS
from .values import CACHE_TYPES, WHOLE_CACHE_TYPES, usable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmstudio_server.engines.base import Draft

    from .stack import Config

__all__ = ["effective_load_config", "load_request"]

Kind = Literal["llm", "embedding"]


def effective_load_config(kind: Kind, client: Config, max_context: int) -> dict[str, Any]:
    """The defaults with the client's wishes over them, as ``getLoadConfig`` reports it.

    A context length that the model was not made for is lowered to the largest it knows.

    Args:
        kind: ``"llm"`` or ``"embedding"``.
        client: The client's wishes by key.
        max_context: The longest context that the model is made for, in tokens.
    """
    prefix = f"{kind}.load."
    merged = dict(LLM_LOAD_DEFAULTS if kind == "llm" else EMBEDDING_LOAD_DEFAULTS)
    given = usable(client)[0].items()
    merged |= {key: value for key, value in given if key.startswith((prefix, "load."))}
    context = prefix + "contextLength"
    if max_context > 0:
        merged[context] = min(int(merged[context]), max_context)
    return merged


def load_request(
    kind: Kind,
    config: Config,
    path: Path,
    mmproj: Path | None = None,
    *,
    draft: Draft | None = None,
) -> LoadRequest:
    """What the engine is asked for, from an effective load configuration.

    Args:
        kind: ``"llm"`` or ``"embedding"``.
        config: The effective load configuration by key.
        path: The model's file.
        mmproj: The file by which it sees; ``None`` if it cannot.
        draft: The draft model, if there is one.
    """
    prefix = f"{kind}.load."

    def value(key: str) -> Any:
        return config.get(prefix + key)

    def on(key: str) -> bool:
        return stack.boolean(value(key)) is True

    def off(key: str) -> bool:
        return stack.boolean(value(key)) is False

    own_precision = "f32" if off("llama.useFp16ForKVCache") else "f16"
    return LoadRequest(
        path=path,
        kind=kind,
        context_length=stack.integer(value("contextLength"), 1) or 2048,
        parallel=stack.integer(value("numParallelSessions"), 1, 1023) or 4,
        batch_size=stack.integer(value("llama.evalBatchSize"), 1) or 256,
        threads=stack.integer(value("llama.cpuThreadPoolSize"), 1, 4096),
        use_mmap=not off("llama.tryMmap"),
        # Without it, llama.cpp cannot keep the cache's values in fewer bits.
        flash_attention=on("llama.flashAttention")
        or _cache_type(value, "v", "f16") not in WHOLE_CACHE_TYPES,
        gpu_ratio=_ratio(value("llama.acceleration.offloadRatio"), most=None),
        seed=_checked(value("seed"), 0),
        rope_frequency_base=_checked_number(value("llama.ropeFrequencyBase")),
        rope_frequency_scale=_checked_number(value("llama.ropeFrequencyScale")),
        mmproj=mmproj,
        physical_batch_size=stack.integer(value("llama.physicalBatchSize"), 1) or 512,
        unified_cache=not off("useUnifiedKvCache"),
        keep_in_memory=on("llama.keepModelInMemory"),
        direct_io=on("llama.tryDirectIO"),
        cache_type_k=_cache_type(value, "k", own_precision),
        cache_type_v=_cache_type(value, "v", own_precision),
        offload_cache=not off("offloadKVCacheToGpu"),
        cpu_expert_ratio=_ratio(value("numCpuExpertLayersRatio"), most=1.0) or 0.0,
        context_checkpoints=stack.integer(value("llama.contextCheckpoints"), 0),
        reasoning_budget_message=_text(value("llama.reasoningBudgetMessage")),
        draft=draft,
    )


def _cache_type(value: Callable[[str], Any], half: str, default: str) -> str:
    checked, name = stack.checkbox(value(f"llama.{half}CacheQuantizationType"))
    return name if checked and name in CACHE_TYPES else default


def _ratio(value: Any, *, most: float | None) -> float | None:
    """A share from 0 to 1; ``most`` is what "max" means."""
    if value == "off":
        return 0.0
    return most if value == "max" else stack.number(value, 0, 1)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _checked(value: Any, low: int) -> int | None:
    checked, inner = stack.checkbox(value)
    return stack.integer(inner, low) if checked else None


def _checked_number(value: Any) -> float | None:
    checked, inner = stack.checkbox(value)
    found = stack.number(inner, 0) if checked else None
    return found or None
