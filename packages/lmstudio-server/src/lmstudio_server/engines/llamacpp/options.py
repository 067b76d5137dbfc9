"""From a load request to the worker's options. No I/O but a look at the machine's cores."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.engines.base import Draft, LoadRequest

SMALL_MODEL_BYTES = 100_000_000
"""Below this size one thread is fastest: waiting for each other costs more than the work."""

CACHE_RAM_MIB = 32
"""Prompts kept in memory beside the slots' own. llama.cpp's default of 8 GiB is not ours to take."""

LEAST_BATCH = 16
CONTEXT_STEP = 256

ALL_LAYERS = 999
"""More layers than any model has: llama.cpp takes it as "all"."""

CORE_FOLDERS = Path("/sys/devices/system/cpu")


def usable_processors() -> set[int]:
    """The numbers of the logical processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity is not None else set(range(os.cpu_count() or 1))


def physical_cores(folder: Path = CORE_FOLDERS) -> int:
    """Count the physical cores this process may use; where unknown, the logical ones.

    Two threads on one core's hyper-threads slow llama.cpp down.
    """
    usable = usable_processors()
    siblings: set[str] = set()
    for number in usable:
        try:
            text = (folder / f"cpu{number}" / "topology" / "thread_siblings_list").read_text()
        except OSError:
            return len(usable)
        siblings.add(text.strip())
    return max(1, len(siblings))


def choose_threads(request: LoadRequest, model_bytes: int, cores: int) -> int:
    """Return how many threads compute: what was asked for, one for a tiny model, else all cores.

    More than there are processors would wait for each other nearly all of the time.

    Args:
        request: How the model is to be loaded.
        model_bytes: The size of its file.
        cores: The physical cores of the machine.
    """
    if request.threads is not None:
        return max(1, min(request.threads, len(usable_processors())))
    return 1 if model_bytes < SMALL_MODEL_BYTES else cores


def worker_options(
    request: LoadRequest,
    *,
    threads: int,
    host: str,
    port: int,
    api_key: str | None,
    own_pooling: bool = False,
    blocks: int | None = None,
) -> Mapping[str, Any]:
    """Return the options for ``worker.py``, ready for JSON.

    Args:
        request: What to load and how.
        threads: How many threads compute.
        host: The path of a unix socket, or an address to listen on.
        port: The port to listen on (0: any); without meaning for a socket.
        api_key: What clients have to show; ``None``: nothing.
        own_pooling: Whether the file says how its embeddings are pooled; otherwise by their mean.
        blocks: How many blocks of layers the model has, where its file says so.
    """
    embedding = request.kind == "embedding"
    # A text is embedded in one batch, so the batch has to hold the longest one allowed.
    batch = request.context_length if embedding else max(request.batch_size, least_batch(request))
    unified = embedding or request.unified_cache
    context = request.context_length if embedding else whole_steps(request.context_length)
    gpu_layers = ALL_LAYERS if request.gpu_layers == -1 else request.gpu_layers
    return {
        "model": str(request.path),
        "mmproj": None if request.mmproj is None else str(request.mmproj),
        "embedding": embedding,
        "pooling_mean": embedding and not own_pooling,
        "host": host,
        "port": port,
        "api_keys": [] if api_key is None else [api_key],
        # Chats share one cache, of which each may use the whole when it is alone, or have one each.
        # Texts to embed are embedded one by one: llama.cpp pools over a part of a text where it cuts
        # a batch of several, and in one common cache a text that fits alone fails for its neighbours.
        # Several in one request, or at once in one cache, were not faster: 150 short texts a second
        # with all-MiniLM-L6-v2 on one core either way.
        "context_length": context * (1 if unified else request.parallel),
        "unified_cache": unified,
        "parallel": 1 if embedding else request.parallel,
        "batch_size": batch,
        "physical_batch_size": batch
        if embedding
        else min(batch, max(request.physical_batch_size, least_batch(request))),
        "threads": threads,
        # A stream holds a thread while it runs; the rest are for tokenizing meanwhile.
        "http_threads": request.parallel + 4,
        "cache_ram_mib": CACHE_RAM_MIB,
        "flash_attention": request.flash_attention,
        # A generation that is to stop at the end of the context is stopped on our side.
        "context_shift": not embedding,
        "load_mode": load_mode(request),
        "cache_type_k": request.cache_type_k,
        "cache_type_v": request.cache_type_v,
        "offload_cache": request.offload_cache,
        "cpu_experts": cpu_experts(request.cpu_expert_ratio, blocks),
        "context_checkpoints": request.context_checkpoints,
        "draft": None if request.draft is None else _draft(request.draft),
        "gpu_layers": gpu_layers,
        "rope_frequency_base": request.rope_frequency_base,
        "rope_frequency_scale": request.rope_frequency_scale,
    }


def least_batch(request: LoadRequest) -> int:
    """Return the smallest batch llama.cpp works with: a token, and drafts, of each at once."""
    drafted = 0 if request.draft is None else request.draft.max_tokens
    return max(LEAST_BATCH, request.parallel * (1 + drafted))


def whole_steps(context_length: int) -> int:
    """Return the context as llama.cpp rounds it up; a shorter one can end its process."""
    return -(-context_length // CONTEXT_STEP) * CONTEXT_STEP


def load_mode(request: LoadRequest) -> str:
    """Return how the file comes into memory, as the end of llama.cpp's name for it."""
    if request.direct_io:
        return "DIRECT_IO"
    if request.keep_in_memory:
        return "MMAP_MLOCK" if request.use_mmap else "MLOCK"
    return "MMAP" if request.use_mmap else "NONE"


def cpu_experts(ratio: float, blocks: int | None) -> str:
    """Return llama.cpp's rule that keeps the experts of a share of the blocks on the CPU."""
    if ratio <= 0 or not blocks:
        return ""
    numbers = "|".join(str(number) for number in range(round(ratio * blocks)))
    return rf"blk\.({numbers})\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU" if numbers else ""


def _draft(draft: Draft) -> Mapping[str, Any]:
    return {
        "model": str(draft.path),
        "max_tokens": draft.max_tokens,
        "min_tokens": draft.min_tokens,
        "min_probability": draft.min_probability,
    }


def parse_address(address: str) -> tuple[str | None, int]:
    """Split the address a worker reports into a socket path or a port on 127.0.0.1.

    Returns:
        ``(path, 0)`` for a unix socket, ``(None, port)`` for TCP.

    Raises:
        ValueError: the address is neither.
    """
    if address.startswith("unix://"):
        return address.removeprefix("unix://"), 0
    match = re.search(r":(\d+)/?$", address)
    if match is None:
        raise ValueError(f"not an address of a worker: {address!r}")
    return None, int(match.group(1))
