"""Generating: the ways to ask one worker for an answer, and which one a request takes."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    EngineError,
    EngineEvent,
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
from .diagnosis import LOG_SECONDS, ignored_schema_error, ignores_schema, schema_error
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
from .templates import Templates
from .thinking import Thinking
from .transport import StatusError, WorkerClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from .supervisor import Worker


def _new_call_id() -> str:
    return uuid.uuid4().hex


class Generator:
    """Asks one worker for answers. Its methods raise what the transport raises.

    Args:
        worker: The process.
        client: Asks it.
        request: How its model was loaded.
        properties: What the worker's ``/props`` says.
    """

    def __init__(
        self,
        worker: Worker,
        client: WorkerClient,
        request: LoadRequest,
        properties: Mapping[str, Any],
    ) -> None:
        self.worker = worker
        self.client = client
        self._request = request
        self.context_length: int = int(properties["default_generation_settings"]["n_ctx"])
        """How many tokens a prompt and its answer may have together."""
        self._special_tokens = {
            name: str(properties.get(name) or "") for name in ("bos_token", "eos_token")
        }
        self._media_marker = str(properties.get("media_marker") or "")
        self._templates = Templates(self._special_tokens, self._media_marker)
        worker.on_exit(lambda _reason: self._templates.abandon())
        self._tagged_calls: bool | None = None
        self._adds_start: bool | None = None

    async def stop(self) -> None:
        """End the worker and whatever else runs for it. Safe to call twice and to cancel."""
        await asyncio.gather(self.worker.stop(), self._templates.close())

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of the tokens of ``text``, with its start and end tokens if ``special``."""
        answer = await self.client.post(
            "/tokenize", {"content": text, "add_special": special, "parse_special": True}
        )
        return [int(token) for token in answer["tokens"]]

    async def framed(self, prompt: str, *, start: bool, end: bool) -> str:
        """Return ``prompt`` with or without the model's tokens for the start and the end of a text.

        None is added but a start token that llama.cpp adds itself.

        Args:
            prompt: The text.
            start: Whether the tokens for the start of a text are wanted.
            end: The same for the end.
        """
        bos, eos = self._special_tokens["bos_token"], self._special_tokens["eos_token"]
        if eos and not end:
            prompt = prompt.rstrip().removesuffix(eos) if prompt.rstrip().endswith(eos) else prompt
        if not start:
            return prompt.removeprefix(bos)
        if bos and not prompt.startswith(bos) and await self._starts_prompts(bos):
            return bos + prompt
        return prompt

    async def _starts_prompts(self, bos: str) -> bool:
        """Whether llama.cpp puts ``bos`` before every prompt."""
        if self._adds_start is None:
            added = (await self.tokenize("", special=True))[:1]
            self._adds_start = bool(added) and added == await self.tokenize(bos)
        return self._adds_start

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of the answer to a conversation; the last one is ``Finished``."""
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
        fold = ChatFold(
            max_tokens=sampling.max_tokens,
            log_probs=sampling.log_probs,
            draft=self._draft_name,
            thinks_on=bool(request.reasoning_budget),
        )
        matcher = StopMatcher(sampling.stop)
        body = chat_body(request, self._request.seed, self.context_length)
        body |= await self._budget(request)
        async with aclosing(self.client.stream("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                for event in fold.feed(chunk):
                    for passed in matcher.pass_on(event):
                        yield passed
                    if matcher.matched is not None:
                        yield fold.stopped(matcher.matched)
                        return
                if self._is_full(sampling, fold):
                    for event in (*matcher.flush(), *fold.filled()):
                        yield event
                    return
        for event in (*matcher.flush(), *fold.finish()):
            yield event

    async def _marked_up(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Render the prompt, and tell reasoning and tool calls apart on our side."""
        prompt = await self.prompt(request, constrained=False)
        thinking = self._thinking(request, prompt)
        if request.reasoning_budget is not None:
            async with aclosing(self._think(request, thinking)) as events:
                async for event in events:
                    yield event
            if thinking.unfinished:
                return
        splitter = MarkupSplitter(
            opened=open_thinking(thinking.prompt),
            tools=bool(offered_tools(request)),
            new_call_id=_new_call_id,
        )
        sampling = thinking.remaining(request.sampling)
        fold = self._fold(sampling)
        stream = self._continue(thinking.prompt, sampling, fold, images_of(request.messages))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, PromptProgress) and thinking.fold is not None:
                    continue
                for part in splitter.feed(event) if isinstance(event, Text) else (event,):
                    yield thinking.counted(part, fold)
        for event in splitter.finish(cut_off=fold.cut_off):
            yield thinking.counted(event, fold)
        yield thinking.together(fold.finished(called_tools=splitter.calls > 0))

    async def _constrained(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Keep the answer to a schema or grammar from its first token on."""
        thinking = self._thinking(request, await self.prompt(request, constrained=True))
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
        thinking = self._thinking(request, await self.prompt(request, constrained=True))
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
                        yield thinking.counted(part, fold)
                elif thinking.fold is None:
                    yield event
        for event in call.finish(cut_off=fold.cut_off):
            yield thinking.counted(event, fold)
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
        if thinking.last_words:
            yield Text(thinking.last_words, tokens_count=0, reasoning="reasoning")
        if thinking.unfinished:
            yield fold.finished()
        else:
            yield end_tag(end, tokens_count=0 if thinking.budget_spent else 1)

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events of a raw prompt's continuation; the last one is ``Finished``."""
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
        bos = self._special_tokens["bos_token"]
        if bos and prompt.startswith(bos) and await self._starts_prompts(bos):
            # Templates written for other programs have it, too; a model has never seen it twice.
            prompt = prompt.removeprefix(bos)
        whole = prompt_with_images(prompt, images, self._media_marker)
        body = completion_body(
            whole, sampling, self._request.seed, self.context_length, schema_tag=tag
        )
        async with aclosing(self.client.stream("/completion", body)) as chunks:
            async for chunk in chunks:
                events = fold.feed(chunk)
                if tag is not None:
                    await self._check_schema(tag, fold)
                for event in events:
                    yield event
                if self._is_full(sampling, fold):
                    fold.fill()
                    return

    def _is_full(self, sampling: Sampling, fold: ChatFold | CompletionFold) -> bool:
        """Whether a generation that is to stop at the end of the context has come there.

        The worker's context shifts for the others, so it would not stop by itself.
        """
        used = fold.prompt_tokens + fold.predicted_tokens
        return sampling.overflow == "stop" and not fold.over and used >= self.context_length

    async def _check_schema(self, tag: str, fold: CompletionFold) -> None:
        """Raise if llama.cpp could not compile the schema: it goes on without, and only logs it."""
        error = schema_error(self.worker.stderr_lines, tag)
        if error is not None:
            raise error
        if ignores_schema(fold.text, ended=fold.ended):
            await self.worker.wait_stderr(tag, LOG_SECONDS)
            raise ignored_schema_error(self.worker.stderr_lines, tag)

    def _fold(self, sampling: Sampling) -> CompletionFold:
        return CompletionFold(
            max_tokens=sampling.max_tokens, log_probs=sampling.log_probs, draft=self._draft_name
        )

    @property
    def _draft_name(self) -> str | None:
        return None if self._request.draft is None else self._request.draft.name

    def _thinking(self, request: ChatRequest, prompt: str) -> Thinking:
        return Thinking(prompt, request.reasoning_budget, self._request.reasoning_budget_message)

    async def _budget(self, request: ChatRequest) -> dict[str, Any]:
        """Return what limits the thinking that llama.cpp parses.

        It counts what the prompt has after its opening tag, and cannot end thinking before the first
        token that comes after that.
        """
        if request.reasoning_budget is None:
            return {}
        prompt = await self.prompt(request, constrained=False)
        tags = open_thinking(prompt)
        begun = 0
        if tags is not None:
            begun = len(await self.tokenize(prompt[prompt.rfind(tags[0]) + len(tags[0]) :]))
        budget = {"thinking_budget_tokens": begun + max(1, request.reasoning_budget)}
        message = self._request.reasoning_budget_message
        return budget | ({"reasoning_budget_message": message} if message else {})

    async def prompt(self, request: ChatRequest, *, constrained: bool) -> str:
        """Return the prompt by the request's template, or else the model's."""
        if request.chat_template is not None:
            return await self._templates.render(
                request, request.chat_template, constrained=constrained
            )
        body = template_body(request, constrained=constrained)
        answer = await self.client.post("/apply-template", body)
        return str(answer["prompt"])

    async def _has_tagged_calls(self, request: ChatRequest) -> bool:
        """Whether the template writes calls as ``<tool_call>{"name": …``: then we can, too."""
        if self._tagged_calls is not None and request.chat_template is None:
            return self._tagged_calls
        probe = replace(request, messages=CALL_PROBE, enable_thinking=None)
        try:
            prompt = await self.prompt(probe, constrained=True)
        except (StatusError, EngineError):
            prompt = ""
        tagged = has_tagged_call(prompt)
        if request.chat_template is None:
            self._tagged_calls = tagged
        return tagged
