"""One prediction: from its parameters to the last packet."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.convert.info import instance_info
from lmstudio_server.convert.overflow import pictures, shorten_messages, shorten_text
from lmstudio_server.convert.reasoning import ReasoningSplitter
from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    ContextOverflowError,
    EngineCrashedError,
    EngineError,
    EngineEvent,
    Finished,
    PromptProgress,
    Sampling,
    Text,
    ToolCallFailed,
)
from lmstudio_server.errors import from_engine
from lmstudio_server.kv.stack import fields

from .transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from lmstudio_server.convert.packets import Ending, PredictionFold
    from lmstudio_server.kv.prediction import OverflowPolicy
    from lmstudio_server.registry import Instance, Use

    from .endpoint import Channel

__all__ = ["Prediction", "shorten"]

_log = logging.getLogger(__name__)

Request = ChatRequest | CompletionRequest

SHORTENING_ATTEMPTS = 12
CRASH_PATIENCE_SECONDS = 2.0
"""How long a generation may take to say what it knows about the end of its engine."""


class Prediction:
    """Runs one request on one instance and writes what happens to a channel."""

    def __init__(
        self,
        channel: Channel,
        instance: Instance,
        request: Request,
        config: dict[str, Any],
        overflow: OverflowPolicy,
        make_fold: Callable[[float], PredictionFold],
        reasoning_tags: tuple[str, str] | None = None,
    ) -> None:
        self._channel = channel
        self._instance = instance
        self._request = request
        self._config = config
        self._overflow: OverflowPolicy = overflow
        self._fold = make_fold(time.monotonic())
        self._counted = 0
        self._transcript = Transcript(channel.services.logs, instance)
        self._splitter = None if reasoning_tags is None else ReasoningSplitter(*reasoning_tags)

    async def run(self) -> None:
        """Generate until the end, the client's cancel, or the end of the instance."""
        registry = self._channel.services.registry
        try:
            async with registry.use(self._instance, "processingPrompt") as use:
                ending = await self._generate(use)
                # Told inside: an unload waits until its predictions have said good-bye.
                await self._succeed(ending)
        except asyncio.CancelledError:
            # Its connection is gone, and nobody is left to tell.
            _log.info(
                "%r: given up after %d predicted tokens: the client went away",
                self._instance.identifier,
                self._counted,
            )
            raise
        except EngineError as error:
            raise from_engine(error, self._instance.identifier) from error

    async def _generate(self, use: Use) -> Ending | None:
        loop = asyncio.get_running_loop()
        pump = loop.create_task(self._pump(use))
        stops = {
            loop.create_task(self._channel.cancelled.wait()),
            loop.create_task(self._instance.ended.wait()),
        }
        try:
            await asyncio.wait({pump, *stops}, return_when=asyncio.FIRST_COMPLETED)
            if not pump.done() and self._instance.ended_because == "crashed":
                await asyncio.wait({pump}, timeout=CRASH_PATIENCE_SECONDS)
        finally:
            for task in (pump, *stops):
                task.cancel()
            await asyncio.wait({pump, *stops})
        return self._ending(pump)

    def _ending(self, pump: asyncio.Task[None]) -> Ending | None:
        error = None if pump.cancelled() else pump.exception()
        if not pump.cancelled() and error is None:
            return None
        if self._channel.cancelled.is_set():
            return "userStopped"
        if self._instance.ended_because == "unloaded":
            return "modelUnloaded"
        if error is not None:
            raise error
        raise EngineCrashedError("the engine ended in the middle of a prediction.")

    async def _pump(self, use: Use) -> None:
        try:
            return await self._stream(use)
        except ContextOverflowError as error:
            shorter = await self._shortened(error)
            if shorter is None:
                raise
        self._request = shorter
        return await self._stream(use)

    async def _shortened(self, error: ContextOverflowError) -> Request | None:
        """The request cut so that it fits and leaves room for an answer; ``None``: cannot be."""
        request, tokens, context = self._request, error.prompt_tokens, error.context_length
        limit = context - answer_room(request.sampling, context)
        a_picture = await self._picture_tokens(error)
        for _ in range(SHORTENING_ATTEMPTS):
            shorter = shorten(request, self._overflow, limit / tokens) if tokens > 0 else None
            if shorter is None:
                return None
            request = shorter
            tokens = await self._measure(shorter) + int(a_picture * _pictures(shorter))
            if tokens <= limit:
                _log.info(
                    "%r: prompt of %d tokens shortened to %d for a context of %d (%s)",
                    self._instance.identifier,
                    error.prompt_tokens,
                    tokens,
                    context,
                    self._overflow,
                )
                return request
        return None

    async def _picture_tokens(self, error: ContextOverflowError) -> float:
        """How many tokens a picture has, on average: what the prompt has beside its text."""
        count = _pictures(self._request)
        if count == 0:
            return 0.0
        return max(0, error.prompt_tokens - await self._measure(self._request)) / count

    async def _measure(self, request: Request) -> int:
        model = self._instance.model
        if isinstance(request, CompletionRequest):
            return len(await model.tokenize(request.prompt))
        return len(await model.tokenize(await model.apply_template(request)))

    async def _stream(self, use: Use) -> None:
        fold, send, splitter = self._fold, self._channel.send, self._splitter
        record = self._channel.services.record
        await self._transcript.begin(self._request)
        async with aclosing(self._open()) as events:
            async for event in events:
                self._transcript.feed(event)
                if not isinstance(event, (PromptProgress, Finished)):
                    use.now("generating")
                if isinstance(event, Text):
                    self._counted += event.tokens_count
                    record.predicted_tokens += event.tokens_count
                now = time.monotonic()
                pieces = (event,) if splitter is None else splitter.feed(event)
                for piece in (*pieces, *self._as_text(event)):
                    packet = fold.feed(piece, now)
                    if packet is not None:
                        await send(packet)

    def _as_text(self, event: EngineEvent) -> Sequence[EngineEvent]:
        """What a call that cannot be read is besides: text, as the model wrote it."""
        if not isinstance(event, ToolCallFailed):
            return ()
        _log.warning(
            "%r: a tool call is told as text: %s", self._instance.identifier, event.message
        )
        return (Text(event.raw, tokens_count=0),) if event.raw else ()

    def _open(self) -> AsyncGenerator[EngineEvent, None]:
        if isinstance(self._request, ChatRequest):
            return self._instance.model.chat(self._request)
        return self._instance.model.complete(self._request)

    async def _succeed(self, ending: Ending | None) -> None:
        stats = self._fold.stats(time.monotonic(), ending)
        record = self._channel.services.record
        record.predictions += 1
        self._transcript.end(stats)
        # Tokens of tool calls and of markup are known in the end only.
        record.predicted_tokens += max(0, stats["predictedTokensCount"] - self._counted)
        _log.info(
            "%r: %s prompt and %d predicted tokens in %.2f s, %s",
            self._instance.identifier,
            stats.get("promptTokensCount", "?"),
            stats["predictedTokensCount"],
            stats["totalTimeSec"],
            stats["stopReason"],
        )
        await self._channel.send(
            {
                "type": "success",
                "stats": stats,
                "modelInfo": instance_info(self._instance),
                "loadModelConfig": fields(self._instance.load_config),
                "predictionConfig": fields(self._config),
            }
        )


def _pictures(request: Request) -> int:
    return pictures(request.messages) if isinstance(request, ChatRequest) else 0


def answer_room(sampling: Sampling, context: int) -> int:
    """How many tokens of a context a shortened prompt leaves to the answer."""
    return min(sampling.max_tokens or context // 4, context // 2)


def shorten(request: Request, policy: OverflowPolicy, keep: float) -> Request | None:
    """The request with about ``keep`` (0 to 1) of its text; ``None`` if it cannot be shortened.

    Args:
        request: The chat or text, as the engine would get it.
        policy: The client's word for how texts are shortened.
        keep: The share of the text to keep, 0.0 to 1.0.
    """
    if policy == "stopAtLimit":
        return None
    # Tokens are not spread evenly over the text: a little more has to go than it seems.
    keep = min(keep * 0.98, 0.95)
    if isinstance(request, CompletionRequest):
        text = shorten_text(request.prompt, policy, keep)
        return None if text is None else replace(request, prompt=text)
    messages = shorten_messages(request.messages, policy, keep)
    return None if messages is None else replace(request, messages=messages)
