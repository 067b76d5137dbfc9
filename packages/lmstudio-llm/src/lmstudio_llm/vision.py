"""Chats with images, and models that cannot see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from lmstudio_core.errors import LMStudioPredictionError, LMStudioServerError
from lmstudio_core.lenient import as_mapping
from lmstudio_core.models.operations import get_model_info
from lmstudio_core.protocol.operations import Op

from .kind import LLM_KIND

__all__ = ["LMStudioVisionError", "check_vision", "explained", "has_images"]

_ABOUT_IMAGES: Final = re.compile(r"image|vision|mmproj|multimodal", re.IGNORECASE)


class LMStudioVisionError(LMStudioPredictionError):  # public
    """A chat with images was given to a model that cannot see.

    ``server_error`` is what the server said, if it was the server who noticed.

    Example:
        >>> try:
        ...     result = model.respond("Hello")
        ... except LMStudioVisionError:
        ...     print("take a model that can see")
    """


def has_images(history: Mapping[str, Any]) -> bool:
    """Whether a chat in the server's form holds an image."""
    return any(
        as_mapping(part).get("fileType") == "image"
        for message in history.get("messages", ())
        for part in as_mapping(message).get("content", ())
    )


def check_vision(specifier: Mapping[str, Any]) -> Op[None]:
    """Ask the server whether the model can see.

    Raises:
        LMStudioVisionError: It says that it cannot.
    """
    info: Any = yield get_model_info(LLM_KIND, specifier)
    # Servers that do not say are asked for the prediction itself.
    if "vision" not in info.model_fields_set or info.vision:
        return
    raise LMStudioVisionError(
        f"The model {info.identifier!r} cannot see images, and the chat holds some. Use a vision "
        "model (client.llm.list_downloaded() shows vision=True), or leave the images out.",
        endpoint="llm.predict",
    )


def explained(error: LMStudioServerError, parameter: Mapping[str, Any]) -> LMStudioServerError:
    """The server's error to a prediction, as one about images if it is that."""
    seen = type(error) is LMStudioPredictionError and has_images(
        as_mapping(parameter.get("history"))
    )
    if not seen or not _ABOUT_IMAGES.search(str(error)):
        return error
    return LMStudioVisionError(str(error), error.server_error, endpoint=error.endpoint)
