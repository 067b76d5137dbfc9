"""Which way a request takes to its answer."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from .bodies import offered_tools
from .calling import CallingAnswer, call_or_answer, first_call_only
from .parsing import parsed_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lmstudio_server.engines.base import ChatRequest, EngineEvent

    from .generation import Generator

__all__ = ["answer"]


async def answer(generator: Generator, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
    """Yield the events of the answer to a conversation; the last one is ``Finished``.

    Raises what the transport raises.
    """
    route = await _route(generator, request)
    if not request.parallel_tool_calls:
        route = first_call_only(route)
    async with aclosing(route) as events:
        async for event in events:
            yield event


async def _route(generator: Generator, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
    tools = offered_tools(request)
    must_call = bool(tools) and request.tool_choice == "required"
    # A call has a schema of its own, which a text may not have besides.
    without = replace(request, sampling=replace(request.sampling, json_schema=None, grammar=None))
    if must_call:
        request = without
    sampling = request.sampling
    if sampling.grammar is not None or (sampling.json_schema is not None and not tools):
        return generator.constrained(request)
    if sampling.json_schema is None:
        return await _free(generator, request, must_call=must_call)
    # The model is free to call; what it does not call for, it answers by the schema.
    free = replace(without, enable_thinking=bool(request.enable_thinking))
    return call_or_answer(
        await _free(generator, free), lambda thought: generator.constrained(request, thought)
    )


async def _free(
    generator: Generator, request: ChatRequest, *, must_call: bool = False
) -> AsyncGenerator[EngineEvent, None]:
    """Return how to answer without a schema: so that calls of tools can be read."""
    tools = offered_tools(request)
    if tools and await generator.has_tagged_calls(request):
        prompt = await generator.prompt(request, constrained=must_call)
        thinking = generator.thinking(request, prompt)
        return CallingAnswer(generator, request, tools, thinking).events()
    if request.chat_template is not None:
        return generator.marked_up(request, calls=bool(tools))
    return parsed_answer(generator, request, generator.marked_up)
