"""What a run has gathered so far, and what one round of it asks for."""

from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Sequence
from contextvars import Context, copy_context
from typing import Any

from lmstudio_core.errors import LMStudioPredictionError, LMStudioValueError
from lmstudio_core.observe.observations import ActObservation
from lmstudio_core.protocol.operations import Invoke, Op
from lmstudio_llm.chat import Chat
from lmstudio_llm.fragments import LlmPredictionFragment, ToolCallGenerationEnd
from lmstudio_llm.messages import (
    AnyChatMessage,
    AssistantResponse,
    ToolCallRequest,
    ToolCallResultData,
)
from lmstudio_llm.results import PredictionRoundResult
from lmstudio_llm.tools import Tool

from .callbacks import notify
from .calls import PendingCall
from .encoding import encoded
from .events import ActEvent, ActToolResult
from .offer import Offer
from .options import ActOptions

__all__ = ["Requests", "Run"]


class Run:
    """What a run has gathered so far.

    Args:
        chat: The conversation so far; the run adds to it.
        tools: What the model may call.
        options: Limits and callbacks.
        structured: Whether the final answer has a format of its own.
        events: Where to put what happens, if anybody wants to know.
    """

    def __init__(
        self,
        chat: Chat,
        tools: Sequence[Tool],
        options: ActOptions,
        *,
        structured: bool = False,
        events: deque[ActEvent] | None = None,
    ) -> None:
        self.chat = chat
        self.given_messages: int = len(self.chat)
        self.offer: Offer = Offer(tools)
        self.options = options
        self.structured = structured
        self.has_answer = False
        self.events = events
        self.predictions: list[PredictionRoundResult[Any]] = []
        self.calls: list[PendingCall] = []
        self.pending: list[ToolCallRequest] = []
        self.observation: ActObservation | None = None
        self.context: Context = copy_context()
        self._counts: Counter[str] = Counter()

    @property
    def tools(self) -> dict[str, Tool]:
        """The tools that the model may call now, by name."""
        return self.offer.tools

    def emit(self, event: ActEvent) -> None:
        """Tell what happens."""
        if self.events is not None:
            self.events.append(event)

    def told(self, message: AnyChatMessage) -> Op[None]:
        """Tell of a message that was added to the chat."""
        yield from notify("on_message", self.options.on_message, message)

    # --- limits --------------------------------------------------------------------------------

    def _used_up(self) -> bool:
        most = self.options.max_tool_calls
        return most is not None and sum(self._counts.values()) >= most

    def _tool_used_up(self, name: str) -> bool:
        most = self.options.calls_allowed(name)
        return most is not None and self._counts[name] >= most

    def offered(self, index: int) -> list[Tool]:
        """The tools of a round: none in the last one permitted, and none that are used up."""
        if self.options.is_last_round(index) or self._used_up():
            return []
        return [tool for tool in self.tools.values() if not self._tool_used_up(tool.name)]

    def accepts_calls(self, index: int) -> bool:
        """Whether calls in that round are answered. A run without tools says that there are none."""
        if self.options.is_last_round(index) or self._used_up():
            return False
        return not self.tools or bool(self.offered(index))

    def call(self, request: ToolCallRequest, index: int) -> PendingCall:
        """The call for a request; refused already if it cannot be served."""
        name, options = request.name, self.options
        if name not in self.tools:  # a server may have told of it while the model spoke
            self.offer.renew()
        tool = self.tools.get(name)
        call = PendingCall(request, index, options.run_id, tool, options.seconds_allowed(name))
        call.parent = self.observation
        self.calls.append(call)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            call.invalid(f"there is no tool {name!r}; there are: {known}.")
        elif self._used_up() or self._tool_used_up(name):
            message = "Error: no more calls of this tool are allowed; answer with what you have."
            call.refuse("limit", LMStudioPredictionError(message))
        else:
            self._prepare(call)
        return call

    def _prepare(self, call: PendingCall) -> None:
        try:
            call.prepare(call.request.arguments)
        except LMStudioValueError as error:
            call.invalid(str(error), error)
        else:
            self._counts[call.request.name] += 1


