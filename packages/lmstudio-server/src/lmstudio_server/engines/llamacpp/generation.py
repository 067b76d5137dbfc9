"""Generating: the ways to ask one worker for a text."""

from __future__ import annotations

import asyncio
import logging
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
    answer_holds,
    completion_body,
    images_of,
    prompt_with_images,
    template_body,
)
from .calls import new_call_id
from .chat_fold import ChatFold
from .completion_fold import CompletionFold
from .diagnosis import (
    LOG_SECONDS,
    VERDICT_SECONDS,
    SchemaRefusedError,
    Verdicts,
    ignored_schema_error,
    ignores_schema,
    schema_error,
)
from .markup import CALL_PROBE, MarkupSplitter, end_tag, has_tagged_call, open_thinking, start_tag
from .templates import Templates
from .thinking import Thinking, Thought
from .transport import StatusError, WorkerClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from .supervisor import Worker


_log = logging.getLogger(__name__)


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
        self.request = request
        """How its model was loaded."""
        self.context_length: int = int(properties["default_generation_settings"]["n_ctx"])
        """How many tokens a prompt and its answer may have together."""
        self._special_tokens = {
            name: str(properties.get(name) or "") for name in ("bos_token", "eos_token")
        }
        self._media_marker = str(properties.get("media_marker") or "")
        self._templates = Templates(self._special_tokens, self._media_marker)
        worker.on_exit(lambda _reason: self._templates.abandon())
        self._verdicts = Verdicts()
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

    async def marked_up(
        self, request: ChatRequest, *, calls: bool = False
    ) -> AsyncGenerator[EngineEvent, None]:
        """Render the prompt, and tell reasoning and tool calls apart on our side."""
        prompt = await self.prompt(request, constrained=False)
        thinking = self.thinking(request, prompt)
        if request.reasoning_budget is not None:
            async with aclosing(self.think(request, thinking)) as events:
                async for event in events:
                    yield event
            if thinking.unfinished:
                return
        splitter = MarkupSplitter(
            opened=open_thinking(thinking.prompt),
            tools=calls,
            new_call_id=new_call_id,
        )
        sampling = thinking.remaining(request.sampling)
        fold = self.fold(sampling)
        stream = self.continued(thinking.prompt, sampling, fold, images_of(request.messages))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, PromptProgress) and thinking.fold is not None:
                    continue
                for part in splitter.feed(event) if isinstance(event, Text) else (event,):
                    yield thinking.counted(part, fold)
        for event in splitter.finish(cut_off=fold.cut_off):
            yield thinking.counted(event, fold)
        yield thinking.together(fold.finished(called_tools=splitter.calls > 0))

    async def constrained(
        self, request: ChatRequest, thought: Thought | None = None
    ) -> AsyncGenerator[EngineEvent, None]:
        """Keep the answer to a schema or grammar from its first token on.

        ``thought``: what the model has thought of it already.
        """
        thinking = self.thinking(request, await self.prompt(request, constrained=True))
        if thought is None:
            async with aclosing(self.think(request, thinking)) as events:
                async for event in events:
                    yield event
            if thinking.unfinished:
                return
            prompt, sampling = thinking.prompt, thinking.remaining(request.sampling)
        else:
            prompt, sampling = thought.after(thinking), thought.remaining(request.sampling)
        fold = self.fold(sampling)
        holds = self._holds(sampling)
        images = images_of(request.messages)
        async with aclosing(self.continued(prompt, sampling, fold, images, holds)) as events:
            async for event in events:
                if thinking.fold is None or not isinstance(event, PromptProgress):
                    yield event
        finished = thinking.together(fold.finished())
        yield finished if thought is None else thought.together(finished)

    async def think(
        self, request: ChatRequest, thinking: Thinking
    ) -> AsyncGenerator[EngineEvent, None]:
        """Let the model think to its end if the prompt begins it; ``thinking`` knows the outcome."""
        if thinking.tags is None:
            return
        start, end = thinking.tags
        thinking.fold = fold = self.fold(request.sampling)
        begun = False
        stream = self.continued(
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
        fold = self.fold(request.sampling)
        holds = self._holds(request.sampling)
        stream = self.continued(request.prompt, request.sampling, fold, (), holds)
        async with aclosing(stream) as events:
            async for event in events:
                yield event
        yield fold.finished()

    def _holds(self, sampling: Sampling) -> Iterable[Mapping[str, Any]]:
        schema = sampling.json_schema
        return () if schema is None else answer_holds(schema, self.context_length)

    async def continued(
        self,
        prompt: str,
        sampling: Sampling,
        fold: CompletionFold,
        images: Sequence[str],
        holds: Iterable[Mapping[str, Any]] = (),
    ) -> AsyncGenerator[EngineEvent, None]:
        """Continue ``prompt``; ``fold`` knows afterwards how it ended.

        Args:
            prompt: What to go on from, as the model reads it.
            sampling: How to choose tokens, and when to stop.
            fold: What gathers the text.
            images: What the prompt's image marks stand for, base64.
            holds: What to hold the text to; the next one, if llama.cpp refuses the one before.
        """
        refused: SchemaRefusedError | None = None
        for held in holds or (None,):
            known = None if held is None else self._verdicts.refusal(held)
            if known is not None:
                refused = refused or known
                continue
            try:
                async with aclosing(self._once(prompt, sampling, fold, images, held)) as events:
                    async for event in events:
                        yield event
            except SchemaRefusedError as error:
                refused = refused or error
                if held is not None:
                    self._verdicts.remember(held, error)
                if fold.told:
                    raise
                _log.warning("%s; a simpler one is tried.", error)
                fold.begin_again()
            else:
                return
        if refused is not None:
            raise refused

    async def _once(
        self,
        prompt: str,
        sampling: Sampling,
        fold: CompletionFold,
        images: Sequence[str],
        held: Mapping[str, Any] | None,
    ) -> AsyncGenerator[EngineEvent, None]:
        tag = None if held is None else f"lmstudio-{uuid.uuid4().hex}"
        bos = self._special_tokens["bos_token"]
        if bos and prompt.startswith(bos) and await self._starts_prompts(bos):
            # Templates written for other programs have it, too; a model has never seen it twice.
            prompt = prompt.removeprefix(bos)
        whole = prompt_with_images(prompt, images, self._media_marker)
        body = completion_body(
            whole, sampling, self.request.seed, self.context_length, held=held, schema_tag=tag
        )
        is_new = held is not None and not self._verdicts.is_known(held)
        async with aclosing(self.client.stream("/completion", body)) as chunks:
            async for chunk in chunks:
                events = fold.feed(chunk)
                if tag is not None and held is not None:
                    if is_new and fold.text:
                        await self.worker.wait_stderr(tag, VERDICT_SECONDS)
                    await self._check_schema(tag, fold)
                    if is_new and fold.text:
                        is_new = False
                        self._verdicts.remember(held, None)
                for event in events:
                    fold.told = fold.told or isinstance(event, Text)
                    yield event
                if self.is_full(sampling, fold):
                    fold.fill()
                    return

    def is_full(self, sampling: Sampling, fold: ChatFold | CompletionFold) -> bool:
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

    def fold(self, sampling: Sampling) -> CompletionFold:
        """What gathers the completion that is asked for with ``sampling``."""
        return CompletionFold(
            max_tokens=sampling.max_tokens, log_probs=sampling.log_probs, draft=self.draft_name
        )

    @property
    def draft_name(self) -> str | None:
        """What the model that proposes tokens is called, if there is one."""
        return None if self.request.draft is None else self.request.draft.name

    def thinking(self, request: ChatRequest, prompt: str) -> Thinking:
        """Return how far ``prompt`` has come with thinking."""
        return Thinking(prompt, request.reasoning_budget, self.request.reasoning_budget_message)

    async def prompt(self, request: ChatRequest, *, constrained: bool) -> str:
        """Return the prompt by the request's template, or else the model's."""
        if request.chat_template is not None:
            return await self._templates.render(
                request, request.chat_template, constrained=constrained
            )
        body = template_body(request, constrained=constrained)
        answer = await self.client.post("/apply-template", body)
        return str(answer["prompt"])

    async def has_tagged_calls(self, request: ChatRequest) -> bool:
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
