"""From a load request to the worker's options. No I/O but a look at the machine's cores."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmstudio_server.engines.base import LoadRequest

SMALL_MODEL_BYTES = 100_000_000
"""Below this size one thread is fastest: waiting for each other costs more than the work."""

CACHE_RAM_MIB = 32
"""Prompts kept in memory beside the slots' own. llama.cpp's default of 8 GiB is not ours to take."""

ALL_LAYERS = 999
"""More layers than any model has: llama.cpp takes it as "all"."""

CORE_FOLDERS = Path("/sys/devices/system/cpu")


def physical_cores(folder: Path = CORE_FOLDERS) -> int:
    """Count the physical cores this process may use; where unknown, the logical ones.

    Two threads on one core's hyper-threads slow llama.cpp down.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    usable: set[int] = affinity(0) if affinity is not None else set(range(os.cpu_count() or 1))
    siblings: set[str] = set()
    for number in usable:
        try:
            text = (folder / f"cpu{number}" / "topology" / "thread_siblings_list").read_text()
        except OSError:
            return len(usable)
        siblings.add(text.strip())
    return max(1, len(siblings))


def choose_threads(request: LoadRequest, model_bytes: int, cores: int) -> int:
    """Return how many threads compute: what was asked for, one for a tiny model, else all cores."""
    if request.threads is not None:
        return max(1, request.threads)
    return 1 if model_bytes < SMALL_MODEL_BYTES else cores


def worker_options(
    request: LoadRequest,
    *,
    threads: int,
    host: str,
    port: int,
    api_key: str | None,
    own_pooling: bool = False,
) -> Mapping[str, Any]:
    """Return the options for ``worker.py``, ready for JSON.

    Args:
        request: What to load and how.
        threads: How many threads compute.
        host: The path of a unix socket, or an address to listen on.
        port: The port to listen on (0: any); without meaning for a socket.
        api_key: What clients have to show; ``None``: nothing.
        own_pooling: Whether the file says how its embeddings are pooled; otherwise by their mean.
    """
    embedding = request.kind == "embedding"
    # A text is embedded in one batch, so the batch has to hold the longest one allowed.
    batch = request.context_length if embedding else request.batch_size
    gpu_layers = ALL_LAYERS if request.gpu_layers == -1 else request.gpu_layers
    return {
        "model": str(request.path),
        "mmproj": None if request.mmproj is None else str(request.mmproj),
        "embedding": embedding,
        "pooling_mean": embedding and not own_pooling,
        "host": host,
        "port": port,
        "api_keys": [] if api_key is None else [api_key],
        "context_length": request.context_length,
        # Chats share one cache: each may use the whole context when it is alone. Texts to embed come
        # in bursts, and one that fits alone must not fail for its neighbours; giving each a cache of
        # its own made llama.cpp pool over a part of a text. So they are embedded one by one.
        "parallel": 1 if embedding else request.parallel,
        "batch_size": batch,
        "physical_batch_size": batch if embedding else min(batch, 512),
        "threads": threads,
        # A stream holds a thread while it runs; the rest are for tokenizing meanwhile.
        "http_threads": request.parallel + 4,
        "cache_ram_mib": CACHE_RAM_MIB,
        "use_mmap": request.use_mmap,
        "flash_attention": request.flash_attention,
        "context_shift": request.context_shift,
        "gpu_layers": gpu_layers,
        "rope_frequency_base": request.rope_frequency_base,
        "rope_frequency_scale": request.rope_frequency_scale,
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
