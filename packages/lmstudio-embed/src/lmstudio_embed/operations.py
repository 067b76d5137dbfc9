"""Embedding as operations: pure, for both drivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.models.operations import query_specifier
from lmstudio_core.protocol.operations import Batch, Call, Endpoint, Op

__all__ = ["DEFAULT_IN_FLIGHT", "embed", "embed_text", "vector"]

DEFAULT_IN_FLIGHT: Final = 64
"""How many texts of a list are on their way to the server at the same time."""

_EMBED: Final = Endpoint("embedding", "embedString")


def vector(raw: Any) -> list[float]:
    """The vector in the server's answer."""
    found = cast("Mapping[str, Any]", raw).get("embedding") if isinstance(raw, Mapping) else None
    if not isinstance(found, list):
        raise LMStudioServerError("The server's answer holds no vector.", endpoint=str(_EMBED))
    return cast("list[float]", found)


def embed_text(identifier: str, text: str) -> Call[list[float]]:
    """The vector of one text."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise LMStudioValueError(f"A text to embed is a string, not {type(text).__name__}.")
    parameter = {"modelSpecifier": query_specifier(identifier), "inputString": text}
    return Call(_EMBED, parameter, vector)


def embed(
    identifier: str, texts: str | Iterable[str], max_in_flight: int = DEFAULT_IN_FLIGHT
) -> Op[Any]:
    """The vector of one text, or a list of the vectors of several, in their order."""
    if isinstance(texts, str):
        return (yield embed_text(identifier, texts))
    calls = [embed_text(identifier, text) for text in each_text(texts)]
    check_in_flight(max_in_flight)
    return (yield Batch(calls, max_in_flight)) if calls else []


def each_text(texts: Any) -> Iterable[str]:
    """``texts`` itself, if it can be a collection of texts at all."""
    if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        kind = type(cast("object", texts)).__name__
        raise LMStudioValueError(f"embed takes a string or an iterable of strings, not {kind}.")
    return cast("Iterable[str]", texts)


def check_in_flight(max_in_flight: Any) -> int:
    """``max_in_flight``, if it is a number of requests."""
    if isinstance(max_in_flight, int) and not isinstance(max_in_flight, bool) and max_in_flight > 0:
        return max_in_flight
    raise LMStudioValueError(f"max_in_flight is a positive whole number, not {max_in_flight!r}.")
