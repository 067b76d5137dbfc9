"""How much memory a model will take, before it is loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lmstudio_server.kv.load import load_request
from lmstudio_server.library import GgufError, GgufHeader, read_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.library import ModelFile

__all__ = ["cache_bytes_per_token", "estimate_usage", "physical_memory"]

_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""What an element of the cache takes."""
_CACHE_SHARE_PER_TOKEN = 0.12 / 4096
"""Where the header does not tell: bytes of cache a token, as a share of the weights. Typical of
models with grouped attention and quantized weights."""


def estimate_usage(file: ModelFile, load_config: Mapping[str, Any]) -> dict[str, Any]:
    """An ``estimatedResourcesUsage``: the weights as they are on disk, and the attention cache."""
    request = load_request(file.kind, load_config, file.file)
    caches = 1 if request.unified_cache or file.kind == "embedding" else request.parallel
    context = request.context_length * caches
    model_bytes = file.size_bytes
    if file.mmproj is not None:
        model_bytes += file.mmproj.stat().st_size
    width = (_BYTES[request.cache_type_k], _BYTES[request.cache_type_v])
    per_token = _measured(file, width)
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


def cache_bytes_per_token(
    header: GgufHeader, element_bytes: tuple[float, float] = (2, 2)
) -> float | None:
    """Bytes of attention cache a token takes, from a model's dimensions; ``None``: not told.

    ``element_bytes`` are those of an element of the keys, and of the values.
    """
    architecture = header.text("general.architecture")
    names = ("block_count", "embedding_length", "attention.head_count")
    layers, width, heads = (header.integer(f"{architecture}.{name}") for name in names)
    if not layers or not width or not heads:
        return None
    shared = header.integer(f"{architecture}.attention.head_count_kv") or heads
    lengths = (
        header.integer(f"{architecture}.attention.{name}") or width // heads
        for name in ("key_length", "value_length")
    )
    size = sum(length * each for length, each in zip(lengths, element_bytes, strict=True))
    return layers * shared * size


def physical_memory() -> int | None:
    """The machine's memory in bytes, where the system tells it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _measured(file: ModelFile, element_bytes: tuple[float, float]) -> float | None:
    try:
        return cache_bytes_per_token(read_header(file.file), element_bytes)
    except (GgufError, OSError):
        return None
