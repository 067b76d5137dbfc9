"""From texts to vectors: which requests they need, and what the answers make of them. No I/O.

One text is one request, unless it may be too long. Then its tokens are counted, and it is refused
or embedded in parts. Answers come in the order of the requests, results go out in the order of the
texts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from typing_extensions import Self

from lmstudio_core.errors import LMStudioServerError, LMStudioValueError
from lmstudio_core.models.operations import specifier_of
from lmstudio_core.protocol.operations import Call

from . import operations as ops
from .chunking import Part, cut, first_cut, pooled
from .errors import TextTooLongError
from .options import Chunking, EmbedOptions

__all__ = ["ContextLimit", "EmbeddingFold", "Slot"]

_ALWAYS_FITS: Final = 64
"""Characters that fit into every model's context, whatever it is."""

_MARKS: Final = 8
"""Room for the tokens that a model puts around every text."""

Handler = Callable[[Any], None]


class ContextLimit:
    """How many tokens a model takes, as far as is known; kept between the calls of a handle."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens: int | None = None

    def surely_holds(self, text: str) -> bool:
        """Whether the text need not be counted."""
        return len(text) <= _ALWAYS_FITS or _surely_fits(text, self.tokens)


def _surely_fits(text: str, limit: int | None) -> bool:
    """Whether so many tokens hold the text: each stands for at least one byte of it."""
    if limit is None or len(text) + _MARKS > limit:
        return False
    return text.isascii() or len(text.encode("utf-8", "replace")) + _MARKS <= limit


class Slot:
    """One text's place in the results: a vector or an ``LMStudioServerError`` once ``done``."""

    __slots__ = ("done", "result")

    def __init__(self) -> None:
        self.done: bool = False
        self.result: Any = None

    def finish(self, result: Any) -> None:
        """The result is there."""
        self.result = result
        self.done = True


class EmbeddingFold:
    """The requests of some texts, as an iterator, and the taker of their answers.

    A batch asks for a request whenever there is room for one, and asks again after it has been told
    that there is none: an answer may be the cause of further requests.

    Args:
        model: The model's handle or identifier.
        texts: The texts; each is taken when there is room for it.
        options: What holds for all of them.
        limit: What is known of the model's context length; filled in when it becomes known.
    """

    def __init__(
        self, model: Any, texts: Iterable[str], options: EmbedOptions, limit: ContextLimit
    ) -> None:
        self.identifier: Any = getattr(model, "identifier", model)
        self.specifier: dict[str, Any] = specifier_of(model)
        self.options = options
        self.limit = limit
        self._texts = iter(texts)
        self._failure: Exception | None = None
        self._requests: deque[tuple[Call[Any], Handler]] = deque()
        self._handlers: deque[Handler] = deque()
        self._slots: deque[Slot] = deque()
        # A long text that takes several rounds lets others overtake it, but not without bound.
        self._most_slots = 2 * options.max_in_flight
        self._position = -1
        self._asked_limit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Call[Any]:
        if self._requests:
            call, handler = self._requests.popleft()
            self._handlers.append(handler)
            return call
        if len(self._slots) >= self._most_slots:
            raise StopIteration
        text = self._next_text()
        self._position += 1
        if len(text) > _ALWAYS_FITS and not self.surely_fits(text):
            long_text = _LongText(self, text, self._position)
            self._slots.append(long_text)
            long_text.start()
            return next(self)
        slot = Slot()
        self._slots.append(slot)
        self._handlers.append(slot.finish)
        return ops.embed_text(self.specifier, text)

    def _next_text(self) -> str:
        """The next text. What their source raises waits until the texts before it are answered."""
        if self._failure is None:
            try:
                return ops.check_text(next(self._texts))
            except StopIteration:
                raise
            except Exception as error:  # noqa: BLE001 - raised below
                self._failure = error
        if self._slots:
            raise StopIteration
        raise self._failure

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answers."""
        return len(self._handlers)

    @property
    def room(self) -> int:
        """How many more texts could be sent now."""
        return max(0, self.options.max_in_flight - len(self._handlers))

    def feed(self, answer: Any) -> None:
        """Take the answer to the oldest request without one."""
        self._handlers.popleft()(answer)

    def take(self) -> Slot | None:
        """The next text's result, if it is there."""
        if self._slots and self._slots[0].done:
            return self._slots.popleft()
        return None

    def surely_fits(self, text: str) -> bool:
        """Whether the text need not be counted."""
        chunking = self.options.chunking
        limit = self.limit.tokens
        if chunking is not None and chunking.size is not None:
            limit = chunking.size
        return _surely_fits(text, limit)

    def ask(self, call: Call[Any], handler: Handler) -> None:
        """Send a request before any more texts are taken."""
        self._requests.append((call, handler))

    def ask_limit(self) -> None:
        """Find out what the model takes; once, but anew for every call: it may have been reloaded."""
        if not self._asked_limit:
            self._asked_limit = True
            self.ask(ops.context_length(self.specifier), self._on_limit)

    def _on_limit(self, answer: Any) -> None:
        found = getattr(answer, "context_length", None)
        self.limit.tokens = found if isinstance(found, int) and found > 0 else None


