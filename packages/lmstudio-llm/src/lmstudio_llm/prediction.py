"""One prediction as a fold over the server's packets. No I/O here.

The packets come in this order: progress of reading the prompt, then fragments and tool calls, then
``success``. The fold takes them in any order that makes sense, ignores kinds it does not know, and
ignores everything after ``success``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lmstudio_core.config import kv_values
from lmstudio_core.errors import (
    LMStudioPredictionError,
    LMStudioRuntimeError,
    LMStudioServerError,
    LMStudioValueError,
)
from lmstudio_core.lenient import as_mapping, as_text, is_mapping
from lmstudio_core.models.infos import LlmInstanceInfo
from lmstudio_core.observe.observations import (
    Observation,
    PredictionObservation,
    begin_observation,
    is_observed,
)
from lmstudio_core.protocol.address import Address
from lmstudio_core.protocol.operations import Channel, Endpoint
from lmstudio_core.protocol.server_errors import SerializedLMSExtendedError, server_error

from .chat import Chat
from .config import LlmLoadModelConfig, LlmPredictionConfig
from .fragments import (
    LlmPredictionFragment,
    PredictionEvent,
    PromptProcessingDetails,
    PromptProcessingProgress,
    ToolCallGenerationEnd,
    ToolCallGenerationFailed,
    ToolCallGenerationStart,
    ToolCallNameReceived,
    fragment_from_wire,
)
from .halves import ArgumentsJoiner, FragmentJoiner, shown
from .jsonschema_check import import_soon
from .messages import AssistantResponse, ToolCallRequest
from .reasoning import DEFAULT_TAGS, ReasoningSplitter, as_reasoning
from .results import LlmPredictionStats, PredictionResult, Unread
from .schemas import OutputFormat, StructuredOutput
from .vision import explained

__all__ = [
    "PredictionCallbacks",
    "PredictionChannel",
    "PredictionFirstTokenCallback",
    "PredictionFragmentCallback",
    "PredictionMessageCallback",
    "PromptProcessingCallback",
    "check_callback",
]

logger: Final = logging.getLogger("lmstudio")

T = TypeVar("T")
_NOTHING: Final[Sequence[Any]] = ()

PredictionMessageCallback = Callable[[AssistantResponse], Any]  # public
PredictionFirstTokenCallback = Callable[[], Any]  # public
PredictionFragmentCallback = Callable[[LlmPredictionFragment], Any]  # public
PromptProcessingCallback = Callable[[float], Any]  # public


@dataclass(frozen=True)
class PredictionCallbacks:
    """Whom to tell. What ``on_message`` raises is the caller's; others that raise are logged."""

    on_message: PredictionMessageCallback | None = None
    on_first_token: PredictionFirstTokenCallback | None = None
    on_prediction_fragment: PredictionFragmentCallback | None = None
    on_prompt_processing_progress: PromptProcessingCallback | None = None

    def __post_init__(self) -> None:
        for name, callback in vars(self).items():
            if callback is not None:
                check_callback(name, callback)


def check_callback(name: str, callback: object, *, awaited: bool = False) -> None:
    """Raise ``LMStudioValueError`` for what cannot be called, or is async and not ``awaited``."""
    if not callable(callback):
        raise LMStudioValueError(f"{name} is a function or None, not {callback!r}.")
    if not awaited and inspect.iscoroutinefunction(callback):
        raise LMStudioValueError(
            f"{name} is called in the middle of reading, where nothing can be awaited: give a "
            "plain function, which may start a task."
        )


