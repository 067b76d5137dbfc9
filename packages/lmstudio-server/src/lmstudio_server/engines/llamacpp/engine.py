"""Loading GGUF files with llama.cpp."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import EngineError
from lmstudio_server.library.gguf import GgufError, GgufHeader, read_header

from .model import LlamaCppModel
from .supervisor import Worker
from .transport import WorkerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lmstudio_server.engines.base import LoadRequest
    from lmstudio_server.library import ModelFile


class LlamaCppEngine:
    """llama.cpp, through the package ``xllamacpp``, in one process per loaded model."""

    def __init__(self) -> None:
        self.name = "llama.cpp"
        try:
            self.version = version("xllamacpp")
        except PackageNotFoundError:
            self.version = "not installed"

    @property
    def formats(self) -> frozenset[str]:
        """GGUF files only."""
        return frozenset({"gguf"})

    def offered(self) -> Sequence[ModelFile]:
        """None: its models are files, which the library finds."""
        return ()

    async def load(
        self, request: LoadRequest, on_progress: Callable[[float], None]
    ) -> LlamaCppModel:
        """Load a model and return it, ready to be asked.

        Args:
            request: The file and how to load it. For an embedding model ``context_length`` is also
                the longest text it embeds, in tokens.
            on_progress: Called with 0.0 to 1.0, never going back; with ``use_mmap`` there is little
                between, as the system reads the file only when it is needed.
        Raises:
            EngineError: the file is missing, damaged or not supported (``cause`` has llama.cpp's
                words), or llama.cpp itself cannot start.

        Cancelling the awaiting task ends the process.
        """
        for path in (request.path, request.mmproj):
            if path is not None and not path.is_file():
                raise EngineError(
                    f"Could not load {path.name}",
                    cause=f"there is no file {path}",
                    suggestion="Check the model's folder, or download the model again.",
                )
        on_progress(0.0)
        header = _header(request.path)
        request = _within_training(request, header)
        worker = await Worker.start(request, on_progress, own_pooling=_pools(header))
        try:
            client = WorkerClient(worker.address)
            properties = await client.get("/props")
            model = LlamaCppModel(worker, client, request, properties)
        except BaseException:
            await worker.stop()
            raise
        on_progress(1.0)
        return model


def _header(path: Path) -> GgufHeader | None:
    """Return the file's header; what is wrong with a damaged one llama.cpp says better."""
    try:
        return read_header(path)
    except (GgufError, OSError):
        return None


def _pools(header: GgufHeader | None) -> bool:
    """Whether the file says how its embeddings are pooled."""
    if header is None:
        return False
    return header.integer(f"{header.text('general.architecture')}.pooling_type") is not None


def _within_training(request: LoadRequest, header: GgufHeader | None) -> LoadRequest:
    """Return ``request`` with no longer context than an embedding model was trained with.

    Such models have one vector per position, and none for the positions after.
    """
    if request.kind != "embedding" or header is None:
        return request
    trained = header.integer(f"{header.text('general.architecture')}.context_length")
    if not trained or trained >= request.context_length:
        return request
    return replace(request, context_length=trained)
