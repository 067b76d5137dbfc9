"""What the facades do with their arguments before anything is sent: the same for both."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace
from typing import Any, Final

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.models.operations import specifier_of
from lmstudio_core.observe.observations import EmbeddingObservation, is_observed
from lmstudio_core.protocol.operations import Call

from .fold import ContextLimit, EmbeddingFold
from .operations import check_text, embed_text
from .options import DEFAULT_IN_FLIGHT, check_texts, embed_options

__all__ = ["many_texts", "one_call", "one_text", "stream_of_texts"]


def one_call(
    model: Any,
    limit: ContextLimit,
    text: str,
    *,
    progress: Any,
    max_in_flight: Any,
    **options: Any,
) -> Call[list[float]] | None:
    """The only request of one text, in the usual case; ``None`` where a stream has to see to it.

    That is: nothing is asked for beside the vector, the text fits for certain, nobody observes.
    """
    plain = options == _PLAIN and progress is False and max_in_flight is DEFAULT_IN_FLIGHT
    if not plain or not limit.surely_holds(text) or is_observed(EmbeddingObservation):
        return None
    return embed_text(specifier_of(model), text)


_PLAIN: Final = {"as_array": False, "normalize": False, "chunk": False, "on_error": "raise"}


def one_text(model: Any, limit: ContextLimit, text: str, **options: Any) -> EmbeddingFold:
    """One text. Its error is the caller's: there is nothing else to save."""
    checked = replace(embed_options(**options), on_error="raise")
    return EmbeddingFold(model, [text], checked, limit)


def many_texts(
    model: Any, limit: ContextLimit, texts: Any, **options: Any
) -> tuple[EmbeddingFold, int]:
    """Several texts at once, and how many. They are looked at as a whole before any is sent."""
    checked = embed_options(**options)
    if checked.as_array and checked.on_error == "return":
        raise LMStudioValueError(
            "An array has no place for errors: use on_error='skip' with as_array=True, or "
            "embed_stream, whose failed tells which texts are missing."
        )
    listed = [check_text(text) for text in check_texts(texts)]
    return EmbeddingFold(model, listed, checked, limit), len(listed)


def stream_of_texts(
    model: Any, limit: ContextLimit, texts: Any, **options: Any
) -> tuple[EmbeddingFold, int | None]:
    """Texts of which each is taken when its turn comes, and how many, if they know it."""
    checked = embed_options(**options)
    source = check_texts(texts)
    total = len(source) if isinstance(source, Sized) else None
    return EmbeddingFold(model, source, checked, limit), total