class PredictionChannel(Channel[PredictionEvent, PredictionResult[T]]):
    """Folds the packets of a prediction into events and a result.

    Args:
        endpoint: ``"predict"`` or ``"completeRawText"``.
        parameter: What the request holds.
        output_format: How the output is read; ``None`` takes it as text.
        callbacks: Whom to tell what happens.
        tags: What may stand around reasoning that the server does not tell apart.

    Attributes:
        more_attempts: Whether another attempt follows if the output is not in its format; then
            ``on_message`` waits for that one.
        continues: Whether the caller's chat ends with the beginning of the answer.
        validates: Whether data will be checked by a JSON schema, for which more is imported as soon
            as the server answers.
    """

    def __init__(
        self,
        endpoint: str,
        parameter: Mapping[str, Any],
        output_format: OutputFormat[T] | None = None,
        callbacks: PredictionCallbacks | None = None,
        tags: Sequence[tuple[str, str]] = DEFAULT_TAGS,
    ) -> None:
        self.endpoint: Endpoint = Endpoint("llm", endpoint, "channel")
        self.parameter = parameter
        self._format = output_format
        self._callbacks = callbacks or PredictionCallbacks()
        self._on_fragment = self._callbacks.on_prediction_fragment
        self.more_attempts = self.continues = self._telling = False
        self.validates: bool = output_format is not None and output_format.by_schema
        self._splitter = ReasoningSplitter(tags)
        self._halves, self._arguments = FragmentJoiner(), ArgumentsJoiner()
        self._begun = self._cancelled = self._dropped = False
        self._told_progress = -1.0
        self._observation: PredictionObservation | None = None
        self._observed_in: tuple[Observation | None, int | None] = (None, None)
        self._context = copy_context()
        self._fragments: list[LlmPredictionFragment] = []
        self._tool_calls: list[ToolCallRequest] = []
        self._failed_calls: list[ToolCallGenerationFailed] = []
        self._failed_callbacks: set[str] = set()
        self._open_call_id: str | None = None
        self._result: PredictionResult[T] | None = None

    def feed(self, message: Any) -> Sequence[PredictionEvent]:
        """Take one packet; see ``Channel.feed``. This is the path that every token takes."""
        if self.done:
            return _NOTHING
        try:
            kind = message["type"]
            if kind == "fragment":
                if self._cancelled:
                    self._dropped = True
                    return _NOTHING
                fragment = fragment_from_wire(message["fragment"])
                if not self._begun:
                    self._begin()
                content = fragment.content
                if not content.isascii() or self._halves.holds or fragment.tokens:
                    return self._keep(self._split(self._halves.feed(fragment)))
                if not self._splitter.passes(content):
                    return self._keep(self._splitter.feed(fragment))
                self._fragments.append(fragment)
                if self._on_fragment is not None:
                    self._call("on_prediction_fragment", self._on_fragment, fragment)
                return (fragment,)
            return self._other(kind, message)
        except (KeyError, TypeError, AttributeError):
            if self._telling:  # on_message raised it, so it is the caller's
                raise
            # Only a packet of a shape that no server is known to send.
            logger.warning("A packet of %s was not understood: %.200r", self.endpoint, message)
            return _NOTHING

    def _other(self, kind: Any, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        match kind:
            case "promptProcessingProgress":
                return self._progress(packet)
            case "toolCallGenerationStart":
                return self._after_text(self._call_started(packet))
            case "toolCallGenerationNameReceived":
                return self._after_text(self._call_named(packet))
            case "toolCallGenerationArgumentFragmentGenerated":
                return self._after_text(self._call_arguments(packet))
            case "toolCallGenerationEnd":
                return self._after_text([*self._arguments.flush(), *self._call_ended(packet)])
            case "toolCallGenerationFailed":
                return self._after_text([*self._arguments.flush(), *self._call_failed(packet)])
            case "success":
                return self._succeeded(packet)
            case _:
                return _NOTHING

    def _begin(self) -> None:
        """The first fragment has come."""
        self._begun = True
        if self.validates:
            import_soon()
        self._tell_progress(1.0)  # servers may leave the end of reading out
        if self._observation is not None:
            self._observation.first_token()
        self._call("on_first_token", self._callbacks.on_first_token)

    def _keep(self, fragments: Sequence[LlmPredictionFragment]) -> Sequence[PredictionEvent]:
        if self._splitter.answer_begins:
            self._splitter.answer_begins = False
            kinds = [fragment.reasoning_type for fragment in fragments]
            answer = len(kinds) - kinds[::-1].index("reasoningEndTag")
            self._fragments = as_reasoning(self._fragments)
            fragments = [*as_reasoning(fragments[:answer]), *fragments[answer:]]
        self._fragments += fragments
        if self._on_fragment is not None:
            for fragment in fragments:
                self._call("on_prediction_fragment", self._on_fragment, fragment)
        return fragments

    def _after_text(self, events: Sequence[PredictionEvent]) -> Sequence[PredictionEvent]:
        """These events, after the text that came before them."""
        held = self._keep(self._rest())
        return [*held, *events] if held else events

    def _rest(self) -> list[LlmPredictionFragment]:
        """What is still held back of the text: what may be a tag, or half a character."""
        return [*self._split(self._halves.flush()), *self._splitter.flush()]

    def _split(self, whole: Sequence[LlmPredictionFragment]) -> list[LlmPredictionFragment]:
        return [part for fragment in whole for part in self._splitter.feed(fragment)]

    def cancelled(self) -> None:
        """The caller wants no more: text that is still on its way is dropped.

        How much of it arrives depends on how fast the server is, so the result ends with what the
        caller has seen.
        """
        self._cancelled = True

    def result(self) -> PredictionResult[T]:
        """The result, once ``success`` has come."""
        if self._result is None:
            raise LMStudioRuntimeError("The prediction has not ended; there is no result yet.")
        return self._result

    def observed_in(self, parent: Observation | None, round_index: int) -> None:
        """Let observers know that this is a round of an agent's run."""
        self._observed_in = parent, round_index

    def on_begin(self) -> None:
        """Tell observers; see ``Channel.on_begin``."""
        if not is_observed(PredictionObservation):
            return
        parent, round_index = self._observed_in
        self._observation = begin_observation(
            PredictionObservation(
                parent=parent,
                endpoint=str(self.endpoint),
                parameter=self.parameter,
                round_index=round_index,
            ),
            self._context,
        )

    def on_end(self, error: BaseException | None, address: Address | None) -> None:
        """Tell observers; see ``Channel.on_end``."""
        observation, self._observation = self._observation, None
        if observation is not None:
            observation.server = None if address is None else str(address)
            observation.result = self._result
            observation.finish(error)

    def error(self, raw: Any) -> LMStudioServerError:
        """The exception for the server's error packet."""
        error = server_error(raw, str(self.endpoint), default=LMStudioPredictionError)
        return explained(error, self.parameter)

    # --- packets -------------------------------------------------------------------------------

    def _progress(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        progress = packet.get("progress")
        if self._cancelled or not isinstance(progress, (int, float)):
            return _NOTHING
        ratio = float(min(1.0, max(0.0, progress)))
        details = packet.get("details")
        known = PromptProcessingDetails.from_dict(details) if is_mapping(details) else None
        self._tell_progress(ratio)
        return (PromptProcessingProgress(ratio, known),)

    def _tell_progress(self, ratio: float) -> None:
        """Tell the callback: from 0.0 to 1.0, never the same again and never less."""
        callback = self._callbacks.on_prompt_processing_progress
        if callback is None or ratio <= self._told_progress:
            return
        name, begins = "on_prompt_processing_progress", self._told_progress < 0.0 < ratio
        self._told_progress = ratio
        if begins:
            self._call(name, callback, 0.0)
        self._call(name, callback, ratio)

    def _call_started(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        self._open_call_id = as_text(packet.get("toolCallId"))
        if self.validates:
            import_soon()
        return (ToolCallGenerationStart(self._open_call_id),)

    def _call_named(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        name = shown(packet.get("name"))
        return (ToolCallNameReceived(name),) if name else _NOTHING

    def _call_arguments(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        content = as_text(packet.get("content"))
        return self._arguments.feed(content) if content else _NOTHING

    def _call_ended(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        raw, raw_text = packet.get("toolCallRequest"), shown(packet.get("rawContent"))
        given = dict(as_mapping(raw))
        # Some servers give the id only when the call starts.
        given["id"] = given.get("id") or self._open_call_id
        self._open_call_id = None
        try:
            request = ToolCallRequest.from_dict({**given, "rawContent": raw_text})
        except LMStudioValueError:
            title = f"The server sent a tool call that cannot be read: {raw!r}"
            return self._failed(SerializedLMSExtendedError(title=title), raw_text)
        self._tool_calls.append(request)
        return (ToolCallGenerationEnd(request, raw_text),)

    def _call_failed(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        self._open_call_id = None
        details = SerializedLMSExtendedError.read(packet.get("error"))
        return self._failed(details, shown(packet.get("rawContent")))

    def _failed(
        self, error: SerializedLMSExtendedError, raw_text: str | None
    ) -> Sequence[PredictionEvent]:
        failed = ToolCallGenerationFailed(error, raw_text)
        self._failed_calls.append(failed)
        return (failed,)

    def _succeeded(self, packet: Mapping[str, Any]) -> Sequence[PredictionEvent]:
        rest = self._keep(self._rest())
        self.done = True
        self._result = self._build(packet)
        retried = self.more_attempts and self._result.may_be_retried
        if self._callbacks.on_message is not None and not retried:
            message = Chat().add_assistant_response(self._result)
            self._telling = True
            self._callbacks.on_message(message.continuing() if self.continues else message)
            self._telling = False
        return rest

    # --- the result ----------------------------------------------------------------------------

    def _build(self, packet: Mapping[str, Any]) -> PredictionResult[T]:
        content, reasoning, output = self._read(self._joined("none"), self._joined("reasoning"))
        stats = as_mapping(packet.get("stats"))
        if self._dropped:  # the server may have been done before it heard of the end
            stats = {**stats, "stopReason": "userStopped"}
        return PredictionResult(
            content=content,
            parsed=output.parsed,
            value=output.value,
            problems=output.problems,
            structured=self._format is not None
            and (self._format.structured or is_mapping(output.parsed)),
            reasoning=reasoning,
            raw_content="".join([fragment.content for fragment in self._fragments]),
            stats=LlmPredictionStats.from_dict(stats),
            model_info=Unread(LlmInstanceInfo.from_dict, as_mapping(packet.get("modelInfo"))),
            load_config=Unread(
                LlmLoadModelConfig.from_kv, kv_values(packet.get("loadModelConfig"))
            ),
            prediction_config=Unread(
                LlmPredictionConfig.from_kv, kv_values(packet.get("predictionConfig"))
            ),
            tool_calls=self._tool_calls,
            failed_tool_calls=self._failed_calls,
        )

    def _joined(self, reasoning_type: str) -> str:
        """The text of one type; markers of the model's own format are left out."""
        return "".join(
            [
                fragment.content
                for fragment in self._fragments
                if fragment.reasoning_type == reasoning_type and not fragment.is_structural
            ]
        )

    def _read(self, content: str, reasoning: str) -> tuple[str, str, StructuredOutput]:
        """The answer, the reasoning, and what the answer holds.

        Output that is in no format as it stands is looked at again: a template that begins the
        reasoning itself leaves only its end in the text, and some servers take data for reasoning.
        """
        if self._format is None:
            return content, reasoning, StructuredOutput(content, content)
        output = self._format.read(content)
        if not output.problems:
            return content, reasoning, output
        before, tag, rest = content.rpartition("</think>")
        if tag and not (again := self._format.read(rest)).problems:
            return rest.lstrip(), reasoning + before, again
        if not content.strip() and not (again := self._format.read(reasoning)).problems:
            return reasoning, "", again
        return content, reasoning, output

    def _call(self, name: str, callback: Callable[..., Any] | None, *args: Any) -> None:
        try:
            if callback is not None:
                callback(*args)
        except Exception:
            # A callback that fails usually fails for every fragment; once is enough to see.
            level = logging.DEBUG if name in self._failed_callbacks else logging.ERROR
            self._failed_callbacks.add(name)
            logger.log(level, "%s raised; the prediction goes on", name, exc_info=True)
