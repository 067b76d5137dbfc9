"""``act`` as one generator without I/O: predict, run the tools asked for, and again.

A driver runs the steps that it yields: the channel of a prediction, the tools of a round, a
callback's coroutine. Whatever interrupts a step is thrown into the generator, which then leaves
the chat in a state that another run can go on from.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Protocol, cast

from lmstudio_core.errors import LMStudioPredictionError, LMStudioValueError
from lmstudio_core.protocol.operations import Channel, Invoke, InvokeMany, Op
from lmstudio_llm.chat import Chat
from lmstudio_llm.fragments import ToolCallGenerationFailed
from lmstudio_llm.messages import AnyChatMessage, ToolCallRequest
from lmstudio_llm.results import PredictionResult, PredictionRoundResult
from lmstudio_llm.tools import Tool

from .calls import PendingCall
from .options import ActOptions
from .results import ActResult

__all__ = ["Predictor", "act"]

logger = logging.getLogger("lmstudio")


class Predictor(Protocol):
    """Makes the prediction of a round."""

    def __call__(
        self, chat: Chat, round_index: int, tools: Sequence[Tool]
    ) -> Channel[Any, PredictionResult[Any]]:
        """The channel for the next response in ``chat``, with these tools on offer."""
        ...


class _Run:
    """What a run has gathered so far."""

    def __init__(self, chat: Chat, tools: Mapping[str, Tool], options: ActOptions) -> None:
        self.chat = chat
        self.tools = tools
        self.options = options
        self.predictions: list[PredictionRoundResult[Any]] = []
        self.calls: list[PendingCall] = []
        self.pending: list[ToolCallRequest] = []

    def add(self, message: AnyChatMessage) -> Op[None]:
        self.chat.append(message)
        yield from _notify("on_message", self.options.on_message, message)


def act(
    predict: Predictor,
    chat: Chat,
    tools: Sequence[Tool],
    options: ActOptions,
    clock: Callable[[], float] = time.perf_counter,
) -> Op[ActResult]:
    """Let a model work with tools until it answers without calling one.

    Args:
        predict: Makes the prediction of a round.
        chat: The conversation so far; it is not changed.
        tools: What the model may call.
        options: Limits and callbacks.
        clock: Tells the time in seconds.

    Returns:
        What the run gave; see ``ActResult``.

    Raises:
        LMStudioPredictionError: The model's tool call could not be read at all.
        Exception: Whatever ``handle_invalid_tool_request`` raises.
    """
    started: float = yield Invoke(clock)
    run = _Run(chat.copy(), {tool.name: tool for tool in tools}, options)
    for index in count():
        yield from _notify("on_round_start", options.on_round_start, index)
        went_on: bool = yield from _round(run, predict, index)
        yield from _notify("on_round_end", options.on_round_end, index)
        if not went_on:
            break
    ended: float = yield Invoke(clock)
    return ActResult(
        rounds=len(run.predictions),
        total_time_seconds=ended - started,
        predictions=tuple(run.predictions),
        tool_calls=tuple(call.record() for call in run.calls),
        transcript=run.chat,
        pending=tuple(run.pending),
    )


def _round(run: _Run, predict: Predictor, index: int) -> Op[bool]:
    """One prediction and the tools that it asks for; whether another round is to follow."""
    last = run.options.is_last_round(index)
    channel = predict(run.chat, index, [] if last else list(run.tools.values()))
    given: PredictionResult[Any] = yield channel
    result: PredictionRoundResult[Any] = PredictionRoundResult[Any].from_result(given, index)
    run.predictions.append(result)
    yield from _notify("on_prediction_completed", run.options.on_prediction_completed, result)
    # Without tools on offer there is nobody to answer a request, and a chat that ends in one
    # could not be continued: what a model writes then is kept as text only.
    requests = [] if last else list(result.tool_calls)
    if result.failed_tool_calls and not last:
        yield from _fail_unreadable(run.options, result.failed_tool_calls[0])
    yield from run.add(_response(result, requests))
    if not requests:
        return False
    yield from _answer_requests(run, requests, index)
    return not run.pending


def _response(result: PredictionResult[Any], requests: Sequence[ToolCallRequest]) -> AnyChatMessage:
    return Chat().add_assistant_response(result.content, requests)


def _fail_unreadable(options: ActOptions, failed: ToolCallGenerationFailed) -> Op[None]:
    """Tell the handler of a tool call that could not even be read, then raise the error."""
    error = LMStudioPredictionError(str(failed.error), failed.error, endpoint="llm.predict")
    if options.handle_invalid_tool_request is not None:
        yield from _called(options.handle_invalid_tool_request, error, None)
    raise error


def _answer_requests(run: _Run, requests: Sequence[ToolCallRequest], index: int) -> Op[None]:
    """Run what was asked for and add the results to the chat, in the order of the requests."""
    calls, tasks = _prepared(run, requests, index)
    run.calls.extend(calls)
    try:
        if tasks:
            yield InvokeMany(tasks, run.options.max_parallel_tool_calls)
        for call in calls:
            call.conclude()
            if call.error is not None:
                yield from _ask_handler(run.options, call)
    except BaseException:
        _leave_valid(run, calls)
        raise
    if calls:
        yield from run.add(_results(calls))


def _prepared(
    run: _Run, requests: Sequence[ToolCallRequest], index: int
) -> tuple[list[PendingCall], list[Callable[[], Any]]]:
    calls: list[PendingCall] = []
    tasks: list[Callable[[], Any]] = []
    for request in requests:
        tool = run.tools.get(request.name)
        if tool is not None and tool.implementation is None:
            run.pending.append(request)
            continue
        call = PendingCall(request, index, run.options.run_id)
        calls.append(call)
        if tool is None:
            known = ", ".join(run.tools) or "none"
            call.refuse(f"Error: there is no tool {request.name!r}; there are: {known}.")
            continue
        try:
            tasks.append(call.task(tool.prepare(request.arguments), is_async=tool.is_async))
        except LMStudioValueError as error:
            call.refuse(f"Error: {error}", error)
    return calls, tasks


def _ask_handler(options: ActOptions, call: PendingCall) -> Op[None]:
    if options.handle_invalid_tool_request is None:
        return
    answer: Any = yield from _called(options.handle_invalid_tool_request, call.error, call.request)
    if answer is not None:
        call.answer(answer)


def _results(calls: Sequence[PendingCall]) -> AnyChatMessage:
    return Chat().add_tool_results([call.data() for call in calls])


def _leave_valid(run: _Run, calls: Sequence[PendingCall]) -> None:
    """Answer every request before an interruption goes on, so that the chat can be continued.

    Nothing may be yielded here: the driver that would run it may be ending.
    """
    for call in calls:
        call.conclude()
    if not calls:
        return
    for step in run.add(_results(calls)):
        if isinstance(step, Invoke):
            coroutine = step.function()
            if inspect.iscoroutine(coroutine):
                coroutine.close()


def _called(function: Callable[..., Any], *args: Any) -> Op[Any]:
    """What a function of the user's gives, awaited if it has to be."""
    outcome = function(*args)
    if inspect.isawaitable(outcome):
        return (yield Invoke(lambda: cast("object", outcome)))
    return outcome


def _notify(name: str, callback: Callable[..., Any] | None, *args: Any) -> Op[None]:
    """Call a callback if there is one; what it raises is logged and changes nothing."""
    if callback is None:
        return
    try:
        yield from _called(callback, *args)
    except Exception:
        logger.exception("%s raised; the run goes on", name)