class Requests:
    """What the model asks for in one round, gathered while it speaks.

    Args:
        run: The run.
        index: The round.
        open_to_calls: Whether requests are answered. Where no tools are on offer there is nobody
            to do so, and a chat that ended in one could not be continued: what a model writes then
            is kept as text only.
    """

    def __init__(self, run: Run, index: int, *, open_to_calls: bool) -> None:
        self.run = run
        self.index = index
        self.open_to_calls = open_to_calls
        self.asked: list[ToolCallRequest] = []
        self.calls: list[PendingCall] = []
        self._external: list[ToolCallRequest] = []
        self._text: list[LlmPredictionFragment] = []
        self._told: set[int] = set()
        self._responded = self._answered = False

    # --- called by interpreters ----------------------------------------------------------------

    def see(self, event: Any) -> PendingCall | None:
        """Take an event of the prediction; give the call that is to be made for it, if any."""
        if self.run.events is not None:
            self.run.events.append(event)
        if event.__class__ is LlmPredictionFragment:
            self._text.append(event)
            return None
        if not isinstance(event, ToolCallGenerationEnd) or not self.open_to_calls:
            return None
        request = event.request
        self.asked.append(request)
        tool = self.run.tools.get(request.name)
        if tool is not None and tool.implementation is None:
            self._external.append(request)
            self.run.pending.append(request)
            return None
        call = self.run.call(request, self.index)
        self.calls.append(call)
        return None if call.refused else call

    def started(self, call: PendingCall) -> None:
        """The tool of that call is about to run."""
        self.run.emit(call.announcement())

    def ended(self, call: PendingCall) -> None:
        """The tool of that call ended: tell at once, unless there is more to be decided."""
        if call.outcome not in ("invalid", "failed") and not call.has_images:
            call.conclude()
            self.tell(call)

    # --- called by the loop --------------------------------------------------------------------

    def tell(self, call: PendingCall) -> None:
        """Tell of a call's result, once."""
        if id(call) not in self._told:
            self._told.add(id(call))
            self.run.emit(ActToolResult(call.record()))

    def respond(self, content: str) -> Op[None]:
        """Add what the model said and asked for to the chat."""
        self._responded = True
        message = Chat().add_assistant_response(content, self.asked)
        chat = self.run.chat
        if len(chat) and isinstance(chat[-1], AssistantResponse):
            message.continuing()  # the caller began the answer
        chat.append(message)
        yield from self.run.told(message)

    def answer(self) -> Op[None]:
        """Add the results to the chat, in the order of the requests."""
        self._answered = True
        results = [call.data() for call in self.calls]
        if results:
            yield from self.run.told(self.run.chat.add_tool_results(results))

    def leave_valid(self) -> None:
        """Answer every request before an interruption goes on, so that the chat can be continued.

        Nothing may be yielded here: the driver that would run it may be ending.
        """
        for call in self.calls:
            call.conclude()
        if not self.asked or self._answered:
            return
        if not self._responded:
            said = [fragment for fragment in self._text if fragment.reasoning_type == "none"]
            text = "".join(fragment.content for fragment in said if not fragment.is_structural)
            _run_without_waiting(self.respond(text))
        self._answered = True
        results = [*(call.data() for call in self.calls), *map(_unanswered, self._external)]
        _run_without_waiting(self.run.told(self.run.chat.add_tool_results(results)))


def _unanswered(request: ToolCallRequest) -> ToolCallResultData:
    text = "Error: the run was interrupted before this call had an answer."
    return ToolCallResultData(content=encoded(text), tool_call_id=request.id, name=request.name)


def _run_without_waiting(op: Op[None]) -> None:
    for step in op:
        if isinstance(step, Invoke):
            coroutine = step.function()
            if inspect.iscoroutine(coroutine):
                coroutine.close()
