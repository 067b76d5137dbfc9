"""A loaded model: the engine contract over its worker, and over those with draft models."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    ContextOverflowError,
    ContextSharedError,
    Draft,
    Embedding,
    EngineEvent,
    Finished,
    PromptProgress,
    Text,
)

from .answering import answer
from .diagnosis import (
    GRAMMAR_REFUSED,
    LOG_SECONDS,
    empty_text_error,
    names_grammar,
    response_error,
    too_long_text_error,
)
from .drafting import DraftWorkers
from .transport import ConnectionLostError, StatusError
from .turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lmstudio_server.engines.base import LoadRequest

    from .generation import Generator
    from .supervisor import Worker


class LlamaCppModel:
    """A model in a worker process. ``LlamaCppEngine.load`` makes it.

    Args:
        generator: Asks the worker.
        request: How the model was loaded.
    """

    def __init__(self, generator: Generator, request: LoadRequest) -> None:
        self._generator = generator
        self._request = request
        self._drafts = DraftWorkers(request)
        self._turns = Turns(request.parallel)

    @property
    def context_length(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return self._generator.context_length

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._generator.worker.pid

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the reason if the process ends without ``unload``.

        If it has ended already, ``callback`` is called at once.
        """
        self._generator.worker.on_exit(callback)

    async def unload(self) -> None:
        """End the process and wait until its memory is free. Safe to call twice."""
        await asyncio.gather(self._generator.stop(), self._drafts.stop())

    async def preload_draft(self, draft: Draft) -> None:
        """Start the process that generates with ``draft``; it stays until another draft is used.

        Raises:
            EngineError: the draft cannot be loaded, or its vocabulary is another one.
        """
        async with self._drafts.use(draft):
            pass

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of the answer to a conversation; the last one is ``Finished``.

        Closing the generator cancels. With a schema or grammar, which hold from the first token on,
        thinking is off unless ``enable_thinking`` is true. Stop strings are looked for in all text,
        reasoning included, but not inside tool calls. Token probabilities together with tools are
        reported for models that call tools in ``<tool_call>`` tags, and left out for others.

        Raises:
            ContextOverflowError: the conversation does not fit.
            EngineCrashedError: the process ended meanwhile.
            EngineError: the engine refused; its words are the ``cause``.
        """
        return self._timed(request.draft, lambda generator: answer(generator, request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of a raw prompt's continuation. Closes and raises as ``chat`` does."""
        return self._timed(request.draft, lambda generator: generator.complete(request))

    async def apply_template(self, request: ChatRequest) -> str:
        """Return the prompt the model would be given. Raises as ``chat`` does."""
        async with self._explained(self._generator.worker):
            return await self._generator.prompt(request, constrained=False)

    async def framed(self, prompt: str, *, start: bool, end: bool) -> str:
        """Return ``prompt`` with or without the tokens for the start and the end of a text.

        Args:
            prompt: The text.
            start: Whether the tokens for the start of a text are wanted.
            end: The same for the end.
        """
        async with self._explained(self._generator.worker):
            return await self._generator.framed(prompt, start=start, end=end)

    async def tokenize(self, text: str) -> list[int]:
        """Return the ids of the tokens of ``text``.

        An embedding model's start and end tokens are included, as they are when it embeds.
        """
        special = self._request.kind == "embedding"
        async with self._explained(self._generator.worker):
            return await self._generator.tokenize(text, special=special)

    async def embed(self, text: str) -> Embedding:
        """Return the mean of the token embeddings of ``text``, normalised to length 1.

        Raises as ``chat`` does; ``EngineError`` too if the text is empty, or the model was not loaded
        for embedding.
        """
        if not text:
            raise empty_text_error()
        try:
            async with self._explained(self._generator.worker):
                answer = await self._generator.client.post("/v1/embeddings", {"input": text})
        except ContextOverflowError as error:
            raise too_long_text_error(error) from error
        return Embedding.of_answer(answer)

    async def _timed(
        self, draft: Draft | None, start: Callable[[Generator], AsyncGenerator[EngineEvent, None]]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Add the times to ``Finished``, and turn what goes wrong into engine errors."""
        began = time.monotonic()
        first: float | None = None
        async with (
            self._drafting(draft) as generator,
            aclosing(self._with_room(generator, start)) as events,
        ):
            async for event in events:
                if isinstance(event, Finished):
                    total = time.monotonic() - began
                    yield replace(event, time_to_first_token=first, total_time=total)
                    continue
                if first is None and not isinstance(event, PromptProgress):
                    first = time.monotonic() - began
                yield event

    async def _with_room(
        self,
        generator: Generator,
        start: Callable[[Generator], AsyncGenerator[EngineEvent, None]],
    ) -> AsyncGenerator[EngineEvent, None]:
        """Generate beside others; when they all have filled their common context, end or begin anew.

        llama.cpp then fails all of them. Those that have said something end there, as at the end of
        a context of their own; the others run again, one after the other.
        """
        prompt_tokens = predicted_tokens = 0
        begun = False
        try:
            async with (
                self._turns.together(),
                aclosing(self._asked(generator, start)) as events,
            ):
                async for event in events:
                    if isinstance(event, PromptProgress):
                        prompt_tokens = event.total
                    else:
                        begun = True
                    if isinstance(event, Text):
                        predicted_tokens += event.tokens_count
                    yield event
        except ContextSharedError:
            if not self._request.unified_cache or self._request.parallel == 1:
                raise
        else:
            return
        if begun:
            yield Finished("context", None, prompt_tokens, predicted_tokens)
            return
        async with self._turns.alone(), aclosing(self._asked(generator, start)) as events:
            async for event in events:
                yield event

    async def _asked(
        self,
        generator: Generator,
        start: Callable[[Generator], AsyncGenerator[EngineEvent, None]],
    ) -> AsyncGenerator[EngineEvent, None]:
        async with self._explained(generator.worker), aclosing(start(generator)) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _drafting(self, draft: Draft | None) -> AsyncGenerator[Generator, None]:
        """The worker that generates with ``draft``."""
        if draft is None:
            yield self._generator
            return
        async with self._drafts.use(draft) as generator:
            yield generator

    @asynccontextmanager
    async def _explained(self, worker: Worker) -> AsyncGenerator[None, None]:
        """Turn the transport's errors into the contract's."""
        start = worker.stderr_count
        try:
            yield
        except StatusError as error:
            if names_grammar(error.payload):
                await worker.wait_stderr(GRAMMAR_REFUSED, LOG_SECONDS, start)
            raise response_error(
                error.status, error.payload, worker.stderr_since(start), self.context_length
            ) from error
        except ConnectionLostError as error:
            raise await worker.lost(self._request.path.name, error) from error
