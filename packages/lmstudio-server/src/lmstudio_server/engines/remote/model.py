"""A model of a remote server: the engine contract over OpenAI's API."""

from __future__ import annotations

import time
import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    ContextOverflowError,
    Embedding,
    EngineError,
    EngineEvent,
    Finished,
    PromptProgress,
)
from lmstudio_server.engines.llamacpp.bodies import template_body
from lmstudio_server.engines.llamacpp.calling import call_or_answer, first_call_only
from lmstudio_server.engines.llamacpp.stops import StopMatcher
from lmstudio_server.engines.llamacpp.transport import StatusError

from .bodies import chat_body, completion_body
from .chunks import RemoteFold
from .problems import lacks, not_openai, unknown_model

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from lmstudio_server.engines.base import ChatRequest, CompletionRequest, Sampling

    from .client import RemoteClient
    from .settings import Dialect

__all__ = ["RemoteLoadedModel"]


class RemoteLoadedModel:
    """A model that a remote server has. ``RemoteEngine.load`` makes it.

    Args:
        client: Asks the server.
        name: The server's name for the model.
        context_length: In tokens.
        dialect: What the server understands beyond OpenAI's API.
    """

    def __init__(
        self, client: RemoteClient, name: str, context_length: int, dialect: Dialect
    ) -> None:
        self._client = client
        self._name = name
        self._context_length = context_length
        self._dialect: Dialect = dialect

    @property
    def context_length(self) -> int:
        """How many tokens a prompt and its answer may have together, as far as it is known."""
        return self._context_length

    @property
    def pid(self) -> int | None:
        """None: its process is on another machine."""
        return None

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Never calls ``callback``: each request finds out for itself whether the server is there."""

    async def unload(self) -> None:
        """Let the connections go. The model stays where it is: other clients may be using it."""
        await self._client.close()

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of the answer to a conversation; the last one is ``Finished``.

        Closing the generator closes the connection, by which servers know that nobody waits.

        Raises:
            ContextOverflowError: the conversation does not fit, and can be measured.
            EngineError: the server is not there, is silent, or refuses; or it lacks what is asked.
        """
        return self._timed(self._chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of a raw prompt's continuation. Closes and raises as ``chat`` does."""
        return self._timed(self._complete(request))

    async def apply_template(self, request: ChatRequest) -> str:
        """Return the prompt the model would be given, where the server is llama.cpp's.

        Raises:
            EngineError: OpenAI's API has nothing for this.
        """
        problem = lacks(
            self._client.server, "Applying a prompt template", "Use a model of llama.cpp's server."
        )
        if self._dialect != "llama.cpp" or request.chat_template is not None:
            raise problem
        answer = await self._beside("/apply-template", template_body(request), problem)
        return str(answer["prompt"])

    async def tokenize(self, text: str) -> list[int]:
        """Return the ids of the tokens of ``text``, where the server is llama.cpp's or vLLM's.

        Raises:
            EngineError: OpenAI's API has nothing for this.
        """
        problem = lacks(
            self._client.server,
            "Tokenization",
            "Use a model of llama.cpp's server or vLLM, or count with the model's own tokenizer.",
        )
        body: dict[str, Any]
        if self._dialect == "llama.cpp":
            body = {"content": text, "add_special": False, "parse_special": True}
        elif self._dialect == "vllm":
            body = {"model": self._name, "prompt": text, "add_special_tokens": False}
        else:
            raise problem
        answer = await self._beside("/tokenize", body, problem)
        return [int(token) for token in answer["tokens"]]

    async def embed(self, text: str) -> Embedding:
        """Return the embedding of ``text`` as the server makes it. Raises as ``chat`` does."""
        try:
            answer = await self._client.post("embeddings", {"model": self._name, "input": text})
            return Embedding.of_answer(answer)
        except StatusError as error:
            raise self._not_found() from error
        except (LookupError, TypeError, ValueError) as error:
            raise not_openai(
                self._client.server, f"no embedding in the answer: {error!r}"
            ) from error

    async def _chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        if request.chat_template is not None and self._dialect != "vllm":
            raise lacks(
                self._client.server,
                "Another prompt template than the model's own",
                "Leave promptTemplate out of the config.",
            )
        self._check_grammar(request.sampling)
        route = self._answer(request)
        if not request.parallel_tool_calls:
            route = first_call_only(route)
        async with aclosing(route) as events:
            async for event in events:
                yield event

    def _answer(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        schema = request.sampling.json_schema is not None and request.tool_choice == "auto"
        if schema and request.tools and self._dialect == "llama.cpp":
            # Its server leaves the tools out where the answer has a schema.
            free = replace(request, sampling=replace(request.sampling, json_schema=None))
            held = replace(request, tools=())
            return call_or_answer(self._asked(free), lambda _thought: self._asked(held))
        return self._asked(request)

    def _asked(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        body = chat_body(self._name, request, self._dialect)
        return self._run("chat/completions", body, request.sampling)

    async def _complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        self._check_grammar(request.sampling)
        body = completion_body(self._name, request, self._dialect)
        async with aclosing(self._run("completions", body, request.sampling)) as events:
            async for event in events:
                yield event

    async def _run(
        self, path: str, body: Mapping[str, Any], sampling: Sampling
    ) -> AsyncGenerator[EngineEvent, None]:
        fold = RemoteFold(
            max_tokens=sampling.max_tokens,
            log_probs=sampling.log_probs,
            new_call_id=lambda: uuid.uuid4().hex,
        )
        matcher = StopMatcher(sampling.stop)
        async with aclosing(self._client.stream(path, body)) as chunks:
            async for chunk in chunks:
                for event in self._fed(fold, chunk):
                    for passed in matcher.pass_on(event):
                        yield passed
                    if matcher.matched is not None:
                        yield fold.stopped(matcher.matched)
                        return
        if not fold.finished:
            raise not_openai(self._client.server, "the stream ended before the answer did")
        for event in (*matcher.flush(), *fold.finish()):
            yield event

    def _fed(self, fold: RemoteFold, chunk: Mapping[str, Any]) -> list[EngineEvent]:
        try:
            return fold.feed(chunk)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise not_openai(self._client.server, f"an odd chunk: {error!r}") from error

    async def _timed(
        self, events: AsyncGenerator[EngineEvent, None]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Add the times to ``Finished``, and say what the errors are about."""
        began = time.monotonic()
        first: float | None = None
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Finished):
                        total = time.monotonic() - began
                        yield replace(event, time_to_first_token=first, total_time=total)
                        continue
                    if first is None and not isinstance(event, PromptProgress):
                        first = time.monotonic() - began
                    yield event
        except StatusError as error:
            raise self._not_found() from error
        except ContextOverflowError as error:
            raise self._overflow(error) from error

    def _overflow(self, error: ContextOverflowError) -> EngineError:
        """A prompt can be shortened only where it can be measured."""
        if self._dialect == "llama.cpp":
            return error
        return EngineError(
            error.title, suggestion="Shorten the conversation, or use a model with more context."
        )

    def _check_grammar(self, sampling: Sampling) -> None:
        if sampling.grammar is not None and self._dialect == "openai":
            raise lacks(self._client.server, "A GBNF grammar", "Use a JSON schema instead.")

    async def _beside(self, path: str, body: Mapping[str, Any], problem: EngineError) -> Any:
        """Ask for something that is no part of OpenAI's API."""
        try:
            return await self._client.post(path, body)
        except StatusError as error:
            raise problem from error

    def _not_found(self) -> EngineError:
        return unknown_model(self._client.server, self._name, [])
