"""Answers in waiting: what a scripted model says to which prediction, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from typing_extensions import Self

from .answers import Answer, BrokenToolCall, Drop, Part, ToolCall
from .fake_socket import ServerFailure
from .predictions import PredictionRequest

__all__ = ["AnswerFunction", "Condition", "ModelScript", "Scripted", "UnscriptedRequestError"]

Condition = str | re.Pattern[str] | Callable[[PredictionRequest], Any]
"""Which predictions: those whose prompt holds the text, those in whose prompt the pattern is found,
or those for which the function returns something true."""

AnswerFunction = Callable[[PredictionRequest], Any]
"""Makes the answer: a string or another ``Part``, several parts in a tuple, an ``Answer``, or
``None`` for an answer of the next in line. May be a coroutine function, and may raise
``ServerFailure``."""

How = Literal["respond", "complete"]

_HOW = {"llm.predict": "respond", "llm.completeRawText": "complete"}


class UnscriptedRequestError(AssertionError):  # public
    """A program asked for something that the test scripted no answer for."""


@dataclass
class Scripted:
    """One answer in waiting.

    Attributes:
        answer: An ``Answer``, or a function that makes one.
        left: How often it may still be given; ``None`` is any number.
        condition: For which predictions it is; ``None`` is all.
        how: Only for ``respond`` or ``complete``.
        used: How often it was given.
    """

    answer: Answer | AnswerFunction
    left: int | None = 1
    condition: Condition | None = None
    how: How | None = None
    used: int = 0

    @property
    def has_condition(self) -> bool:
        """Whether it is not for every prediction."""
        return self.condition is not None or self.how is not None

    def fits(self, prediction: PredictionRequest) -> bool:
        """Whether it is for this prediction."""
        if self.how is not None and _HOW.get(prediction.endpoint) != self.how:
            return False
        match self.condition:
            case None:
                return True
            case str():
                return self.condition in prediction.prompt
            case re.Pattern():
                return self.condition.search(prediction.prompt) is not None
            case _:
                return bool(self.condition(prediction))

    def __str__(self) -> str:
        when = [] if self.condition is None else [f"when {_shown(self.condition)}"]
        when += [] if self.how is None else [f"for {self.how}()"]
        left = "any number of times" if self.left is None else f"{self.left} left"
        answer = _shown(self.answer) if callable(self.answer) else str(self.answer)
        return f"{answer} ({', '.join([*when, left])})"


def _shown(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


class ModelScript:  # public
    """What a model says. Answers are given in the order in which they were written, each once.

    An answer written after ``when`` is for the predictions meant there, and goes before those that
    are for all. ``times`` says how often an answer may be given, ``None`` any number of times.
    """

    def __init__(
        self,
        queue: list[Scripted],
        condition: Condition | None = None,
        how: How | None = None,
    ) -> None:
        self._queue = queue
        self._condition = condition
        self._how: How | None = how

    def when(self, condition: Condition | None = None, *, how: How | None = None) -> ModelScript:
        """For some predictions only.

        Args:
            condition: A text that the prompt (the user's last message) holds, a compiled pattern
                that is found in it, or a function of the ``PredictionRequest``.
            how: ``"respond"`` for chats or ``"complete"`` for continuations of text.

        Example:
            >>> with FakeServer() as server:
            ...     _ = server.llm().when("weather").respond("Sunny.")
            ...     _ = server.llm().when(lambda asked: asked.tool_results).respond("It is 3.")
        """
        return ModelScript(self._queue, condition, how)

    def respond(
        self,
        *parts: Part | Any,
        times: int | None = 1,
        stop_reason: str | None = None,
        stats: Mapping[str, Any] | None = None,
    ) -> Self:
        """Say this.

        Args:
            parts: Text (sent word by word), a list of strings (sent as they stand), a dict or
                pydantic object (sent as JSON), ``Reasoning``, ``ToolCall``, ``Gate``, ``Drop``, …;
                see ``Part``.
            times: How often; ``None`` for any number of times.
            stop_reason: Why the model stops, as in ``result.stats.stop_reason``.
            stats: Statistics by the server's names, such as ``{"tokensPerSecond": 20}``.

        Returns:
            This script, for the next answer.

        Example:
            >>> from lmstudio_testing import Reasoning
            >>> with FakeServer() as server:
            ...     _ = server.llm().respond("Hello").respond(Reasoning("Hm."), "Hello again")
        """
        return self._add(Answer(parts, stop_reason, dict(stats or {})), times)

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the protocol's word
        text: str = "",
        times: int | None = 1,
    ) -> Self:
        """Ask for a tool, after saying ``text``. Several at once: ``respond(ToolCall(…), …)``.

        Args:
            name: The tool.
            arguments: By name.
            id: What ties the result to the call.
            text: What the model says before it.
            times: How often; ``None`` for any number of times.
        """
        call = ToolCall(name, dict(arguments or {}), id)
        return self._add(Answer([text, call] if text else [call]), times)

    def break_tool_call(self, title: str = BrokenToolCall.title, *, times: int | None = 1) -> Self:
        """Ask for a tool in a way that the server cannot read."""
        return self._add(Answer([BrokenToolCall(title)]), times)

    def fail(
        self,
        title: str = "The model failed.",
        *,
        after: Part | Sequence[Any] = (),
        times: int | None = 1,
        **fields: Any,
    ) -> Self:
        """End the prediction with an error of the server's.

        Args:
            title: What happened.
            after: What the model says before.
            times: How often; ``None`` for any number of times.
            fields: More keys of the error, such as ``cause``, ``suggestion`` and ``displayData``.
        """
        return self._add(Answer([*_before(after), ServerFailure(title, **fields)]), times)

    def drop(self, *, after: Part | Sequence[Any] = (), times: int | None = 1) -> Self:
        """Cut the connection, after saying what is in ``after``."""
        return self._add(Answer([*_before(after), Drop()]), times)

    def answer(self, function: AnswerFunction, *, times: int | None = None) -> Self:
        """Let a function of the ``PredictionRequest`` say what comes, any number of times.

        Example:
            >>> with FakeServer() as server:
            ...     _ = server.llm().answer(lambda asked: asked.prompt.upper())
        """
        return self._add(function, times)

    def _add(self, answer: Answer | AnswerFunction, times: int | None) -> Self:
        if times is not None and times < 1:
            raise ValueError(f"times is a number from 1 or None, not {times!r}")
        self._queue.append(Scripted(answer, times, self._condition, self._how))
        return self


def _before(after: Any) -> list[Any]:
    return list(cast("Sequence[Any]", after)) if isinstance(after, (list, tuple)) else [after]


def choose(queue: Sequence[Scripted], prediction: PredictionRequest) -> Scripted | None:
    """The next answer to a prediction: those with a condition that holds go first."""
    open_ones = [one for one in queue if one.left != 0 and one.fits(prediction)]
    found = next((one for one in open_ones if one.has_condition), None)
    found = found or next(iter(open_ones), None)
    if found is not None:
        found.used += 1
        if found.left is not None:
            found.left -= 1
    return found
