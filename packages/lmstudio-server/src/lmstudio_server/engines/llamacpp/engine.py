"""Loading GGUF files with llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.plugins.installed import version_of_distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmstudio_server.engines.base import LoadRequest
    from lmstudio_server.library import ModelFile

    from .model import LlamaCppModel


class LlamaCppEngine:
    """llama.cpp, through the package ``xllamacpp``, in one process per loaded model."""

    def __init__(self) -> None:
        self.name = "llama.cpp"
        self.version: str = version_of_distribution("xllamacpp") or "not installed"

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
        # A server makes its engines when it starts, and need not load a model then.
        from .model import LlamaCppModel
        from .starting import fitted, start_generator

        on_progress(0.0)
        request = fitted(request)
        model = LlamaCppModel(await start_generator(request, on_progress), request)
        on_progress(1.0)
        return model
