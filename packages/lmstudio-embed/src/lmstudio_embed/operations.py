"""The requests that an embedding is made of: pure, for both drivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.models import operations as model_ops
from lmstudio_core.protocol.operations import Call, Endpoint

from .kind import EMBEDDING_KIND

__all__ = ["check_text", "context_length", "count_tokens", "embed_text", "vector"]

_EMBED: Final = Endpoint("embedding", "embedString")


def vector(raw: Any) -> list[float]:
    """The vector in the server's answer."""
    found = cast("Mapping[str, Any]", raw).get("embedding") if isinstance(raw, Mapping) else None
    if not isinstance(found, list):
        raise LMStudioServerError("The server's answer holds no vector.", endpoint=str(_EMBED))
    return cast("list[float]", found)


def check_text(text: Any) -> str:
    """``text``, if it is one, or a scalar of pyarrow's that holds one."""
    if not isinstance(text, str) and callable(of_arrow := getattr(text, "as_py", None)):
        text = of_arrow()
    if not isinstance(text, str):
        raise LMStudioValueError(f"A text to embed is a string, not {type(text).__name__}.")
    return text


def embed_text(specifier: Mapping[str, Any], text: str) -> Call[list[float]]:
    """The vector of one text."""
    parameter = {"modelSpecifier": specifier, "inputString": text}
    return Call(_EMBED, parameter, vector)


def count_tokens(specifier: Mapping[str, Any], text: str) -> Call[int]:
    """The number of tokens of one text, those that mark its beginning and end included."""
    return model_ops.count_tokens(EMBEDDING_KIND, specifier, text)


def context_length(specifier: Mapping[str, Any]) -> Call[Any]:
    """What the server knows of the model; its ``context_length`` is what is wanted."""
    return model_ops.get_model_info(EMBEDDING_KIND, specifier)
