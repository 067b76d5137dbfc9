"""From a load request to a worker that is ready to be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .generation import Generator
from .headers import header_of, number_of
from .supervisor import Worker
from .transport import ConnectionLostError, WorkerClient
from .vocabulary import check_draft

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmstudio_server.engines.base import LoadRequest


def fitted(request: LoadRequest) -> LoadRequest:
    """Return ``request`` as the model's file allows it.

    An embedding model has one vector per position, and none for positions it was not trained with;
    how many layers a share of them is, the file says, too.

    Raises:
        EngineError: the file is not there, or damaged.
    """
    header = header_of(request.path)
    if request.kind == "embedding":
        trained = number_of(header, "context_length")
        if trained and 0 < trained < request.context_length:
            request = replace(request, context_length=trained)
    if request.gpu_layers is None and request.gpu_ratio is not None:
        layers = layers_of_ratio(request.gpu_ratio, number_of(header, "block_count"))
        request = replace(request, gpu_layers=layers)
    return request


async def start_generator(request: LoadRequest, on_progress: Callable[[float], None]) -> Generator:
    """Start a worker for ``request``; cancelling ends it.

    Raises:
        EngineError: a file is missing, damaged or not supported, or llama.cpp cannot start.
    """
    if request.mmproj is not None:
        header_of(request.mmproj)
    if request.draft is not None:
        check_draft(request.path, request.draft.path)
    header = header_of(request.path)
    worker = await Worker.start(
        request,
        on_progress,
        own_pooling=number_of(header, "pooling_type") is not None,
        blocks=number_of(header, "block_count"),
    )
    client = WorkerClient(worker.address)
    try:
        try:
            properties = await client.get("/props")
        except ConnectionLostError as error:
            raise await worker.lost(request.path.name, error) from error
        return Generator(worker, client, request, properties)
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
