"""From a load request to a worker that is ready to be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import EngineError
from lmstudio_server.library.gguf import GgufError, GgufHeader, read_header

from .generation import Generator
from .supervisor import Worker
from .transport import WorkerClient
from .vocabulary import check_draft

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmstudio_server.engines.base import LoadRequest


def fitted(request: LoadRequest) -> LoadRequest:
    """Return ``request`` as the model's file allows it.

    An embedding model has one vector per position, and none for positions it was not trained with;
    how many layers a share of them is, the file says, too.
    Raises:
        EngineError: one of the files is not there.
    """
    _need_files(request)
    header = header_of(request.path)
    if header is None:
        return request
    if request.kind == "embedding":
        trained = _architecture(header, "context_length")
        if trained and trained < request.context_length:
            request = replace(request, context_length=trained)
    if request.gpu_layers is None and request.gpu_ratio is not None:
        layers = layers_of_ratio(request.gpu_ratio, _architecture(header, "block_count"))
        request = replace(request, gpu_layers=layers)
    return request


async def start_generator(request: LoadRequest, on_progress: Callable[[float], None]) -> Generator:
    """Start a worker for ``request``; cancelling ends it.

    Raises:
        EngineError: a file is missing, damaged or not supported, or llama.cpp cannot start.
    """
    _need_files(request)
    if request.draft is not None:
        check_draft(request.path, request.draft.path)
    header = header_of(request.path)
    own_pooling = header is not None and _architecture(header, "pooling_type") is not None
    blocks = None if header is None else _architecture(header, "block_count")
    worker = await Worker.start(request, on_progress, own_pooling=own_pooling, blocks=blocks)
    try:
        client = WorkerClient(worker.address)
        return Generator(worker, client, request, await client.get("/props"))
    except BaseException:
        await worker.stop()
        raise


def layers_of_ratio(ratio: float, blocks: int | None) -> int | None:
    """Return how many layers a share of them is; ``None``, the engine's own choice, if unknown.

    The output layer counts as one, as llama.cpp counts.
    """
    if ratio <= 0:
        return 0
    if ratio >= 1:
        return -1
    return None if blocks is None else round(ratio * (blocks + 1))


def header_of(path: Path) -> GgufHeader | None:
    """Return the file's header; what is wrong with a damaged one llama.cpp says better."""
    try:
        return read_header(path)
    except (GgufError, OSError):
        return None


def _architecture(header: GgufHeader, key: str) -> int | None:
    return header.integer(f"{header.text('general.architecture')}.{key}")


def _need_files(request: LoadRequest) -> None:
    draft = None if request.draft is None else request.draft.path
    for path in (request.path, request.mmproj, draft):
        if path is not None and not path.is_file():
            raise EngineError(
                f"Could not load {path.name}",
                cause=f"there is no file {path}",
                suggestion="Check the model's folder, or download the model again.",
            )
