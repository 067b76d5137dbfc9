"""How much memory a model will take, before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.library import ModelFile

__all__ = ["estimate_usage", "physical_memory"]

_CACHE_SHARE = 0.12
"""Bytes of attention cache per 4096 tokens, as a share of the weights: typical of models with
grouped attention and quantized weights."""


def estimate_usage(file: ModelFile, load_config: Mapping[str, Any]) -> dict[str, Any]:
    """An ``estimatedResourcesUsage``: the weights as they are on disk, the context by rule of thumb."""
    context = int(load_config.get(f"{file.kind}.load.contextLength", 2048))
    model_bytes = file.size_bytes
    if file.mmproj is not None:
        model_bytes += file.mmproj.stat().st_size
    context_bytes = int(file.size_bytes * _CACHE_SHARE * context / 4096)
    total = model_bytes + context_bytes
    available = physical_memory()
    return {
        "memory": {
            "confidence": "low",
            "modelVramBytes": 0,
            "contextVramBytes": 0,
            "totalVramBytes": 0,
            "modelBytes": model_bytes,
            "contextBytes": context_bytes,
            "totalBytes": total,
        },
        "passesGuardrails": available is None or total <= available,
    }


def physical_memory() -> int | None:
    """The machine's memory in bytes, where the system tells it."""
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
