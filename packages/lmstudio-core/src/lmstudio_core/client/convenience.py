"""Functions on the default client, for programs that need no client of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, overload

from typing_extensions import Unpack

from ..program.tracebacks import short
from ..timeouts import CallLimits
from .default import get_default_client

if TYPE_CHECKING:
    from lmstudio_embed import DownloadedEmbeddingModel, EmbeddingModel
    from lmstudio_llm import LLM, DownloadedLlm

    from ..files.handles import FileHandle, LocalFileInput
    from ..models.downloaded import DownloadedModel
    from ..models.handles import SyncModelHandle
    from ..models.specifiers import ModelDomain

_HINTS: Final = {"ModelDomain": "lmstudio_core.models.specifiers:ModelDomain"}


@overload
def list_downloaded_models(
    namespace: Literal["llm"], **limits: Unpack[CallLimits]
) -> list[DownloadedLlm]: ...
@overload
def list_downloaded_models(
    namespace: Literal["embedding"], **limits: Unpack[CallLimits]
) -> list[DownloadedEmbeddingModel]: ...
@overload
def list_downloaded_models(
    namespace: None = None, **limits: Unpack[CallLimits]
) -> list[DownloadedModel]: ...
@short
def list_downloaded_models(
    namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
) -> list[Any]:  # public
    """All models downloaded to the default client's server.

    Args:
        namespace: ``"llm"`` or ``"embedding"`` for only those.
        **limits: ``timeout`` and ``idle_timeout``, in seconds.

    Example:
        >>> [found.model_key for found in list_downloaded_models("embedding")]
        ['pocket-embedding']
    """
    return get_default_client().list_downloaded_models(namespace, **limits)


@overload
def list_loaded_models(namespace: Literal["llm"], **limits: Unpack[CallLimits]) -> list[LLM]: ...
@overload
def list_loaded_models(
    namespace: Literal["embedding"], **limits: Unpack[CallLimits]
) -> list[EmbeddingModel]: ...
@overload
def list_loaded_models(
    namespace: None = None, **limits: Unpack[CallLimits]
) -> list[SyncModelHandle]: ...
@short
def list_loaded_models(
    namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
) -> list[Any]:  # public
    """Handles of all models loaded on the default client's server.

    Args:
        namespace: ``"llm"`` or ``"embedding"`` for only those.
        **limits: ``timeout`` and ``idle_timeout``, in seconds.

    Example:
        >>> [handle.identifier for handle in list_loaded_models("llm")]
        ['pocket']
    """
    return get_default_client().list_loaded_models(namespace, **limits)


@short
def prepare_image(
    src: LocalFileInput, name: str | None = None, **limits: Unpack[CallLimits]
) -> FileHandle:  # public
    """Send an image to the default client's server, for use in chats.

    Args:
        src: A path, the image's bytes, or a binary file object. JPEG, PNG or WebP.
        name: What to call it; by default the file's name.
        **limits: ``timeout`` and ``idle_timeout``, in seconds.

    Example:
        >>> handle = prepare_image("cat.png")  # doctest: +SKIP
        >>> chat.add_user_message("What is this?", images=[handle])  # doctest: +SKIP
    """
    return get_default_client().prepare_image(src, name, **limits)
