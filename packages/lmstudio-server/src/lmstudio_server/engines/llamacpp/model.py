"""A loaded model: the engine contract over one worker."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    EngineCrashedError,
    EngineError,
    EngineEvent,
    Finished,
    LoadRequest,
    PromptProgress,
    Sampling,
    Text,
)

from .bodies import (
    chat_body,
    completion_body,
    forced_call_schema,
    images_of,
    offered_tools,
    prompt_with_images,
    template_body,
)
from .calls import CallParser
from .chat_fold import ChatFold
from .completion_fold import CompletionFold
from .diagnosis import (
    ignored_schema_error,
    ignores_schema,
    response_error,
    schema_error,
)
from .markup import (
    CALL_PROBE,
    CALL_START,
    MarkupSplitter,
    end_tag,
    has_tagged_call,
    open_thinking,
    start_tag,
)
from .stops import StopMatcher
from .templates import render
from .thinking import Thinking
from .transport import ConnectionLostError, StatusError, WorkerClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from .supervisor import Worker

_END_SECONDS = 5.0
"""How long a process whose connections broke is given to be seen ending."""
_LOG_SECONDS = 2.0
"""How long the log is given to say why a schema was not applied."""


def _new_call_id() -> str:
    return uuid.uuid4().hex


class LlamaCppModel:
    """A model in a worker process. ``LlamaCppEngine.load`` makes it.

    Args:
        worker: The process.
        client: Asks it.
        request: How the model was loaded.
        properties: What the worker's ``/props`` says.
    """

    def __init__(
        self,
        worker: Worker,
        client: WorkerClient,
        request: LoadRequest,
        properties: Mapping[str, Any],
    ) -> None:
        self._worker = worker
        self._client = client
        self._request = request
        self._context_length = int(properties["default_generation_settings"]["n_ctx"])
        self._special_tokens = {
            name: str(properties.get(name) or "") for name in ("bos_token", "eos_token")
        }
        self._media_marker = str(properties.get("media_marker") or "")
        self._tagged_calls: bool | None = None

    @property
    def context_length(self) -> int:
        """How many tokens a prompt and its answer may have together."""
        return self._context_length

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._worker.pid

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the reason if the process ends without ``unload``.

        If it has ended already, ``callback`` is called at once.
        """
        self._worker.on_exit(callback)

    async def unload(self) -> None:
        """End the process and wait until its memory is free. Safe to call twice."""
        await self._worker.stop()

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
        return self._timed(lambda: self._chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of a raw prompt's continuation. Closes and raises as ``chat`` does."""
        return self._timed(lambda: self._complete(request))

    async def apply_template(self, request: ChatRequest) -> str:
        """Return the prompt the model would be given. Raises as ``chat`` does."""
        async with self._explained():
            return await self._prompt(request, constrained=False)

    async def tokenize(self, text: str) -> list[int]:
        """Return the ids of the tokens of ``text``.

        An embedding model's start and end tokens are included, as they are when it embeds.
        """
        special = self._request.kind == "embedding"
        async with self._explained():
            answer = await self._client.post(
                "/tokenize", {"content": text, "add_special": special, "parse_special": True}
            )
        return [int(token) for token in answer["tokens"]]

    async def embed(self, text: str) -> list[float]:
        """Return the mean of the token embeddings of ``text``, normalised to length 1.

        Raises as ``chat`` does; ``EngineError`` too if the model was not loaded for embedding.
        """
        async with self._explained():
            answer = await self._client.post("/v1/embeddings", {"input": text})
        return [float(value) for value in answer["data"][0]["embedding"]]

    async def _timed(
        self, start: Callable[[], AsyncGenerator[EngineEvent, None]]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Add the times to ``Finished``, and turn what goes wrong into engine errors."""
        began = time.monotonic()
        first: float | None = None
        async with self._explained(), aclosing(start()) as events:
            async for event in events:
                if isinstance(event, Finished):
                    total = time.monotonic() - began
                    yield replace(event, time_to_first_token=first, total_time=total)
                    continue
                if first is None and not isinstance(event, PromptProgress):
                    first = time.monotonic() - began
                yield event

    async def _chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Choose how to ask llama.cpp, and do so."""
        sampling = request.sampling
        tools = offered_tools(request)
        own_template = request.chat_template is not None
        if sampling.json_schema is not None or sampling.grammar is not None:
            route = self._constrained(request)
        elif tools and request.tool_choice == "required" and await self._has_tagged_calls(request):
            route = self._forced_call(request, tools)
        elif own_template or (
            tools and sampling.log_probs is not None and await self._has_tagged_calls(request)
        ):
            route = self._marked_up(request)
        else:
            route = self._parsed(request)
        async with aclosing(route) as events:
            async for event in events:
                yield event

    async def _parsed(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Let llama.cpp apply the model's template and parse what the model writes."""
        sampling = request.sampling
        fold = ChatFold(max_tokens=sampling.max_tokens, log_probs=sampling.log_probs)
        matcher = StopMatcher(sampling.stop)
        body = chat_body(request, self._request.seed)
        async with aclosing(self._client.stream("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                for event in fold.feed(chunk):
                    for passed in matcher.pass_on(event):
                        yield passed
                    if matcher.matched is not None:
                        yield fold.stopped(matcher.matched)
                        return
        for event in (*matcher.flush(), *fold.finish()):
            yield event

    async def _marked_up(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Render the prompt, and tell reasoning and tool calls apart on our side."""
        prompt = await self._prompt(request, constrained=False)
        splitter = MarkupSplitter(
            opened=open_thinking(prompt),
            tools=bool(offered_tools(request)),
            new_call_id=_new_call_id,
        )
        fold = self._fold(request.sampling)
        stream = self._continue(prompt, request.sampling, fold, images_of(request.messages))
        async with aclosing(stream) as events:
            async for event in events:
                for part in splitter.feed(event) if isinstance(event, Text) else (event,):
                    yield part
        for event in splitter.finish(cut_off=fold.cut_off):
            yield event
        yield fold.finished(called_tools=splitter.calls > 0)

    async def _constrained(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Keep the answer to a schema or grammar from its first token on."""
        thinking = Thinking(await self._prompt(request, constrained=True))
        async with aclosing(self._think(request, thinking)) as events:
            async for event in events:
                yield event
        if thinking.unfinished:
            return
        sampling = thinking.remaining(request.sampling)
        fold = self._fold(sampling)
        stream = self._continue(thinking.prompt, sampling, fold, images_of(request.messages))
        async with aclosing(stream) as events:
            async for event in events:
                if thinking.fold is None or not isinstance(event, PromptProgress):
                    yield event
        yield thinking.together(fold.finished())

    async def _forced_call(
        self, request: ChatRequest, tools: Sequence[Mapping[str, Any]]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Make the model call one of ``tools``: begin the call for it, and hold it to the schema."""
        thinking = Thinking(await self._prompt(request, constrained=True))
        async with aclosing(self._think(request, thinking)) as events:
            async for event in events:
                yield event
        if thinking.unfinished:
            return
        sampling = replace(
            thinking.remaining(request.sampling), json_schema=forced_call_schema(tools), stop=()
        )
        fold = self._fold(sampling)
        call = CallParser(_new_call_id())
        prompt = f"{thinking.prompt}{CALL_START}\n"
        stream = self._continue(prompt, sampling, fold, images_of(request.messages))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Text):
                    for part in call.feed(event.content):
                        yield part
                elif thinking.fold is None:
                    yield event
        for event in call.finish(cut_off=fold.cut_off):
            yield event
        yield thinking.together(fold.finished(called_tools=True))

    async def _think(
        self, request: ChatRequest, thinking: Thinking
    ) -> AsyncGenerator[EngineEvent, None]:
        """Let the model think to the end if the prompt begins it; ``thinking`` knows the outcome."""
        if thinking.tags is None:
            return
        start, end = thinking.tags
        thinking.fold = fold = self._fold(request.sampling)
        begun = False
        stream = self._continue(
            thinking.prompt_before,
            thinking.free(request.sampling),
            fold,
            images_of(request.messages),
        )
        async with aclosing(stream) as events:
            async for event in events:
                if not isinstance(event, Text):
                    yield event
                    continue
                if not begun:
                    begun = True
                    yield start_tag(start, tokens_count=0)
                yield replace(event, reasoning="reasoning")
        yield end_tag(end) if fold.stop_string is not None else fold.finished()

    async def _complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        fold = self._fold(request.sampling)
        stream = self._continue(request.prompt, request.sampling, fold, ())
        async with aclosing(stream) as events:
            async for event in events:
                yield event
        yield fold.finished()

    async def _continue(
        self, prompt: str, sampling: Sampling, fold: CompletionFold, images: Sequence[str]
    ) -> AsyncGenerator[EngineEvent, None]:
        """Continue ``prompt``; ``fold`` knows afterwards how it ended."""
        tag = None if sampling.json_schema is None else f"lmstudio-{uuid.uuid4().hex}"
        whole = prompt_with_images(prompt, images, self._media_marker)
        body = completion_body(whole, sampling, self._request.seed, schema_tag=tag)
        async with aclosing(self._client.stream("/completion", body)) as chunks:
            async for chunk in chunks:
                events = fold.feed(chunk)
                if tag is not None:
                    await self._check_schema(tag, fold)
                for event in events:
                    yield event

    async def _check_schema(self, tag: str, fold: CompletionFold) -> None:
        """Raise if llama.cpp could not compile the schema: it goes on without, and only logs it."""
        error = schema_error(self._worker.stderr_lines, tag)
        if error is not None:
            raise error
        if ignores_schema(fold.text, ended=fold.ended):
            await self._worker.wait_stderr(tag, _LOG_SECONDS)
            raise ignored_schema_error(self._worker.stderr_lines, tag)

    def _fold(self, sampling: Sampling) -> CompletionFold:
        return CompletionFold(max_tokens=sampling.max_tokens, log_probs=sampling.log_probs)

    async def _prompt(self, request: ChatRequest, *, constrained: bool) -> str:
        """Return the prompt by the request's template, or else the model's."""
        if request.chat_template is not None:
            return render(
                request,
                request.chat_template,
                constrained=constrained,
                special_tokens=self._special_tokens,
                media_marker=self._media_marker,
            )
        body = template_body(request, constrained=constrained)
        answer = await self._client.post("/apply-template", body)
        return str(answer["prompt"])

    async def _has_tagged_calls(self, request: ChatRequest) -> bool:
        """Whether the template writes calls as ``<tool_call>{"name": …``: then we can, too."""
        if self._tagged_calls is not None and request.chat_template is None:
            return self._tagged_calls
        probe = replace(request, messages=CALL_PROBE, enable_thinking=None)
        try:
            prompt = await self._prompt(probe, constrained=True)
        except (StatusError, EngineError):
            prompt = ""
        tagged = has_tagged_call(prompt)
        if request.chat_template is None:
            self._tagged_calls = tagged
        return tagged

    @asynccontextmanager
    async def _explained(self) -> AsyncGenerator[None, None]:
        """Turn the transport's errors into the contract's."""
        try:
            yield
        except StatusError as error:
            raise response_error(error.status, error.payload, self._worker.stderr_lines) from error
        except ConnectionLostError as error:
            raise await self._lost(error) from error

    async def _lost(self, error: ConnectionLostError) -> EngineError:
        try:
            await asyncio.wait_for(self._worker.wait_gone(), _END_SECONDS)
        except asyncio.TimeoutError:
            return EngineError(
                "The connection to the engine broke",
                cause=str(error),
                suggestion="Try again; if it happens again, unload and load the model.",
            )
        name = self._request.path.name
        if self._worker.ending:
            return EngineCrashedError(
                f"{name} was unloaded during the request", suggestion="Load the model again."
            )
        return EngineCrashedError(
            f"The engine's process for {name} ended unexpectedly",
            cause=self._worker.exit_reason,
            suggestion="Load the model again, with a smaller contextLength if memory is short.",
        )
