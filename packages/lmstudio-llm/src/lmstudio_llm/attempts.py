"""A prediction to be made: what is checked before it, and what is tried if it does not work out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from lmstudio_core.errors import LMStudioRequestRejectedError, LMStudioValueError
from lmstudio_core.protocol.operations import Op

from .prediction import PredictionChannel
from .results import PredictionResult
from .schemas import OutputFormat
from .vision import check_vision

__all__ = ["Prediction", "check_retries", "corrected"]

T = TypeVar("T")


@dataclass
class Prediction(Generic[T]):
    """A prediction to be made.

    Attributes:
        channel: How the server is asked.
        fallback: Makes another channel, for servers that reject the first.
        again: Makes the channel for one more attempt after a result that is not in its format.
        retries: How many more attempts there may be.
        strict: Whether a result that is not in its format is an error.
        output_format: How the output is read, while it is written too.
        sees: The model's specifier, if the chat holds images and has to be able to see them.
    """

    channel: PredictionChannel[T]
    fallback: Callable[[], PredictionChannel[T]] | None = field(default=None, repr=False)
    again: Callable[[PredictionResult[T]], PredictionChannel[T]] | None = field(
        default=None, repr=False
    )
    retries: int = 0
    strict: bool = False
    output_format: OutputFormat[Any] | None = field(default=None, repr=False)
    sees: Mapping[str, Any] | None = None

    def fall_back(self, error: LMStudioRequestRejectedError) -> PredictionChannel[T]:
        """The channel to use instead; raises ``error`` if there is none."""
        if self.fallback is None:
            raise error
        self.channel, self.fallback = self.fallback(), None
        return self.channel

    def op(self) -> Op[PredictionResult[T]]:
        """Make the prediction."""
        if self.sees is not None:
            yield from check_vision(self.sees)
        self.channel.more_attempts = self.retries > 0
        result: PredictionResult[T] = yield from self._attempt()
        while self.channel.more_attempts and result.may_be_retried and self.again is not None:
            self.retries -= 1
            self.channel = self.again(result)
            self.channel.more_attempts = self.retries > 0
            result = yield self.channel
        if self.strict:
            result.check()
        return result

    def _attempt(self) -> Op[PredictionResult[T]]:
        result: PredictionResult[T]
        try:
            result = yield self.channel
        except LMStudioRequestRejectedError as error:
            more = self.channel.more_attempts
            channel = self.fall_back(error)
            channel.more_attempts = more
            result = yield channel
        return result


def check_retries(retries: int, *, structured: bool) -> None:
    """Raise ``LMStudioValueError`` for what cannot be a number of retries."""
    given: Any = retries  # what the caller wrote, whatever the annotation says
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise LMStudioValueError(f"retries is a whole number from 0, not {retries!r}.")
    if retries and not structured:
        raise LMStudioValueError(
            "retries is for output that does not satisfy its format; give a response_format too, "
            "or leave retries out."
        )


def corrected(history: Mapping[str, Any], result: PredictionResult[Any]) -> dict[str, Any]:
    """The chat with a failed answer and what is wrong with it.

    An answer that was cut off is not shown: it would only make the next one longer to come by.
    """
    wrong = "; ".join(result.problems)
    messages = list(history["messages"])
    if result.stats.stop_reason in ("maxPredictedTokensReached", "contextLengthReached"):
        return {"messages": messages}
    for role, text in (("assistant", result.content), ("user", _ADVICE.format(wrong))):
        parts = [{"type": "text", "text": text}] if text else []
        if parts and messages[-1]["role"] == role:  # the chat ended with the answer's beginning
            messages[-1] = {**messages[-1], "content": [*messages[-1]["content"], *parts]}
        elif parts:
            messages.append({"role": role, "content": parts})
    return {"messages": messages}


_ADVICE: Final = (
    "That answer does not satisfy the required format: {}. Answer once more, in that format."
)
