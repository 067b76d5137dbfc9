"""Answers that may call tools, where the call is begun and held to its schema on our side.

A model of which the template writes ``<tool_call>{"name": …`` writes freely up to that tag; the call is then
held to the tools' schemas, and after it the model goes on. So every character is known: what ends in the middle
of a call is told as text, and no odd tool can make it fail.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    EngineEvent,
    Finished,
    PromptProgress,
    StopReason,
    Text,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallStart,
)

from .bodies import call_holds, images_of
from .calls import CallParser, new_call_id
from .diagnosis import SchemaRefusedError
from .markup import CALL_END, CALL_START, MarkupSplitter, open_thinking
from .thinking import Thought, summed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from lmstudio_server.engines.base import ChatRequest, Sampling

    from .completion_fold import CompletionFold
    from .generation import Generator
    from .thinking import Thinking

__all__ = ["CallingAnswer", "call_or_answer", "first_call_only"]

_ROOM_FOR_A_CALL = 8
"""Tokens of the context below which no call is begun: prompt and tag would not fit."""
_MOST_BEFORE_A_CALL = 1000
"""Characters that a model says before it calls something; more of them is an answer."""


@dataclass
class _Written:
    """What is generated so far."""

    prompt: str
    folds: list[CompletionFold]
    calls: int = 0

    @property
    def predicted(self) -> int:
        return sum(fold.predicted_tokens for fold in self.folds)


class CallingAnswer:
    """One answer of one worker.

    Args:
        generator: Asks the worker.
        request: What to answer.
        tools: The tools that may be called.
        thinking: What the prompt begins with.
    """

    def __init__(
        self,
        generator: Generator,
        request: ChatRequest,
        tools: Sequence[Mapping[str, Any]],
        thinking: Thinking,
    ) -> None:
        self._generator = generator
        self._request = request
        self._tools = tools
        self._thinking = thinking
        self._images = images_of(request.messages)
        self._must_call = request.tool_choice == "required"
        self._written = _Written("", [])
        self._splitter = self._new_splitter()
        self._goes_on = True
        self._full: StopReason | None = None
        """Why the answer ended where a call began."""

    async def events(self) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of the answer; the last one is ``Finished``."""
        if self._must_call or self._request.reasoning_budget is not None:
            async with aclosing(self._generator.think(self._request, self._thinking)) as thoughts:
                async for event in thoughts:
                    yield event
            if self._thinking.unfinished:
                return
        thought = self._thinking.fold
        self._written = _Written(self._thinking.prompt, [] if thought is None else [thought])
        self._splitter = self._new_splitter()
        async with aclosing(self._written_events()) as written:
            async for event in written:
                yield event

    async def _written_events(self) -> AsyncGenerator[EngineEvent, None]:
        while self._goes_on:
            async with aclosing(self._part()) as events:
                async for event in events:
                    yield event
        last = self._written.folds[-1]
        for event in self._splitter.finish(cut_off=last.cut_off):
            yield event
        finished = last.finished(called_tools=self._written.calls > 0)
        if self._full is not None:
            finished = replace(finished, stop_reason=self._full, stop_string=None)
        yield summed(self._written.folds, finished)

    async def _part(self) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of a text and the call that it leads to, if it does."""
        if not self._must_call:
            async with aclosing(self._text()) as events:
                async for event in events:
                    yield event
            self._goes_on = self._begins_call()
        if not self._goes_on:
            return
        self._full = self._fullness()
        if self._full is not None or self._splitter.is_reasoning:
            # What is left of a call that has no room is text; and a model may think of one.
            self._goes_on = self._full is None
            self._written.prompt += CALL_START
            begun = () if self._must_call else (Text(CALL_START, tokens_count=0),)
            for event in (part for text in begun for part in self._splitter.feed(text)):
                yield event
            return
        for event in self._splitter.finish(cut_off=False):
            yield event
        async with aclosing(self._call()) as events:
            async for event in events:
                yield event
        one_is_enough = self._must_call or not self._request.parallel_tool_calls
        over = one_is_enough or self._written.folds[-1].cut_off
        self._goes_on = not over and self._fullness() is None

    async def _text(self) -> AsyncGenerator[EngineEvent, None]:
        """Let the model write up to a call, or to the end."""
        asked = self._request.sampling
        stops = (*asked.stop, CALL_START)
        sampling = replace(asked, stop=stops, max_tokens=self._remaining())
        fold = self._new_fold(sampling)
        stream = self._generator.continued(self._written.prompt, sampling, fold, self._images)
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Text):
                    for part in self._splitter.feed(event):
                        yield part
                elif not isinstance(event, PromptProgress) or len(self._written.folds) == 1:
                    yield event
        self._written.prompt += fold.text

    def _begins_call(self) -> bool:
        return (
            self._written.folds[-1].stop_string == CALL_START
            and CALL_START not in self._request.sampling.stop
        )

    async def _call(self) -> AsyncGenerator[EngineEvent, None]:
        """Let the model write one call, of which the tag is there."""
        self._written.prompt += f"{CALL_START}\n"
        self._written.calls += 1
        call = CallParser(new_call_id())
        sampling = replace(
            self._request.sampling,
            stop=(),
            max_tokens=self._remaining(),
            json_schema=None,
            grammar=None,
            log_probs=None,
        )
        fold = self._new_fold(sampling)
        holds = call_holds(self._tools, self._generator.context_length)
        stream = self._generator.continued(
            self._written.prompt, sampling, fold, self._images, holds
        )
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    if isinstance(event, Text):
                        for part in call.feed(event.content):
                            yield self._counted(part)
                    elif len(self._written.folds) == 1:
                        yield event
        except SchemaRefusedError:
            if not fold.told:
                raise
            # llama.cpp's log was late: what is told already is no error, and the next call is held.
            self._written.calls -= 1
        for event in call.finish(cut_off=fold.cut_off):
            yield self._counted(event)
        self._written.prompt += f"{fold.text}\n{CALL_END}"
        self._splitter.after_call()

    def _new_fold(self, sampling: Sampling) -> CompletionFold:
        fold = self._generator.fold(sampling)
        self._written.folds.append(fold)
        return fold

    def _new_splitter(self) -> MarkupSplitter:
        opened = open_thinking(self._thinking.prompt)
        return MarkupSplitter(opened=opened, tools=False, new_call_id=new_call_id)

    def _remaining(self) -> int | None:
        limit = self._request.sampling.max_tokens
        return None if limit is None else max(1, limit - self._written.predicted)

    def _fullness(self) -> StopReason | None:
        """Why there is no room for a call, if there is none."""
        limit = self._request.sampling.max_tokens
        if limit is not None and self._written.predicted >= limit:
            return "length"
        last = self._written.folds[-1] if self._written.folds else None
        used = 0 if last is None else last.prompt_tokens + last.predicted_tokens
        return "context" if used + _ROOM_FOR_A_CALL > self._generator.context_length else None

    def _counted(self, event: EngineEvent) -> EngineEvent:
        """Return ``event``, with all tokens so far if it is a piece of a call, which counts none."""
        if not isinstance(event, ToolCallArguments):
            return event
        return replace(event, predicted_tokens=self._written.predicted)


async def call_or_answer(
    free: AsyncGenerator[EngineEvent, None],
    held: Callable[[Thought], AsyncGenerator[EngineEvent, None]],
) -> AsyncGenerator[EngineEvent, None]:
    """Yield a call if ``free`` comes to one, and else the answer that is held to its schema.

    Held to a call or an answer from the first token on, small models call: they would have begun with other
    words, and a tag is likelier than a brace. So they say what they like; where it is no call, it is not told,
    and said again by the schema.
    """
    thought = Thought()
    waiting: list[EngineEvent] = []
    calls = False
    async with aclosing(free) as events:
        async for event in events:
            calls = calls or isinstance(event, ToolCallStart)
            if isinstance(event, Finished):
                cut_off = event.stop_reason not in ("eos", "tool_calls", "stop_string")
                if calls or (cut_off and not any(map(_is_answer, waiting))):
                    yield event
                    return
            elif calls or not _is_answer(event):
                for one in (*waiting, event) if calls else (event,):
                    yield one
                waiting = [] if calls else waiting
                thought.add(event)
            else:
                waiting.append(event)
                if _is_no_call(waiting):
                    break
    async with aclosing(held(thought)) as events:
        async for event in events:
            if not isinstance(event, PromptProgress):
                yield event


def _is_answer(event: EngineEvent) -> bool:
    return isinstance(event, Text) and event.reasoning == "none" and not event.structural


def _is_no_call(events: Sequence[EngineEvent]) -> bool:
    """Whether what the model says leads to no call: it answers by the schema already, or at length."""
    text = "".join(event.content for event in events if isinstance(event, Text)).lstrip()
    return len(text) > _MOST_BEFORE_A_CALL or text.startswith(("{", "[", "```"))


async def first_call_only(
    events: AsyncGenerator[EngineEvent, None],
) -> AsyncGenerator[EngineEvent, None]:
    """Yield ``events`` up to the end of the first call: what comes after it was not asked for."""
    called = False
    predicted = prompt = 0
    async with aclosing(events):
        async for event in events:
            if isinstance(event, PromptProgress):
                prompt = event.total
            elif isinstance(event, ToolCallArguments):
                predicted = max(predicted, event.predicted_tokens)
            if called and not isinstance(event, Finished):
                yield Finished("tool_calls", None, prompt, predicted)
                return
            yield event
            called = called or isinstance(event, ToolCallEnd)
