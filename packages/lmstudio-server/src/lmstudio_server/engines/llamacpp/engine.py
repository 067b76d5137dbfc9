"""Loading GGUF files with llama.cpp."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import EngineError, LoadRequest

from .model import LlamaCppModel
from .supervisor import Worker
from .transport import WorkerClient

if TYPE_CHECKING:
    from collections.abc import Callable


class LlamaCppEngine:
    """llama.cpp, through the package ``xllamacpp``, in one process per loaded model."""

    def __init__(self) -> None:
        self.name = "llama.cpp"
        try:
            self.version = version("xllamacpp")
        except PackageNotFoundError:
            self.version = "not installed"

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
        worker = await Worker.start(request, on_progress)
        try:
            client = WorkerClient(worker.address)
            properties = await client.get("/props")
            model = LlamaCppModel(worker, client, request, properties)
        except BaseException:
            await worker.stop()
            raise
        on_progress(1.0)
        return model
