"""Calls of tools: from the model's request to the text that the model gets back."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from pydantic_core import to_jsonable_python

from lmstudio_core.errors import LMStudioCancelledError, LMStudioPredictionError
from lmstudio_llm.messages import ToolCallRequest, ToolCallResultData

from .context import ToolCallContext
from .results import ToolCallRecord

__all__ = ["PendingCall", "encoded"]

_PENDING = object()


def encoded(value: Any) -> str:
    """The JSON text in which the model gets ``value``; pydantic models, dates and the like too."""
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


class PendingCall:
    """One request and what is known of its fate so far.

    It keeps what its tool gave the moment it is there, so that an interruption loses nothing of
    the calls that had finished.

    Args:
        request: What the model asked for.
        round_index: The round in which it asked.
        run_id: The run that this belongs to.
    """

    def __init__(self, request: ToolCallRequest, round_index: int, run_id: str = "") -> None:
        self.request = request
        self.context = ToolCallContext(request.name, request.id, round_index, run_id)
        self.error: Exception | None = None
        self._value: Any = _PENDING
        self._seconds = 0.0
        self._content: str | None = None

    # --- running: by a driver, in any thread or loop -------------------------------------------

    def task(self, function: Callable[[], Any], *, is_async: bool) -> Callable[[], Any]:
        """What a driver is to run: ``function``, with its outcome kept here; it never raises."""

        async def run_async(given: Awaitable[Any] | None = None, started: float = 0.0) -> None:
            started = started or time.perf_counter()
            try:
                with self.context.entered():
                    self._value = await (function() if given is None else given)
            except Exception as error:  # noqa: BLE001 - it is for the model to deal with
                self._fail(error)
            finally:
                self._seconds = time.perf_counter() - started

        def run() -> Any:
            started = time.perf_counter()
            try:
                with self.context.entered():
                    value = function()
                if inspect.isawaitable(value):
                    return run_async(value, started)
                self._value = value
            except Exception as error:  # noqa: BLE001 - it is for the model to deal with
                self._fail(error)
            finally:
                self._seconds = time.perf_counter() - started
            return None

        return run_async if is_async else run

    def _fail(self, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        self.refuse(f"Error: the tool {self.request.name!r} raised {said}", error)

    # --- deciding: by the loop ------------------------------------------------------------------

    def refuse(self, message: str, cause: BaseException | None = None) -> None:
        """There is no result, because of ``message``."""
        self.error = LMStudioPredictionError(message)
        self.error.__cause__ = cause

    def conclude(self) -> None:
        """Turn what the tool gave into text; what was never finished is said to be cancelled."""
        if self.error is None and self._value is _PENDING:
            self.context.cancelled = True
            self.error = LMStudioCancelledError("Error: the call was cancelled before it finished.")
        if self.error is None:
            try:
                self._content = encoded(self._value)
            except Exception as error:  # noqa: BLE001 - serializers of the user's
                kind = type(self._value).__name__
                self.refuse(
                    f"Error: the tool {self.request.name!r} returned a {kind}, which JSON cannot "
                    "hold.",
                    error,
                )
        if self._content is None:
            self._content = encoded(str(self.error))

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
            duration_seconds=self._seconds,
            reports=tuple(self.context.reports),
        )