class _LongText(Slot):
    """A text that may have more tokens than the model takes."""

    __slots__ = ("_chunking", "_fold", "_left", "_overlap", "_parts", "_position", "_text")

    def __init__(self, fold: EmbeddingFold, text: str, position: int) -> None:
        super().__init__()
        self._fold = fold
        self._text = text
        self._position = position
        self._chunking = fold.options.chunking
        self._parts: list[Part] = []
        self._left = 0
        self._overlap = 0

    def start(self) -> None:
        """Count it; and embed it at once if it can only be right or wrong as a whole."""
        fold = self._fold
        fold.ask_limit()
        fold.ask(ops.count_tokens(fold.specifier, self._text), self._on_count)
        if self._chunking is None:
            self._embed_whole()

    def _embed_whole(self) -> None:
        self._fold.ask(ops.embed_text(self._fold.specifier, self._text), self._on_vector)

    def _on_vector(self, answer: Any) -> None:
        if not self.done:
            self.finish(answer)

    def _on_count(self, answer: Any) -> None:
        limit = self._fold.limit.tokens
        if self._chunking is not None:
            self._divide(answer, self._chunking, limit)
        elif isinstance(answer, int) and limit is not None and answer > limit:
            self.finish(self._too_long(answer, limit))
        # Otherwise it fits, or the server cannot tell: what it makes of the text decides.

    def _too_long(self, tokens: int, limit: int) -> TextTooLongError:
        return TextTooLongError(
            f"The text at position {self._position} has {tokens:,} tokens, and "
            f"{self._fold.identifier!r} takes {limit:,}. Shorten it, pass chunk=True to embed it in "
            "parts, or load the model with a larger context_length if it was trained for one.",
            position=self._position,
            tokens=tokens,
            context_length=limit,
        )

    # -- in parts --------------------------------------------------------------------------------

    def _divide(self, tokens: Any, chunking: Chunking, limit: int | None) -> None:
        if chunking.size is not None and limit is not None and chunking.size > limit:
            raise LMStudioValueError(
                f"Parts of {chunking.size:,} tokens do not fit: {self._fold.identifier!r} takes "
                f"{limit:,}. Choose a smaller size, or none: then parts are as large as they can be."
            )
        size = chunking.size or limit
        if isinstance(tokens, LMStudioServerError):
            self.finish(tokens)
        elif size is None or tokens <= size:
            self._embed_whole()
        else:
            overlap = 0 if chunking.pool == "first" else chunking.overlap_of(size)
            parts = first_cut(self._text, tokens, size, overlap)
            self._overlap = overlap * len(self._text) // tokens
            self._parts = parts[:1] if chunking.pool == "first" else parts
            for part in self._parts:
                self._ask_part(part, size)

    def _ask_part(self, part: Part, size: int) -> None:
        specifier, text = self._fold.specifier, self._text[part.start : part.end]
        self._left += 1

        def on_count(answer: Any) -> None:
            if isinstance(answer, LMStudioServerError):
                self.finish(answer)
            else:
                part.tokens = answer

        def on_vector(answer: Any) -> None:
            self._left -= 1
            if self.done:
                return
            if part.tokens is not None and part.tokens > size:
                self._divide_again(part, size)
            elif isinstance(answer, LMStudioServerError):
                self.finish(answer)
            else:
                part.vector = answer
            self._finish_if_complete()

        self._fold.ask(ops.count_tokens(specifier, text), on_count)
        self._fold.ask(ops.embed_text(specifier, text), on_vector)

    def _divide_again(self, part: Part, size: int) -> None:
        """Cut a part that came out too large; one character alone gives up its overlap first."""
        first_only = self._chunking is not None and self._chunking.pool == "first"
        if part.end - part.begin > 1:
            smaller = cut(self._text, part.begin, part.end, 2, self._overlap)
        elif part.start < part.begin:
            smaller = [Part(part.begin, part.begin, part.end)]
        else:
            self.finish(self._too_long(part.tokens or 0, size))
            return
        smaller = smaller[:1] if first_only else smaller
        at = self._parts.index(part)
        self._parts[at : at + 1] = smaller
        for new in smaller:
            self._ask_part(new, size)

    def _finish_if_complete(self) -> None:
        if self._left or self.done or self._chunking is None:
            return
        vectors = [part.vector for part in self._parts if part.vector is not None]
        weights = [part.tokens or 1 for part in self._parts]
        self.finish(pooled(vectors, weights, self._chunking.pool))
