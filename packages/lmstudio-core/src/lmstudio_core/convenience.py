"""Functions on the default client, for programs that need no client of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from .default import get_default_client

if TYPE_CHECKING:
    from lmstudio_embed import DownloadedEmbeddingModel, EmbeddingModel
    from lmstudio_llm import LLM, DownloadedLlm

    from .files import FileHandle, LocalFileInput

__all__ = ["list_downloaded_models", "list_loaded_models", "prepare_image"]


@overload
def list_downloaded_models(namespace: Literal["llm"]) -> list[DownloadedLlm]: ...
@overload
def list_downloaded_models(namespace: Literal["embedding"]) -> list[DownloadedEmbeddingModel]: ...
@overload
def list_downloaded_models(namespace: str | None = None) -> list[Any]: ...
def list_downloaded_models(namespace: str | None = None) -> list[Any]:
    """All models downloaded to the default client's server.

    Args:
        namespace: ``"llm"`` or ``"embedding"`` for only those.
    """
    return get_default_client().list_downloaded_models(namespace)


@overload
def list_loaded_models(namespace: Literal["llm"]) -> list[LLM]: ...
@overload
def list_loaded_models(namespace: Literal["embedding"]) -> list[EmbeddingModel]: ...
@overload
def list_loaded_models(namespace: str | None = None) -> list[Any]: ...
def list_loaded_models(namespace: str | None = None) -> list[Any]:
    """Handles of all models loaded on the default client's server.

    Args:
        namespace: ``"llm"`` or ``"embedding"`` for only those.
    """
    return get_default_client().list_loaded_models(namespace)


def prepare_image(src: LocalFileInput, name: str | None = None) -> FileHandle:
    """Send an image to the default client's server, for use in chats.

    Args:
        src: A path, the image's bytes, or a binary file object. JPEG, PNG or WebP.
        name: What to call it; by default the file's name.
    """
    return get_default_client().prepare_image(src, name)
