"""What this server asks of the package ``xllamacpp``, tried without loading a model.

Its versions are not limited from above, so that a newer llama.cpp needs no release of this server. That
one fits is shown here: by ``lmstudio doctor`` on a user's machine, and by the tests with ``--latest``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.engines.base import Draft, LoadRequest

from .options import worker_options
from .worker import import_library, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CACHE_TYPES", "check", "samples"]

CACHE_TYPES: Final = ("f32", "f16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""All that a model may be loaded with; a test compares."""


def samples() -> Iterator[dict[str, Any]]:
    """Options of a worker that together set everything it can set."""
    path = Path("model.gguf")
    everything = LoadRequest(
        path,
        flash_attention=True,
        gpu_layers=1,
        rope_frequency_base=1.0,
        rope_frequency_scale=1.0,
        mmproj=path,
        cpu_expert_ratio=1.0,
        context_checkpoints=1,
        draft=Draft(path),
    )
    requests = [
        everything,
        LoadRequest(path, kind="embedding"),
        LoadRequest(path, use_mmap=False),
        LoadRequest(path, keep_in_memory=True),
        LoadRequest(path, keep_in_memory=True, use_mmap=False),
        LoadRequest(path, direct_io=True),
        *(LoadRequest(path, cache_type_k=one, cache_type_v=one) for one in CACHE_TYPES),
    ]
    for request in requests:
        yield dict(
            worker_options(request, threads=1, host="127.0.0.1", port=0, api_key="key", blocks=2)
        )


def check() -> None:
    """Fill llama.cpp's parameters with all that is ever set.

    Raises:
        AttributeError, TypeError: This ``xllamacpp`` lacks something.
        ImportError: There is none.
    """
    library = import_library()
    for options in samples():
        parameters(options, library)
    if not callable(library.Server):
        raise TypeError("xllamacpp.Server cannot be called")
