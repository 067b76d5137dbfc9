"""Scripted predictions, and a driver by hand: the loop is run without sockets, threads or clocks."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lmstudio_agent import ActStream, AsyncActStream
from lmstudio_agent.context import taking_context
from lmstudio_agent.events import Round, Settle
from lmstudio_agent.loop import act
from lmstudio_agent.options import ActOptions
from lmstudio_agent.state import Run
from lmstudio_core.client import AsyncClient, Client
from lmstudio_core.files.handles import FileHandle
from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_core.protocol.operations import Invoke
from lmstudio_core.protocol.server_errors import SerializedLMSExtendedError
from lmstudio_llm.chat import Chat
from lmstudio_llm.config import LlmLoadModelConfig, LlmPredictionConfig
from lmstudio_llm.fragments import (
    LlmPredictionFragment,
    ToolCallGenerationEnd,
    ToolCallGenerationFailed,
)
from lmstudio_llm.messages import ToolCallRequest
from lmstudio_llm.results import LlmPredictionStats, PredictionResult
from lmstudio_llm.tools import resolve_tools


def call(
    name: str, arguments: dict[str, Any] | None = None, call_id: str | None = None
) -> ToolCallRequest:
    return ToolCallRequest(name=name, arguments=arguments, id=call_id)


def unreadable(title: str = "no JSON") -> ToolCallGenerationFailed:
    return ToolCallGenerationFailed(SerializedLMSExtendedError(title=title))


def prediction(content: str, *calls: ToolCallRequest, **more: Any) -> PredictionResult[Any]:
    more.setdefault("parsed", content)
    info = LlmInstanceInfo(identifier="scripted", vision=more.pop("vision", False))
    return PredictionResult(
        content=content,
        stats=LlmPredictionStats(
            stop_reason="toolCalls" if calls else "eosFound",
            prompt_tokens_count=10,
            predicted_tokens_count=3,
        ),
        model_info=info,
        load_config=LlmLoadModelConfig(),
        prediction_config=LlmPredictionConfig(),
        tool_calls=calls,
        **more,
    )


def as_json(value: Any, *problems: str) -> PredictionResult[Any]:
    """A prediction in a response format."""
    content = json.dumps(value)
    return prediction(content, parsed=value, value=value, problems=problems, structured=True)


class Scripted:
    """A predictor whose channels are the predictions themselves, one per round."""

    def __init__(self, *predictions: PredictionResult[Any] | BaseException) -> None:
        self.predictions = predictions
        self.chats: list[dict[str, Any]] = []
        self.tools: list[list[str]] = []
        self.structured: list[bool] = []
        self.uploaded: list[Any] = []

    def __call__(
        self, chat: Chat, round_index: int, tools: Sequence[Any], *, structured: bool = False
    ) -> Any:
        assert round_index == len(self.chats)
        self.chats.append(chat.to_dict())
        self.tools.append([tool.name for tool in tools])
        self.structured.append(structured)
        return self.predictions[round_index]

    def upload(self, image: Any) -> Any:
        self.uploaded.append(image)
        if isinstance(image, FileHandle):
            return image
        name = image.name or "image"
        yield Invoke(lambda: None)
        return FileHandle(name=name, identifier="f-1", size_bytes=3, file_type="image")


@dataclass
class Broken:
    """A prediction that fails after its events."""

    given: PredictionResult[Any]
    error: Exception


def events_of(given: Any) -> Iterator[Any]:
    """The events of a scripted prediction: a fragment per word, then the calls."""
    if isinstance(given, Broken):
        yield from events_of(given.given)
        raise given.error
    for word in given.content.split(" ") if given.content else ():
        yield LlmPredictionFragment(word)
    for request in given.tool_calls:
        yield ToolCallGenerationEnd(request)


class ScriptedStream:
    """What a client opens for a scripted prediction, for synchronous programs and for asyncio."""

    def __init__(self, given: Any) -> None:
        self.given = given
        self.closed = False
        self.events = iter(()) if isinstance(given, BaseException) else events_of(given)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if isinstance(self.given, BaseException):
            raise self.given
        return next(self.events)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        await asyncio.sleep(0)
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None

    def result(self) -> Any:
        return self.given

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


class ScriptedClient:
    """A client whose predictions are scripted; all else is done by the real one."""

    def __init__(self, client: Any) -> None:
        self.run = client.run
        self.opened: list[ScriptedStream] = []

    def open(self, channel: Any) -> ScriptedStream:
        self.opened.append(ScriptedStream(channel))
        return self.opened[-1]


def call_and_wait(function: Callable[[], Any]) -> Any:
    value = function()
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def perform(step: Any, parallel: list[Any]) -> Any:
    if isinstance(step, Invoke):
        return call_and_wait(step.function)
    if isinstance(step, Round):
        return perform_round(step, parallel)
    assert isinstance(step, Settle)
    return None


def perform_round(step: Round, parallel: list[Any]) -> Any:
    given: Any = step.channel
    if isinstance(given, BaseException):
        raise given
    made = 0
    for event in events_of(given):
        call = step.requests.see(event)
        if call is None:
            continue
        guard = step.guard
        if guard is not None:
            call.heed(call_and_wait(lambda: guard(call.request)))  # noqa: B023
        if not call.refused:
            made += 1
            call_and_wait(call.work)
        step.requests.ended(call)
    if made:
        parallel.append((made, step.max_parallel))
    return given


def drive(op: Any, parallel: list[Any] | None = None) -> Any:
    """Run an operation as the interpreters do; ``parallel`` gathers what each round ran."""
    kept: list[Any] = [] if parallel is None else parallel
    answer: Callable[[Any], Any] = op.send
    value: Any = None
    while True:
        try:
            step = answer(value)
        except StopIteration as stop:
            return stop.value
        answer, value = outcome(op, step, kept)


def outcome(op: Any, step: Any, parallel: list[Any]) -> tuple[Callable[[Any], Any], Any]:
    """How the generator goes on after a step, and with what."""
    try:
        return op.send, perform(step, parallel)
    except BaseException as error:
        return op.throw, error


def make_run(
    script: Scripted,
    tools: Sequence[Any] = (),
    chat: Any = "Go",
    *,
    structured: bool = False,
    toolsets: Sequence[Any] = (),
    **options: Any,
) -> tuple[Run, Any]:
    """An act over a script: what it gathers, and the operation; its clock ticks once per look.

    The toolsets are open.
    """
    ticks = iter(range(1000))
    ready = resolve_tools([taking_context(tool) for tool in tools])
    run = Run(Chat.from_history(chat), ready, ActOptions(**options), structured=structured)
    for toolset in toolsets:
        run.offer.add(toolset)
    return run, act(script, run, lambda: float(next(ticks)))


def make(*args: Any, **options: Any) -> Any:
    """The operation of an act over a script."""
    return make_run(*args, **options)[1]


NOWHERE = "127.0.0.1:9"
"""A server that nobody asks: the scripts answer."""


def run_sync(made: tuple[Run, Any]) -> Any:
    """The result of a run by the synchronous interpreter."""
    with Client(NOWHERE) as client:
        return ActStream(ScriptedClient(client), *made).wait_for_result()


def run_async(made: tuple[Run, Any]) -> Any:
    """The result of a run by the interpreter for asyncio."""

    async def main() -> Any:
        async with AsyncClient(NOWHERE) as client:
            return await AsyncActStream(ScriptedClient(client), *made).wait_for_result()

    return asyncio.run(main())


def events_sync(made: tuple[Run, Any]) -> list[Any]:
    """Everything that the synchronous stream tells."""
    with Client(NOWHERE) as client:
        return list(ActStream(ScriptedClient(client), *made))


def events_async(made: tuple[Run, Any]) -> list[Any]:
    """Everything that the stream for asyncio tells."""

    async def main() -> list[Any]:
        async with AsyncClient(NOWHERE) as client:
            return [event async for event in AsyncActStream(ScriptedClient(client), *made)]

    return asyncio.run(main())
