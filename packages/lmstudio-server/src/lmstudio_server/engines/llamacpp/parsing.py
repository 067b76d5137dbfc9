"""Chats in which llama.cpp applies the model's own template, and reads what the model writes by it."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from .bodies import chat_body, offered_tools
from .chat_fold import ChatFold
from .diagnosis import (
    LOG_SECONDS,
    UNREADABLE_END,
    is_unreadable,
    refuses_tools,
    unreadable_chunk,
)
from .markup import open_thinking
from .schemas import for_parser
from .stops import StopMatcher
from .transport import StatusError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmstudio_server.engines.base import ChatRequest, EngineEvent

    from .generation import Generator

__all__ = ["parsed_answer"]

_log = logging.getLogger(__name__)


async def parsed_answer(
    generator: Generator, request: ChatRequest
) -> AsyncGenerator[EngineEvent, None]:
    """Yield the events of an answer that llama.cpp reads; the last one is ``Finished``."""
    sampling = request.sampling
    fold = ChatFold(
        max_tokens=sampling.max_tokens,
        log_probs=sampling.log_probs,
        draft=generator.draft_name,
        thinks_on=bool(request.reasoning_budget),
    )
    matcher = StopMatcher(sampling.stop)
    async with aclosing(_chunks(generator, request)) as chunks:
        async for chunk in chunks:
            for event in fold.feed(chunk):
                for passed in matcher.pass_on(event):
                    yield passed
                if matcher.matched is not None:
                    yield fold.stopped(matcher.matched)
                    return
            if generator.is_full(sampling, fold):
                for event in (*matcher.flush(), *fold.filled()):
                    yield event
                return
    for event in (*matcher.flush(), *fold.finish()):
        yield event


async def _chunks(
    generator: Generator, request: ChatRequest
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield llama.cpp's chunks; the last one tells what it could not read, if there is such."""
    body = chat_body(request, generator.request.seed, generator.context_length)
    body |= await _budget(generator, request)
    worker, client = generator.worker, generator.client
    start = worker.stderr_count
    begun = refused = False
    try:
        async with aclosing(client.stream("/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                begun = True
                yield chunk
    except StatusError as error:
        refused = not begun and "tools" in body and refuses_tools(error.payload)
        if not refused and not is_unreadable(error.payload):
            raise
        what = "the tools of a chat" if refused else "what the model wrote; it is told as text"
        _log.warning("llama.cpp cannot read %s: %s", what, error.payload)
    else:
        return
    if not refused:
        await worker.wait_stderr(UNREADABLE_END, LOG_SECONDS, start)
        yield unreadable_chunk(worker.stderr_since(start))
        return
    # No tool is worth more than the chat: of those it cannot read, it is told the names.
    body["tools"] = for_parser(offered_tools(request), plain=True)
    async with aclosing(client.stream("/v1/chat/completions", body)) as chunks:
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
