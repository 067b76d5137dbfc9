"""Embedding models through the default client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from typing_extensions import Unpack

from lmstudio_core.client.default import get_default_client
from lmstudio_core.models.operations import DEFAULT_TTL, LoadProgressCallback
from lmstudio_core.program.tracebacks import short
from lmstudio_core.timeouts import CallLimits

if TYPE_CHECKING:
    from .config import EmbeddingLoadConfigInput
    from .models import EmbeddingModel

_HINTS: Final = {"EmbeddingLoadConfigInput": "lmstudio_embed.config:EmbeddingLoadConfigInput"}


@short
def embedding_model(
    model_key: str | None = None,
    /,
    *,
    ttl: int | None = DEFAULT_TTL,
    config: EmbeddingLoadConfigInput | None = None,
    on_load_progress: LoadProgressCallback | None = None,
    device: str | None = None,
    **limits: Unpack[CallLimits],
) -> EmbeddingModel:  # public
    """Get an embedding model through the default client; it is loaded if it is not loaded yet.

    Args:
        model_key: Which model; without it, any that is loaded.
        ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
            keeps it. Ignored if the model is loaded already, as is ``config``.
        config: How to load it: a config object or a dict.
        on_load_progress: Called with the progress, rising from 0.0 to 1.0.
        device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
            ``None`` leaves it to the server.
        **limits: ``timeout`` and ``idle_timeout``; see ``CallLimits``.

    Returns:
        The loaded model.

    Raises:
        LMStudioModelNotFoundError: No such model is downloaded, or (without a key) none is loaded.
        LMStudioConnectionError: No server was found.

    Example:
        >>> len(embedding_model("pocket-embedding").embed("Hello, world!"))
        128
    """
    return get_default_client().embedding.model(
        model_key,
        ttl=ttl,
        config=config,
        on_load_progress=on_load_progress,
        device=device,
        **limits,
    )
