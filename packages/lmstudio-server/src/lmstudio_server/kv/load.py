"""From load configuration to what an engine is asked to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server.engines.base import LoadRequest

from . import stack
from .defaults import EMBEDDING_LOAD_DEFAULTS, LLM_LOAD_DEFAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from .stack import Config

__all__ = ["effective_load_config", "load_request"]

Kind = Literal["llm", "embedding"]

_NUMERIC: dict[str, tuple[float, float]] = {
    "contextLength": (1, 2**31 - 1),
    "numParallelSessions": (1, 1023),
    "llama.evalBatchSize": (1, 2**31 - 1),
}


def effective_load_config(kind: Kind, client: Config, max_context: int) -> dict[str, Any]:
    """The defaults with the client's wishes over them, as ``getLoadConfig`` reports it.

    A context length that the model was not made for is lowered to the largest it knows.
    """
    prefix = f"{kind}.load."
    merged = dict(LLM_LOAD_DEFAULTS if kind == "llm" else EMBEDDING_LOAD_DEFAULTS)
    for key, value in client.items():
        bounds = _NUMERIC.get(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if bounds is not None and stack.integer(value, *bounds) is None:
            continue
        if key.startswith((prefix, "load.")):
            merged[key] = value
    context = prefix + "contextLength"
    if max_context > 0:
        merged[context] = min(int(merged[context]), max_context)
    return merged


def load_request(kind: Kind, config: Config, path: Path, mmproj: Path | None = None) -> LoadRequest:
    """What the engine is asked for, from an effective load configuration."""
    prefix = f"{kind}.load."

    def value(key: str) -> Any:
        return config.get(prefix + key)

    threads = stack.integer(value("llama.cpuThreadPoolSize"), 1, 4096)
    return LoadRequest(
        path=path,
        kind=kind,
        context_length=stack.integer(value("contextLength"), 1) or 2048,
        parallel=stack.integer(value("numParallelSessions"), 1, 1023) or 4,
        batch_size=stack.integer(value("llama.evalBatchSize"), 1) or 256,
        threads=threads,
        use_mmap=stack.boolean(value("llama.tryMmap")) is not False,
        flash_attention=stack.boolean(value("llama.flashAttention")) is True,
        gpu_layers=_gpu_layers(value("llama.acceleration.offloadRatio")),
        seed=_checked(value("seed"), 0),
        rope_frequency_base=_checked_number(value("llama.ropeFrequencyBase")),
        rope_frequency_scale=_checked_number(value("llama.ropeFrequencyScale")),
        mmproj=mmproj,
    )


def _gpu_layers(ratio: Any) -> int | None:
    # How many layers a share of them is, only the engine can know; its own choice is as good.
    if ratio == "off" or stack.number(ratio, 0, 0) is not None:
        return 0
    return -1 if stack.number(ratio, 1, 1) is not None else None


def _checked(value: Any, low: int) -> int | None:
    checked, inner = stack.checkbox(value)
    return stack.integer(inner, low) if checked else None


def _checked_number(value: Any) -> float | None:
    checked, inner = stack.checkbox(value)
    found = stack.number(inner, 0) if checked else None
    return found or None
