"""What can be asked of an embedding, checked: nothing is sent before it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from lmstudio_core.errors import LMStudioValueError

__all__ = [
    "DEFAULT_IN_FLIGHT",
    "Chunk",
    "Chunking",
    "EmbedOptions",
    "OnError",
    "Pool",
    "Progress",
    "check_texts",
    "embed_options",
    "is_count",
]

DEFAULT_IN_FLIGHT: Final = 64
"""How many texts of a list are on their way to the server at the same time."""

OnError = Literal["raise", "skip", "return"]
"""What becomes of a text that the server cannot embed."""

Pool = Literal["mean", "max", "first"]
"""How the vectors of a long text's parts become one."""

Progress = bool | Callable[[int, int | None], object]
"""``True`` for a bar, or a function that gets the number done and the total, if that is known."""


@dataclass(frozen=True)
class Chunking:  # public
    """How a text that is too long is embedded in parts.

    Args:
        size: The most tokens of one part; the model's context length by default.
        overlap: About how many tokens of a part its successor repeats, at most half of ``size``;
            an eighth of it by default.
        pool: How the parts' vectors become one. ``"mean"`` weighs each part by its tokens and keeps
            the vectors' length; ``"max"`` takes the greatest number in each dimension; ``"first"``
            embeds the beginning of the text and leaves the rest out.

    Example:
        >>> book = "It was a dark and stormy night. " * 1000
        >>> len(embedder.embed(book, chunk=Chunking(size=256, overlap=32)))
        128
    """

    size: int | None = None
    overlap: int | None = None
    pool: Pool = "mean"

    def __post_init__(self) -> None:
        if self.size is not None and not is_count(self.size, least=8):
            raise LMStudioValueError(
                f"A part's size is a whole number of at least 8 tokens, not {self.size!r}."
            )
        if self.overlap is not None and not is_count(self.overlap, least=0):
            raise LMStudioValueError(
                f"An overlap is a whole number of tokens, not {self.overlap!r}."
            )
        if self.size is not None:
            self.overlap_of(self.size)
        if self.pool not in get_args(Pool):
            known = ", ".join(map(repr, get_args(Pool)))
            raise LMStudioValueError(f"pool is one of {known}, not {self.pool!r}.")

    def overlap_of(self, size: int) -> int:
        """The overlap for parts of ``size`` tokens.

        Args:
            size: The tokens of a part.

        Returns:
            Tokens.
        """
        if self.overlap is None:
            return size // 8
        if self.overlap > size // 2:
            raise LMStudioValueError(
                f"An overlap of {self.overlap} tokens is more than half of a part's {size}; "
                "choose a smaller overlap or larger parts."
            )
        return self.overlap


Chunk = bool | int | Chunking
"""``True`` for parts as large as the model takes, their size in tokens, or all about them."""


@dataclass(frozen=True)
class EmbedOptions:
    """The options of one call, as they hold for every text of it."""

    max_in_flight: int = DEFAULT_IN_FLIGHT
    on_error: OnError = "raise"
    chunking: Chunking | None = None
    normalize: bool = False
    as_array: bool = False


def embed_options(
    *,
    max_in_flight: Any,
    on_error: Any,
    chunk: Any,
    normalize: Any,
    as_array: Any,
) -> EmbedOptions:
    """The options, if all of them are right.

    Raises:
        LMStudioValueError: One is not.
    """
    if not is_count(max_in_flight, least=1):
        raise LMStudioValueError(
            f"max_in_flight is a positive whole number, not {max_in_flight!r}."
        )
    if on_error not in get_args(OnError):
        known = ", ".join(map(repr, get_args(OnError)))
        raise LMStudioValueError(f"on_error is one of {known}, not {on_error!r}.")
    return EmbedOptions(max_in_flight, on_error, _chunking(chunk), bool(normalize), bool(as_array))


def check_texts(texts: Any) -> Iterable[str]:
    """``texts`` itself, if it can be a collection of texts at all; an array of pyarrow's as a list.

    Raises:
        LMStudioValueError: It cannot.
    """
    names = getattr(texts, "column_names", getattr(texts, "columns", None))
    if names is not None and hasattr(texts, "shape"):
        first = next(iter(names), "text")
        column = first if isinstance(first, str) else "text"
        raise LMStudioValueError(
            f"A {type(texts).__name__} gives the names of its columns, not its texts: pass one "
            f'column, such as df["{column}"].'
        )
    if callable(listed := getattr(texts, "to_pylist", None)):
        return cast("Iterable[str]", listed())
    if isinstance(texts, (str, bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
        kind = type(cast("object", texts)).__name__
        raise LMStudioValueError(f"embed takes a string or an iterable of strings, not {kind}.")
    return cast("Iterable[str]", texts)


def _chunking(chunk: Any) -> Chunking | None:
    if chunk is False or chunk is None:
        return None
    if chunk is True:
        return Chunking()
    if isinstance(chunk, Chunking):
        return chunk
    if isinstance(chunk, int):
        return Chunking(size=chunk)
    raise LMStudioValueError(
        f"chunk is True, a number of tokens or a Chunking, not {type(chunk).__name__}."
    )


def is_count(value: Any, *, least: int) -> bool:
    """Whether a value is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
