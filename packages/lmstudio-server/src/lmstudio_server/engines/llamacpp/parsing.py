"""Chats in which llama.cpp applies the model's own template, and reads what the model writes by it."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lmstudio_server.engines.base import PromptProgress

from .bodies import chat_body, offered_tools
from .chat_fold import ChatFold
from .diagnosis import is_unreadable, refuses_tools
from .markup import open_thinking
from .schemas import for_parser
from .stops import StopMatcher
from .transport import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lmstudio_server.engines.base import ChatRequest, EngineEvent

    from .generation import Generator

__all__ = ["parsed_answer"]

_log = logging.getLogger(__name__)


async def parsed_answer(
    generator: Generator,
    request: ChatRequest,
    as_text: Callable[[ChatRequest], AsyncGenerator[EngineEvent, None]],
) -> AsyncGenerator[EngineEvent, None]:
    """Yield the events of an answer that llama.cpp reads; the last one is ``Finished``.

    Where it can make nothing of what the model wrote, it does not tell it either. The model then answers once
    more, ``as_text``: with the tools in its prompt, and nobody who looks for calls.

    Args:
        generator: What asks llama.cpp.
        request: What is asked of the engine.
        as_text: Answers a request without llama.cpp's reading.
    """
    sampling = request.sampling
    fold = ChatFold(
        max_tokens=sampling.max_tokens,
        log_probs=sampling.log_probs,
        draft=generator.draft_name,
        thinks_on=bool(request.reasoning_budget),
        reads_calls=bool(offered_tools(request)),
    )
    matcher = StopMatcher(sampling.stop)
    try:
        async with aclosing(_read(generator, request, fold, matcher)) as events:
            async for event in events:
                yield event
    except StatusError as error:
        if not is_unreadable(error.payload):
            raise
        _log.warning("llama.cpp cannot read what the model wrote, which is told as text.")
        if not fold.lost:
            for event in (*matcher.flush(), *fold.unread()):
                yield event
    if fold.lost:
        async with aclosing(as_text(request)) as events:
            async for event in events:
                if not isinstance(event, PromptProgress):
                    yield event


async def _read(
    generator: Generator, request: ChatRequest, fold: ChatFold, matcher: StopMatcher
) -> AsyncGenerator[EngineEvent, None]:
    last = fold.finish
    async with aclosing(_chunks(generator, request)) as chunks:
        async for chunk in chunks:
            for event in fold.feed(chunk):
                for passed in matcher.pass_on(event):
                    yield passed
                if matcher.matched is not None:
                    yield fold.stopped(matcher.matched)
                    return
            if generator.is_full(request.sampling, fold):
                last = fold.filled
                break
    if not fold.lost:
        for event in (*matcher.flush(), *last()):
            yield event


async def _chunks(
    generator: Generator, request: ChatRequest
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield llama.cpp's chunks of the answer."""
    body = chat_body(request, generator.request.seed, generator.context_length)
    body |= await _budget(generator, request)
    begun = False
    try:
        async with aclosing(generator.client.stream("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                begun = True
                yield chunk
    except StatusError as error:
        if begun or "tools" not in body or not refuses_tools(error.payload):
            raise
        _log.warning("llama.cpp cannot take the tools of a chat as they are: %s", error.payload)
    else:
        return
    # No tool is worth more than the chat: only their names are known to it then.
    body["tools"] = for_parser(offered_tools(request), plain=True)
    async with aclosing(generator.client.stream("/v1/chat/completions", body)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _budget(generator: Generator, request: ChatRequest) -> dict[str, Any]:
    """Return what limits the thinking that llama.cpp reads.

    It counts what the prompt has after its opening tag, and cannot end thinking before the first token that
    comes after that.
    """
    if request.reasoning_budget is None:
        return {}
    prompt = await generator.prompt(request, constrained=False)
    tags = open_thinking(prompt)
    begun = 0
    if tags is not None:
        begun = len(await generator.tokenize(prompt[prompt.rfind(tags[0]) + len(tags[0]) :]))
    budget = {"thinking_budget_tokens": begun + max(1, request.reasoning_budget)}
    message = generator.request.reasoning_budget_message
    return budget | ({"reasoning_budget_message": message} if message else {})
