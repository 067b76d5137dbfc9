"""Errors of embedding alone; the tree they belong to is in ``lmstudio_core.errors``."""

from __future__ import annotations

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError


class TextTooLongError(LMStudioServerError, LMStudioValueError):  # public
    """A text has more tokens than the model was loaded for.

    It is a server error like the others that one text of many can have, although it is this side
    that counts: some servers embed the beginning of such a text without a word.

    Attributes:
        position: Which of the texts it is, counted from 0.
        tokens: How many tokens it has.
        context_length: How many the model takes.

    Example:
        >>> embedder.embed("a cat " * 5000)
        Traceback (most recent call last):
        TextTooLongError: ...
    """

    def __init__(
        self, message: str = "", *, position: int = 0, tokens: int = 0, context_length: int = 0
    ) -> None:
        super().__init__(message, endpoint="embedding.embedString")
        self.position = position
        self.tokens = tokens
        self.context_length = context_length
