"""Text embeddings through LM Studio's embedding models.

With this package installed, ``lmstudio.embedding_model`` and ``client.embedding`` work::

    import lmstudio_core as lms

    model = lms.embedding_model("nomic-embed-text-v1.5")
    vector = model.embed("Hello, world!")

Nothing heavy is imported before one of the names below is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.lazy import lazy_names

from .capability import CAPABILITY

if TYPE_CHECKING:
    from .config import EmbeddingLoadModelConfig, EmbeddingLoadModelConfigDict
    from .convenience import embedding_model
    from .downloaded import AsyncDownloadedEmbeddingModel, DownloadedEmbeddingModel
    from .errors import TextTooLongError
    from .models import AsyncEmbeddingModel, EmbeddingModel
    from .namespaces import AsyncEmbeddingNamespace, EmbeddingNamespace
    from .nearest import EmbeddingMatch, search, similarity
    from .options import Chunking
    from .streams import AsyncEmbeddingStream, EmbeddingStream

__version__ = "2.0.0"

__all__ = [
    "AsyncDownloadedEmbeddingModel",
    "AsyncEmbeddingModel",
    "AsyncEmbeddingNamespace",
    "AsyncEmbeddingStream",
    "Chunking",
    "DownloadedEmbeddingModel",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingMatch",
    "EmbeddingModel",
    "EmbeddingNamespace",
    "EmbeddingStream",
    "TextTooLongError",
    "embedding_model",
    "search",
    "similarity",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = lazy_names(__name__, CAPABILITY.exports)
