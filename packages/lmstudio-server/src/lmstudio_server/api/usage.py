"""How much memory a model will take, before it is loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lmstudio_server.library import GgufError, GgufHeader, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.library import ModelFile

__all__ = ["cache_bytes_per_token", "estimate_usage", "physical_memory"]

_CACHE_ELEMENT_BYTES = 2
_CACHE_SHARE_PER_TOKEN = 0.12 / 4096
"""Where the header does not tell: bytes of cache a token, as a share of the weights. Typical of
models with grouped attention and quantized weights."""


def estimate_usage(file: ModelFile, load_config: Mapping[str, Any]) -> dict[str, Any]:
    """An ``estimatedResourcesUsage``: the weights as they are on disk, and the attention cache."""
    context = int(load_config.get(f"{file.kind}.load.contextLength", 2048))
    model_bytes = file.size_bytes
    if file.mmproj is not None:
        model_bytes += file.mmproj.stat().st_size
    per_token = _measured(file)
    context_bytes = int(context * (per_token or file.size_bytes * _CACHE_SHARE_PER_TOKEN))
    total = model_bytes + context_bytes
    available = physical_memory()
    return {
        "memory": {
            "confidence": "low" if per_token is None else "high",
            "modelVramBytes": 0,
            "contextVramBytes": 0,
            "totalVramBytes": 0,
            "modelBytes": model_bytes,
            "contextBytes": context_bytes,
            "totalBytes": total,
        },
        "passesGuardrails": available is None or total <= available,
    }


def cache_bytes_per_token(header: GgufHeader) -> int | None:
    """Bytes of attention cache a token takes, from a model's dimensions; ``None``: not told."""
    architecture = header.text("general.architecture")
    names = ("block_count", "embedding_length", "attention.head_count")
    layers, width, heads = (header.integer(f"{architecture}.{name}") for name in names)
    if not layers or not width or not heads:
        return None
    shared = header.integer(f"{architecture}.attention.head_count_kv") or heads
    size = sum(
        header.integer(f"{architecture}.attention.{name}") or width // heads
        for name in ("key_length", "value_length")
    )
    return layers * shared * size * _CACHE_ELEMENT_BYTES


def physical_memory() -> int | None:
    """The machine's memory in bytes, where the system tells it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _measured(file: ModelFile) -> int | None:
    try:
        return cache_bytes_per_token(read_header(file.file))
    except (GgufError, OSError):
        return None
