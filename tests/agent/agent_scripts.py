"""Scripted predictions, and a driver by hand: the loop is run without sockets, threads or clocks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from lmstudio_agent.context import taking_context
from lmstudio_agent.loop import act
from lmstudio_agent.options import ActOptions
from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_core.protocol.operations import Invoke, InvokeMany
from lmstudio_core.server_errors import SerializedLMSExtendedError
from lmstudio_llm.chat import Chat
from lmstudio_llm.config import LlmLoadModelConfig, LlmPredictionConfig
from lmstudio_llm.fragments import ToolCallGenerationFailed
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
    return PredictionResult(
        content=content,
        parsed=content,
        stats=LlmPredictionStats(
            stop_reason="toolCalls" if calls else "eosFound",
            prompt_tokens_count=10,
            predicted_tokens_count=3,
        ),
        model_info=LlmInstanceInfo(identifier="scripted"),
        load_config=LlmLoadModelConfig(),
        prediction_config=LlmPredictionConfig(),
        tool_calls=calls,
        **more,
    )


class Scripted:
    """A predictor whose channels are the predictions themselves, one per round."""

    def __init__(self, *predictions: PredictionResult[Any] | BaseException) -> None:
        self.predictions = predictions
        self.chats: list[dict[str, Any]] = []
        self.tools: list[list[str]] = []

    def __call__(self, chat: Chat, round_index: int, tools: Sequence[Any]) -> Any:
        assert round_index == len(self.chats)
        self.chats.append(chat.to_dict())
        self.tools.append([tool.name for tool in tools])
        return self.predictions[round_index]


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
    if isinstance(step, InvokeMany):
        parallel.append((len(step.functions), step.max_parallel))
        return [call_and_wait(function) for function in step.functions]
    if isinstance(step, BaseException):
        raise step
    return step


def drive(op: Any, parallel: list[Any] | None = None) -> Any:
    """Run an operation as the drivers do; ``parallel`` gathers what each round asked to run."""
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


def make(script: Scripted, tools: Sequence[Any] = (), chat: Any = "Go", **options: Any) -> Any:
    """The operation of an act over a script, with a clock that ticks once per look."""
    ticks = iter(range(1000))
    ready = resolve_tools([taking_context(tool) for tool in tools])
    return act(
        script, Chat.from_history(chat), ready, ActOptions(**options), lambda: float(next(ticks))
    )
