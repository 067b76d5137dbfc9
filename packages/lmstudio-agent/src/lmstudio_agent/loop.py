"""``act`` as one generator without I/O: predict, run the tools asked for, and again.

An interpreter runs the steps that it yields: a round's prediction with the tools that start while
it is made, the wait for these tools, a callback's coroutine. Whatever interrupts a step is thrown
into the generator, which then leaves the chat in a state that another run can go on from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol, cast

from lmstudio_core.errors import LMStudioError, LMStudioPredictionError
from lmstudio_core.files.handles import FileHandle
from lmstudio_core.observe.observations import ActObservation, begin_observation, is_observed
from lmstudio_core.protocol.operations import Channel, Invoke, Op
from lmstudio_llm.chat import Chat
from lmstudio_llm.fragments import ToolCallGenerationFailed
from lmstudio_llm.prediction import PredictionChannel
from lmstudio_llm.results import PredictionResult, PredictionRoundResult
from lmstudio_llm.tools import Tool

from .callbacks import called, notify
from .calls import PendingCall
from .encoding import ImageInput
from .events import ActOp, ActRoundEnd, ActRoundStart, Round, Settle
from .options import ActOptions
from .results import ActResult
from .state import Requests, Run

__all__ = ["Predictor", "act"]

_IMAGES = "The images that the tools returned:"


class Predictor(Protocol):
    """Makes the prediction of a round."""

    def __call__(
        self, chat: Chat, round_index: int, tools: Sequence[Tool], *, structured: bool = False
    ) -> Channel[Any, PredictionResult[Any]]:
        """The channel for the next response in ``chat``, with these tools on offer.

        ``structured`` asks for the final answer in the run's ``response_format``.
        """
        ...

    def upload(self, image: ImageInput) -> Op[FileHandle]:
        """Send an image to the server."""
        ...


def act(
    predict: Predictor, run: Run, clock: Callable[[], float] = time.perf_counter
) -> ActOp[ActResult[Any]]:
    """Let a model work with tools until it answers without calling one.

    Args:
        predict: Makes the prediction of a round.
        run: The conversation so far, the tools, the options; it gathers what happens.
        clock: Tells the time in seconds.

    Returns:
        What the run gave; see ``ActResult``.

    Raises:
        LMStudioPredictionError: The model's tool call could not be read at all.
        Exception: Whatever ``handle_invalid_tool_request`` or ``guard_tool_call`` raises.
    """
    if is_observed(ActObservation):
        model = getattr(predict, "identifier", None)
        run.observation = begin_observation(
            ActObservation(model=model, run_id=run.options.run_id, tools=tuple(run.tools)),
            run.context,
        )
    try:
        result = yield from _rounds(predict, run, clock)
    except BaseException as error:
        if run.observation is not None:
            run.observation.finish(None if isinstance(error, GeneratorExit) else error)
        raise
    if run.observation is not None:
        run.observation.result = result
        run.observation.finish()
    return result


def _rounds(predict: Predictor, run: Run, clock: Callable[[], float]) -> ActOp[ActResult[Any]]:
    """The run itself."""
    options = run.options
    started: float = yield Invoke(clock)
    for index in count():
        yield from run.offer.renewing()
        run.emit(ActRoundStart(index))
        yield from notify("on_round_start", options.on_round_start, index)
        went_on: bool = yield from _round(run, predict, index)
        yield from notify("on_round_end", options.on_round_end, index)
        run.emit(ActRoundEnd(index, run.predictions[-1]))
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
        given_messages=run.given_messages,
    )


def _round(run: Run, predict: Predictor, index: int) -> ActOp[bool]:
    """One prediction and the tools that it asks for; whether another round is to follow."""
    offered = run.offered(index)
    structured = run.structured and (run.has_answer or not offered)
    accepts = run.accepts_calls(index) and not structured
    requests = Requests(run, index, open_to_calls=accepts)
    try:
        channel = predict(run.chat, index, [] if structured else offered, structured=structured)
        _observe(run, channel, index)
        options = run.options
        given: PredictionResult[Any] = yield Round(
            channel, requests, options.guard_tool_call, options.max_parallel_tool_calls
        )
        result = PredictionRoundResult[Any].from_result(given, index)
        run.predictions.append(result)
        yield from notify("on_prediction_completed", options.on_prediction_completed, result)
        if result.failed_tool_calls and accepts:
            yield from _fail_unreadable(options, result.failed_tool_calls[0])
        if run.structured and not structured and not requests.asked:
            run.has_answer = True  # in prose: the structured answer takes its place
            return True
        yield from requests.respond(result.content)
        if requests.calls:
            yield Settle()
        yield from _conclude(run, requests, predict, lambda: result.model_info.vision)
    except BaseException:
        requests.leave_valid()
        raise
    return bool(requests.asked) and not run.pending


def _observe(run: Run, channel: object, index: int) -> None:
    """Tell observers which run this prediction is of."""
    if run.observation is not None and isinstance(channel, PredictionChannel):
        cast("PredictionChannel[Any]", channel).observed_in(run.observation, index)


def _conclude(
    run: Run, requests: Requests, predict: Predictor, vision: Callable[[], bool]
) -> ActOp[None]:
    """Add the results to the chat, and the images that tools gave in a message of their own."""
    handles: list[FileHandle] = []
    for call in requests.calls:
        call.conclude(vision)
        handles += yield from _uploaded(call, predict)
        if call.outcome in ("invalid", "failed"):
            yield from _ask_handler(run.options, call)
        requests.tell(call)
    yield from requests.answer()
    if handles:
        yield from run.told(run.chat.add_user_message(_IMAGES, images=handles))


def _uploaded(call: PendingCall, predict: Predictor) -> ActOp[list[FileHandle]]:
    handles: list[FileHandle] = []
    try:
        for image in call.images:
            handle: FileHandle = yield from predict.upload(image)
            handles.append(handle)
    except LMStudioError as error:
        call.lose_images(error)
        return []
    return handles


def _fail_unreadable(options: ActOptions, failed: ToolCallGenerationFailed) -> Op[None]:
    """Tell the handler of a tool call that could not even be read, then raise the error."""
    error = LMStudioPredictionError("", failed.error, endpoint="llm.predict")
    if options.handle_invalid_tool_request is not None:
        yield from called(options.handle_invalid_tool_request, error, None)
    raise error


def _ask_handler(options: ActOptions, call: PendingCall) -> Op[None]:
    if options.handle_invalid_tool_request is None:
        return
    answer: Any = yield from called(options.handle_invalid_tool_request, call.error, call.request)
    if answer is not None:
        call.answer(answer)
