"""Embedding as operations: pure, for both drivers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Literal, cast, get_args

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.models.operations import query_specifier
from lmstudio_core.protocol.operations import Batch, Call, Endpoint, Op

__all__ = ["DEFAULT_IN_FLIGHT", "OnError", "embed", "embed_batch", "embed_text", "vector"]

DEFAULT_IN_FLIGHT: Final = 64
"""How many texts of a list are on their way to the server at the same time."""

OnError = Literal["raise", "skip", "return"]
"""What becomes of a text that the server cannot embed."""

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
    identifier: str,
    texts: str | Iterable[str],
    max_in_flight: int = DEFAULT_IN_FLIGHT,
    on_error: OnError = "raise",
) -> Op[Any]:
    """The vector of one text, or a list of the vectors of several, in their order."""
    if isinstance(texts, str):
        return (yield embed_text(identifier, texts))
    batch = embed_batch(identifier, texts, max_in_flight, on_error)
    # A list is checked as a whole before anything is sent.
    calls = list(batch.calls)
    found: list[Any] = (yield replace(batch, calls=calls)) if calls else []
    return without_errors(found) if on_error == "skip" else found


def embed_batch(
    identifier: str, texts: Iterable[str], max_in_flight: int, on_error: OnError
) -> Batch[list[float]]:
    """The vectors of many texts, each of which is looked at when its turn comes."""
    if on_error not in get_args(OnError):
        known = ", ".join(map(repr, get_args(OnError)))
        raise LMStudioValueError(f"on_error is one of {known}, not {on_error!r}.")
    calls = (embed_text(identifier, text) for text in each_text(texts))
    return Batch(calls, check_in_flight(max_in_flight), keep_errors=on_error != "raise")


def without_errors(vectors: Iterable[Any]) -> list[Any]:
    """Only those that are vectors."""
    return [vector for vector in vectors if not isinstance(vector, LMStudioServerError)]


def each_text(texts: Any) -> Iterable[str]:
    """``texts`` itself, if it can be a collection of texts at all."""
    if isinstance(texts, (str, bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        kind = type(cast("object", texts)).__name__
        raise LMStudioValueError(f"embed takes a string or an iterable of strings, not {kind}.")
    return cast("Iterable[str]", texts)


def check_in_flight(max_in_flight: Any) -> int:
    """``max_in_flight``, if it is a number of requests."""
    if isinstance(max_in_flight, int) and not isinstance(max_in_flight, bool) and max_in_flight > 0:
        return max_in_flight
    raise LMStudioValueError(f"max_in_flight is a positive whole number, not {max_in_flight!r}.")
