"""OpenTelemetry: spans and metrics by the semantic conventions for generative AI.

Needs the extra ``lmstudio-core[otel]``, which is OpenTelemetry's API; where the data goes is up to
the SDK that a program sets up. Call ``instrument()`` once. What models and people say is not
recorded unless ``capture_content`` or OpenTelemetry's environment variable for it says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from ..config import stack_values
from ..errors import LMStudioValueError
from ..lenient import as_list, as_mapping, error_text, json_text
from ..plugins.hookspecs import hookimpl
from ..protocol.address import parse_api_host
from .observations import (
    ActObservation,
    EmbeddingObservation,
    Observation,
    PredictionObservation,
    ToolCallObservation,
    add_observer,
    remove_observer,
)

__all__ = ["OpenTelemetryObserver", "instrument", "uninstrument"]

_SCOPE: Final = "lmstudio"
_PROVIDER: Final = "lmstudio"
_CONTENT_VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92
)  # fmt: skip
_TOKENS: Final = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864
)  # fmt: skip
_SETTINGS: Final = {
    "llm.prediction.temperature": "gen_ai.request.temperature",
    "llm.prediction.topPSampling": "gen_ai.request.top_p",
    "llm.prediction.topKSampling": "gen_ai.request.top_k",
    "llm.prediction.seed": "gen_ai.request.seed",
    "llm.prediction.maxPredictedTokens": "gen_ai.request.max_tokens",
    "llm.prediction.stopStrings": "gen_ai.request.stop_sequences",
    "llm.prediction.llama.presencePenalty": "gen_ai.request.presence_penalty",
    "llm.prediction.llama.frequencyPenalty": "gen_ai.request.frequency_penalty",
}
_FINISH: Final = {
    "eosFound": "stop",
    "stopStringFound": "stop",
    "toolCalls": "tool_call",
    "maxPredictedTokensReached": "length",
    "contextLengthReached": "length",
    "failed": "error",
}

_lock = threading.Lock()
_active: list[OpenTelemetryObserver] = []


def instrument(
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    *,
    capture_content: bool | None = None,
) -> OpenTelemetryObserver:
    """Begin to tell OpenTelemetry of predictions, embeddings, agents' runs and tool calls.

    Args:
        tracer_provider: Where spans go; by default the global provider's.
        meter_provider: Where metrics go; by default the global provider's.
        capture_content: Whether chats, answers, and what tools get and give are recorded. They may
            hold anything that people type. By default the environment variable
            ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` decides.

    Returns:
        The observer, which ``uninstrument`` takes away.

    Raises:
        LMStudioValueError: It was called before, and ``uninstrument`` was not.
    """
    with _lock:
        if _active:
            raise LMStudioValueError("instrument() was called before; call uninstrument() first.")
        if capture_content is None:
            chosen = os.environ.get(_CONTENT_VARIABLE, "").strip().lower()
            capture_content = chosen in ("true", "1", "span_only", "span_and_event")
        observer = OpenTelemetryObserver(
            trace.get_tracer(_SCOPE, tracer_provider=tracer_provider),
            metrics.get_meter(_SCOPE, meter_provider=meter_provider),
            capture_content=capture_content,
        )
        add_observer(observer)
        _active.append(observer)
        return observer


def uninstrument() -> None:
    """Tell OpenTelemetry no more; without ``instrument`` before, nothing happens."""
    with _lock:
        while _active:
            remove_observer(_active.pop())


class OpenTelemetryObserver:
    """Makes spans and metrics of what goes on; see ``instrument``.

    Args:
        tracer: Makes the spans.
        meter: Makes the metrics.
        capture_content: Whether what was said is recorded.
    """

    def __init__(
        self, tracer: trace.Tracer, meter: metrics.Meter, *, capture_content: bool = False
    ) -> None:
        self._tracer = tracer
        self._content = capture_content
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="How long an operation took.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="How long the first fragment took to come.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="How many tokens went in and came out.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    # -- predictions -----------------------------------------------------------------------------

    @hookimpl
    def lmstudio_prediction_started(self, prediction: PredictionObservation) -> None:
        """Open a span."""
        chat = prediction.endpoint == "llm.predict"
        attributes = _common("chat" if chat else "text_completion", prediction.model)
        attributes |= _settings(prediction.parameter)
        if prediction.round_index is not None:
            attributes["lmstudio.act.round_index"] = prediction.round_index
        span = self._start(prediction, prediction.model, SpanKind.CLIENT, attributes)
        if self._content and span.is_recording():
            span.set_attribute("gen_ai.input.messages", _json(_input(prediction.parameter)))

    @hookimpl
    def lmstudio_prediction_finished(self, prediction: PredictionObservation) -> None:
        """Close the span, and count."""
        span, known = _taken(self, prediction)
        found: dict[str, Any] = {}
        if prediction.first_token_seconds is not None:
            found["gen_ai.response.time_to_first_chunk"] = prediction.first_token_seconds
        result = prediction.result
        if result is not None:
            found |= _answer(result)
            known["gen_ai.response.model"] = found["gen_ai.response.model"]
            found |= _usage(result.stats.prompt_tokens_count, result.stats.predicted_tokens_count)
            if self._content and span.is_recording():
                found["gen_ai.output.messages"] = _json([_output(result)])
        known |= _where(prediction.server)
        span.set_attributes({**found, **known})
        _end(span, prediction, known, describe=True)
        self._duration.record(prediction.seconds or 0.0, known)
        if prediction.first_token_seconds is not None:
            self._first_chunk.record(prediction.first_token_seconds, known)
        for kind in ("input", "output"):
            if (count := found.get(f"gen_ai.usage.{kind}_tokens")) is not None:
                self._tokens.record(count, {**known, "gen_ai.token.type": kind})

    # -- embeddings ------------------------------------------------------------------------------

    @hookimpl
    def lmstudio_embedding_started(self, embedding: EmbeddingObservation) -> None:
        """Open a span."""
        attributes = _common("embeddings", embedding.model)
        self._start(embedding, embedding.model, SpanKind.CLIENT, attributes)

    @hookimpl
    def lmstudio_embedding_finished(self, embedding: EmbeddingObservation) -> None:
        """Close the span, and count."""
        span, known = _taken(self, embedding)
        known |= _where(embedding.server)
        span.set_attributes({**known, "lmstudio.embeddings.count": embedding.texts})
        if embedding.dimensions is not None:
            span.set_attribute("gen_ai.embeddings.dimension.count", embedding.dimensions)
        _end(span, embedding, known, describe=True)
        self._duration.record(embedding.seconds or 0.0, known)

    # -- agents ----------------------------------------------------------------------------------

    @hookimpl
    def lmstudio_act_started(self, act: ActObservation) -> None:
        """Open a span, which those of the run's predictions and tool calls are below."""
        attributes = _common("invoke_agent", act.model)
        self._start(act, None, SpanKind.INTERNAL, {**attributes, "lmstudio.act.id": act.run_id})

    @hookimpl
    def lmstudio_act_finished(self, act: ActObservation) -> None:
        """Close the span."""
        span, known = _taken(self, act)
        predictions: Sequence[Any] = getattr(act.result, "predictions", ())
        if predictions:
            stats = [prediction.stats for prediction in predictions]
            span.set_attribute("lmstudio.act.rounds", len(predictions))
            span.set_attributes(_answer(predictions[-1]))
            span.set_attributes(
                _usage(
                    _total(each.prompt_tokens_count for each in stats),
                    _total(each.predicted_tokens_count for each in stats),
                )
            )
            if self._content and span.is_recording():
                span.set_attribute("gen_ai.output.messages", _json([_output(predictions[-1])]))
        _end(span, act, known, describe=self._content)

    @hookimpl
    def lmstudio_tool_call_started(self, tool_call: ToolCallObservation) -> None:
        """Open a span, which those of whatever the tool does are below."""
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool_call.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": tool_call.call_id,
            "gen_ai.tool.description": tool_call.description,
            "lmstudio.act.round_index": tool_call.round_index,
        }
        if self._content:
            attributes["gen_ai.tool.call.arguments"] = _json(tool_call.arguments)
        given = {key: value for key, value in attributes.items() if value is not None}
        span = self._start(tool_call, tool_call.name, SpanKind.INTERNAL, given)
        token = otel_context.attach(trace.set_span_in_context(span))
        tool_call.data[self, "token"] = token

    @hookimpl
    def lmstudio_tool_call_finished(self, tool_call: ToolCallObservation) -> None:
        """Close the span."""
        span, known = _taken(self, tool_call)
        token = tool_call.data.pop((self, "token"), None)
        # It may end elsewhere than where it began: a thread's context goes away with its work.
        if token is not None and trace.get_current_span() is span:
            otel_context.detach(token)
        if self._content and tool_call.error is None:
            span.set_attribute("gen_ai.tool.call.result", _json(tool_call.result))
        _end(span, tool_call, known, describe=self._content)

    # -- spans -----------------------------------------------------------------------------------

    def _start(
        self, observation: Observation, name: str | None, kind: SpanKind, attributes: dict[str, Any]
    ) -> Span:
        above = None if observation.parent is None else observation.parent.data.get(self)
        operation = str(attributes["gen_ai.operation.name"])
        span = self._tracer.start_span(
            f"{operation} {name}" if name else operation,
            context=None if above is None else trace.set_span_in_context(above[0]),
            kind=kind,
            attributes=attributes,
        )
        metric_keys = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
        observation.data[self] = span, {k: attributes[k] for k in metric_keys if k in attributes}
        return span


def _taken(
    observer: OpenTelemetryObserver, observation: Observation
) -> tuple[Span, dict[str, Any]]:
    """The span, and what metrics are told by; nothing for what began before the observer did."""
    found: tuple[Span, dict[str, Any]] = observation.data.get(observer, (trace.INVALID_SPAN, {}))
    return found


def _end(span: Span, observation: Observation, known: dict[str, Any], *, describe: bool) -> None:
    # What a tool raises often quotes what it was given, which is content.
    error = observation.error
    if error is not None:
        known["error.type"] = type(error).__name__
        span.set_attribute("error.type", type(error).__name__)
        text = error_text(error).partition("\n")[0] if describe else None
        span.set_status(Status(StatusCode.ERROR, text))
    span.end()


def _common(operation: str, model: str | None) -> dict[str, Any]:
    found = {"gen_ai.operation.name": operation, "gen_ai.provider.name": _PROVIDER}
    return found if model is None else {**found, "gen_ai.request.model": model}


def _where(server: str | None) -> dict[str, Any]:
    if server is None:
        return {}
    address = parse_api_host(server)
    return {"server.address": address.host, "server.port": address.port}


def _answer(result: Any) -> dict[str, Any]:
    """Which model answered, and why it ended."""
    info, reason = result.model_info, result.stats.stop_reason
    return {
        "gen_ai.response.model": info.model_key or info.identifier,
        "gen_ai.response.finish_reasons": [_FINISH.get(reason, reason)],
    }


def _usage(given: int | None, made: int | None) -> dict[str, Any]:
    counts = {"gen_ai.usage.input_tokens": given, "gen_ai.usage.output_tokens": made}
    return {key: count for key, count in counts.items() if count is not None}


def _total(counts: Iterator[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _settings(parameter: Mapping[str, Any]) -> dict[str, Any]:
    values = stack_values(parameter.get("predictionConfigStack"))
    found: dict[str, Any] = {}
    for key, attribute in _SETTINGS.items():
        value = values.get(key)
        box = as_mapping(value)
        if {"checked", "value"} <= box.keys():
            value = box["value"] if box["checked"] else None
        if value is not None and value != []:
            found[attribute] = value
    structured = as_mapping(values.get("llm.prediction.structured")).get("type", "none")
    found["gen_ai.output.type"] = "json" if structured == "json" else "text"
    return found


# -- what was said, in the conventions' form --------------------------------------------------------


def _json(value: Any) -> str:
    return json_text(value, default=repr)


def _text(content: Any) -> dict[str, Any]:
    return {"type": "text", "content": content}


def _input(parameter: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "rawPrompt" in parameter:
        return [{"role": "user", "parts": [_text(parameter["rawPrompt"])]}]
    history = as_list(as_mapping(parameter.get("history")).get("messages"))
    return [
        {
            "role": as_mapping(message).get("role"),
            "parts": [
                _part(as_mapping(part))
                for part in as_list(as_mapping(message).get("content"))
                if as_mapping(part).get("text") != ""  # stands before tool calls
            ],
        }
        for message in history
    ]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "text":
            return _text(part.get("text"))
        case "toolCallRequest":
            return _call(as_mapping(part.get("toolCallRequest")))
        case "toolCallResult":
            return {
                "type": "tool_call_response",
                "id": part.get("toolCallId"),
                "response": part.get("content"),
            }
        case kind:  # a file: its content is not in the chat
            return {"type": kind or "file", "name": part.get("name")}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "tool_call",
        "id": call.get("id"),
        "name": call.get("name"),
        "arguments": call.get("arguments"),
    }


def _output(result: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if result.reasoning:
        parts.append({"type": "reasoning", "content": result.reasoning})
    if result.content:
        parts.append(_text(result.content))
    calls: Sequence[Any] = result.tool_calls
    parts += [
        {"type": "tool_call", "id": one.id, "name": one.name, "arguments": one.arguments}
        for one in calls
    ]
    reason = result.stats.stop_reason
    return {"role": "assistant", "parts": parts, "finish_reason": _FINISH.get(reason, reason)}
