"""Text embeddings through LM Studio's embedding models.

With this package installed, ``lmstudio.embedding_model`` and ``client.embedding`` work::

    import lmstudio_core as lms

    model = lms.embedding_model("nomic-embed-text-v1.5")
    vector = model.embed("Hello, world!")

Nothing heavy is imported before one of the names below is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import EmbeddingLoadModelConfig, EmbeddingLoadModelConfigDict
    from .convenience import embedding_model
    from .downloaded import AsyncDownloadedEmbeddingModel, DownloadedEmbeddingModel
    from .kind import EMBEDDING_KIND
    from .models import AsyncEmbeddingModel, EmbeddingModel
    from .namespaces import AsyncEmbeddingNamespace, EmbeddingNamespace
    from .streams import AsyncEmbeddingStream, EmbeddingStream

__version__ = "2.0.0"

__all__ = [
    "EMBEDDING_KIND",
    "AsyncDownloadedEmbeddingModel",
    "AsyncEmbeddingModel",
    "AsyncEmbeddingNamespace",
    "AsyncEmbeddingStream",
    "DownloadedEmbeddingModel",
    "EmbeddingLoadModelConfig",
    "EmbeddingLoadModelConfigDict",
    "EmbeddingModel",
    "EmbeddingNamespace",
    "EmbeddingStream",
    "embedding_model",
]

_HOME = {
    "EMBEDDING_KIND": "kind",
    "AsyncDownloadedEmbeddingModel": "downloaded",
    "AsyncEmbeddingModel": "models",
    "AsyncEmbeddingNamespace": "namespaces",
    "AsyncEmbeddingStream": "streams",
    "DownloadedEmbeddingModel": "downloaded",
    "EmbeddingLoadModelConfig": "config",
    "EmbeddingLoadModelConfigDict": "config",
    "EmbeddingModel": "models",
    "EmbeddingNamespace": "namespaces",
    "EmbeddingStream": "streams",
    "embedding_model": "convenience",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
