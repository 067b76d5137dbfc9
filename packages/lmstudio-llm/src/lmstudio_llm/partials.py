"""``partials()`` of prediction streams: the output's value while it is written."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, Generic, TypeVar

from .attempts import Prediction
from .fragments import LlmPredictionFragment
from .partial_values import NOTHING, begun_data
from .results import PredictionResult
from .schemas import OutputFormat

__all__ = ["AsyncPartials", "Partials"]

T = TypeVar("T")


class Growing:
    """The values of an output that is still being written, each only once."""

    def __init__(self, output_format: OutputFormat[Any] | None) -> None:
        self._format = output_format
        self._text = ""
        self._last: Any = NOTHING

    def add(self, fragment: LlmPredictionFragment) -> Any:
        """The value with one more fragment; ``NOTHING`` if it is none or has not changed."""
        if fragment.reasoning_type != "none" or fragment.is_structural:
            return NOTHING
        self._text += fragment.content
        if self._format is None or not self._format.structured:
            return self._new(self._text)
        begun = begun_data(self._text)
        return NOTHING if begun is None else self._new(self._format.partial(begun))

    def end(self, result: PredictionResult[Any]) -> Any:
        """The value of the whole, unless it is not in its format or was the last already."""
        return NOTHING if result.problems else self._new(result.value)

    def _new(self, value: Any) -> Any:
        if value is NOTHING or (type(value) is type(self._last) and value == self._last):
            return NOTHING
        self._last = value
        return value


class Partials(Generic[T]):
    """The half for synchronous programs."""

    _prediction: Prediction[T]

    @abstractmethod
    def __iter__(self) -> Iterator[LlmPredictionFragment]: ...

    @abstractmethod
    def result(self) -> PredictionResult[T]:
        """The result."""

    def partials(self) -> Generator[T]:
        """The output as it grows: values of the ``response_format`` that may not be complete.

        Each is the beginning of the next one, and the last is ``result().value``. Fields of models
        and dataclasses (of attrs and msgspec, too) that are still to come are ``None``; dicts and
        lists do not have them yet.
        Text grows; numbers, dates and choices appear once they are whole. Output that is not in
        the format ends them early; ``result()`` says what is wrong. Without a format, and with a
        grammar, it is the text so far.

        Example:
            >>> stream = model.respond_stream("Name a book.", response_format={"type": "object"})
            >>> for book in stream.partials():
            ...     title = book.get("title")
        """
        growing = Growing(self._prediction.output_format)
        for fragment in self:
            if (value := growing.add(fragment)) is not NOTHING:
                yield value
        if (value := growing.end(self.result())) is not NOTHING:
            yield value


class AsyncPartials(Generic[T]):
    """The half for asyncio."""

    _prediction: Prediction[T]

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[LlmPredictionFragment]: ...

    @abstractmethod
    def result(self) -> PredictionResult[T]:
        """The result."""

    async def partials(self) -> AsyncGenerator[T]:
        """The output as it grows: values of the ``response_format`` that may not be complete.

        Each is the beginning of the next one, and the last is ``result().value``. Fields of models
        and dataclasses (of attrs and msgspec, too) that are still to come are ``None``; dicts and
        lists do not have them yet.
        Text grows; numbers, dates and choices appear once they are whole. Output that is not in
        the format ends them early; ``result()`` says what is wrong. Without a format, and with a
        grammar, it is the text so far.

        Example:
            >>> async def main() -> None:
            ...     stream = model.respond_stream("A book.", response_format={"type": "object"})
            ...     async for book in stream.partials():
            ...         print(book)
        """
        growing = Growing(self._prediction.output_format)
        async for fragment in self:
            if (value := growing.add(fragment)) is not NOTHING:
                yield value
        if (value := growing.end(self.result())) is not NOTHING:
            yield value
