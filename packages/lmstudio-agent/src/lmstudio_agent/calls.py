"""Calls of tools: from the model's request to the text that the model gets back."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, cast

from lmstudio_core.errors import (
    LMStudioCancelledError,
    LMStudioError,
    LMStudioPredictionError,
    LMStudioTimeoutError,
    LMStudioValueError,
)
from lmstudio_core.lenient import error_text, is_interrupt
from lmstudio_core.observe.observations import (
    Observation,
    ToolCallObservation,
    begin_observation,
    is_observed,
)
from lmstudio_llm.messages import ToolCallRequest, ToolCallResultData
from lmstudio_llm.tools import Tool

from .context import ToolCallContext
from .encoding import ImageInput, drained, drained_async, encoded, is_stream, without_images
from .events import ActToolCall
from .results import ToolCallOutcome, ToolCallRecord

__all__ = ["PendingCall"]

_PENDING = object()
_NO_REASON = "The call was not allowed."


class PendingCall:
    """One request and what is known of its fate so far.

    It keeps what its tool gave the moment it is there, so that an interruption loses nothing of
    the calls that had finished. Once concluded, it stays as it is: a tool that was given up for
    taking too long may still end some day.

    Args:
        request: What the model asked for.
        round_index: The round in which it asked.
        run_id: The run that this belongs to.
        tool: What to call; ``None`` if it is to be refused.
        timeout: How many seconds the tool may take.
    """

    def __init__(
        self,
        request: ToolCallRequest,
        round_index: int,
        run_id: str = "",
        tool: Tool | None = None,
        timeout: float | None = None,
    ) -> None:
        self.request = request
        self.tool = tool
        self.timeout = timeout
        self.context: ToolCallContext = ToolCallContext(
            request.name, request.id, round_index, run_id
        )
        self.error: Exception | None = None
        self.outcome: ToolCallOutcome = "ok"
        self.started: float | None = None
        self.parent: Observation | None = None
        self._observation: ToolCallObservation | None = None
        self.images: list[ImageInput] = []
        self._changed: Mapping[str, Any] | None = None
        self._function: Any = None
        self._value: Any = _PENDING
        self._seconds = 0.0
        self._content: str | None = None

    # --- deciding: by the loop ------------------------------------------------------------------

    def prepare(self, arguments: Mapping[str, Any] | None) -> None:
        """Bind the arguments; raises ``LMStudioValueError`` if they do not fit the tool."""
        if self.tool is not None:
            self._function = self.tool.prepare(arguments)

    def refuse(
        self, outcome: ToolCallOutcome, error: Exception, cause: BaseException | None = None
    ) -> None:
        """There is no result, because of ``error``."""
        if self._content is None:
            self.error, self.outcome = error, outcome
            self.error.__cause__ = cause

    def invalid(self, message: str, cause: BaseException | None = None) -> None:
        """The request cannot be served, because of ``message``."""
        self.refuse("invalid", LMStudioPredictionError(f"Error: {message}"), cause)

    def heed(self, verdict: Any) -> None:
        """Do as ``guard_tool_call`` says.

        Raises:
            LMStudioValueError: It said something else than it may, or its arguments do not fit.
        """
        if verdict is None or verdict is True:
            return
        if isinstance(verdict, Mapping):
            self._changed = dict(cast("Mapping[str, Any]", verdict))
            try:
                self.prepare(self._changed)
            except LMStudioValueError as error:
                raise LMStudioValueError(f"What guard_tool_call returned: {error}") from error
        elif verdict is False or isinstance(verdict, str):
            self.refuse("denied", LMStudioCancelledError(verdict or _NO_REASON))
        else:
            raise LMStudioValueError(
                "guard_tool_call returns None to allow the call, a string (the reason) to deny "
                f"it, or a dict of other arguments, not {verdict!r}."
            )

    @property
    def refused(self) -> bool:
        """Whether it is settled that the tool does not run."""
        return self.error is not None

    @property
    def needs_thread(self) -> bool:
        """Whether only a thread can be left behind when the time is over."""
        return self.timeout is not None and not self.is_async

    @property
    def is_async(self) -> bool:
        """Whether ``work`` gives something to await at once."""
        return self.tool is not None and self.tool.is_async

    @property
    def has_images(self) -> bool:
        """Whether the tool gave any, which not every model can see."""
        return self.error is None and bool(without_images(self._value)[1])

    def announcement(self) -> ActToolCall:
        """The event for its start."""
        arguments = self.request.arguments if self._changed is None else self._changed
        request = self.request
        return ActToolCall(request.name, arguments or {}, request.id, self.context.round_index)

    # --- running: by an interpreter, in any thread or loop --------------------------------------

    def work(self) -> Any:
        """Call the tool and keep what it gives; what it raises is kept too, but for Ctrl-C.

        Returns:
            Something to await if the tool is ``async``, else ``None``.
        """
        self.started = time.perf_counter()
        self._observe()
        if self.is_async:
            return self._await(None)
        try:
            with self.context.entered():
                value = self._function()
                if inspect.isawaitable(value) or isinstance(value, AsyncIterator):
                    return self._await(value)
                self._keep(self._whole(value))
        except BaseException as error:
            if is_interrupt(error):
                raise
            self._fail(error)  # a cancellation, too: of a loop inside, as nobody cancels a function
        finally:
            self._stop()
        self._observed()
        return None

    async def _await(self, given: Any) -> None:
        try:
            with self.context.entered():
                self._keep(await self._limited(self._awaited(given)))
        finally:
            if inspect.iscoroutine(given):
                given.close()  # cancelled before it began, it would warn that nobody awaited it
            self._stop()
            self._observed()

    async def _awaited(self, given: Any) -> Any:
        """Run the tool's own code; what it raises is kept here, as a loop lets ``SystemExit`` end it."""
        try:
            value = self._function() if given is None else given
            if isinstance(value, AsyncIterator):
                value = drained_async(cast("AsyncIterator[Any]", value), self._is_late)
            return self._whole(await value)
        except BaseException as error:
            if is_interrupt(error) or _is_cancellation(error):
                raise
            self._fail(error)
            return _PENDING

    async def _limited(self, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio  # only async tools need it here

        # A task of its own: only so is what cancels the tool from inside told from what cancels us.
        waiting = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait([waiting], timeout=self.timeout)
            if not done:
                self.time_out()
        finally:  # the tool does not go on after its time, nor after its run
            if waiting.cancel():
                await asyncio.wait([waiting])
        if not done:
            return _PENDING
        if waiting.cancelled():
            self._fail(asyncio.CancelledError("what it waited for was cancelled"))
            return _PENDING
        return waiting.result()

    def _whole(self, value: Any) -> Any:
        """What the tool returned, with what it gives one by one collected here, in its time."""
        return drained(value, self._is_late) if is_stream(value) else value

    def _is_late(self) -> bool:
        if self.started is not None and self.timeout is not None:
            taken = time.perf_counter() - self.started
            if taken > self.timeout and self.error is None:
                self.time_out()
        return self.error is not None or self.context.cancelled

    def _keep(self, value: Any) -> None:
        if self._content is None and self.error is None:
            self._value = value

    def _fail(self, error: BaseException) -> None:
        if self.error is None:
            said = error_text(error, named=True)
            message = f"Error: the tool {self.request.name!r} raised {said}"
            self.refuse("failed", LMStudioPredictionError(message), error)

    def _stop(self) -> None:
        if self._content is None and self.started is not None and self.outcome != "timeout":
            self._seconds = time.perf_counter() - self.started

    def _observe(self) -> None:
        """Tell observers that the tool begins."""
        if not is_observed(ToolCallObservation):
            return
        self._observation = begin_observation(
            ToolCallObservation(
                parent=self.parent,
                name=self.request.name,
                call_id=self.request.id,
                arguments=self.announcement().arguments,
                description=None if self.tool is None else self.tool.description,
                round_index=self.context.round_index,
                run_id=self.context.run_id,
            )
        )

    def _observed(self) -> None:
        """Tell observers that it ended, or that nobody waits for it any more."""
        observation, self._observation = self._observation, None
        if observation is not None:
            if self.error is None and self._value is not _PENDING:
                observation.result = self._value
            observation.finish(self.error and (self.error.__cause__ or self.error))

    def time_out(self) -> None:
        """Nobody waits for the tool any longer."""
        self._stop()
        self.context.cancelled = True
        self.refuse(
            "timeout",
            LMStudioTimeoutError(
                f"Error: the tool {self.request.name!r} was not done after {self.timeout:.3g} "
                "seconds.",
                seconds=self.timeout,
            ),
        )
        self._observed()

    # --- concluding: by the loop ----------------------------------------------------------------

    def conclude(self, vision: Callable[[], bool] = lambda: False) -> None:
        """Turn what the tool gave into text; what was never finished is said to be cancelled.

        Args:
            vision: Whether the model can see images; asked if there are some.
        """
        if self._content is not None:
            return
        self._observed()
        if self.error is None and self._value is _PENDING:
            self.context.cancelled = True
            message = "Error: the call was cancelled before it finished."
            self.refuse("cancelled", LMStudioCancelledError(message))
        if self.error is None:
            self._encode(vision)
        elif self.outcome == "denied":
            self._content = encoded({"error": str(self.error)})
        if self._content is None:
            self._content = encoded(str(self.error))

    def _encode(self, vision: Callable[[], bool]) -> None:
        plain, images = without_images(self._value)
        seen = bool(images) and vision()
        if images and not seen:
            plain = {"result": plain, "note": "You cannot see images, so they are left out."}
        self._content = encoded(plain)
        self.images = images if seen else []

    def lose_images(self, error: LMStudioError) -> None:
        """The images could not be sent to the server."""
        self.images = []
        self.error = error
        self.outcome = "failed"
        self._content = encoded(f"Error: the image of the tool {self.request.name!r}: {error}")

    def answer(self, text: Any) -> None:
        """Let the model get ``text`` instead of the error's own."""
        self._content = encoded(text)

    def data(self) -> ToolCallResultData:
        """The result as a part of a chat."""
        return ToolCallResultData(
            content=self._content or "", tool_call_id=self.request.id, name=self.request.name
        )

    def record(self) -> ToolCallRecord:
        """The result as a part of ``ActResult``."""
        return ToolCallRecord(
            name=self.request.name,
            arguments=cast("Mapping[str, Any]", self.request.arguments or {}),
            call_id=self.request.id,
            round_index=self.context.round_index,
            content=self._content or "",
            result=None if self._value is _PENDING else self._value,
            error=self.error,
            outcome=self.outcome,
            changed_arguments=self._changed,
            duration_seconds=self._seconds,
            reports=tuple(self.context.reports),
        )


def _is_cancellation(error: BaseException) -> bool:
    """Whether it is asyncio's; who does not use asyncio need not import it."""
    asyncio: Any = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)
