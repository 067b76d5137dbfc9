"""OpenTelemetry gets spans and metrics by its conventions for generative AI."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import lmstudio as lms
from lmstudio_core.errors import LMStudioValueError
from lmstudio_testing import FakeServer, Gate, Reasoning

pytest.importorskip("opentelemetry.sdk", reason="needs OpenTelemetry's SDK")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from lmstudio_core.observe.otel import instrument, uninstrument


class Telemetry:
    """An SDK that keeps everything."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("test")

    def instrument(self, **options: Any) -> None:
        instrument(self.tracers, self.meters, **options)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def points(self) -> dict[tuple[str, Any], Any]:
        """Name and ``gen_ai.token.type`` of each point of a metric → the point."""
        data = self.reader.get_metrics_data()
        return {
            (metric.name, point.attributes.get("gen_ai.token.type")): point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    made = Telemetry()
    yield made
    uninstrument()
    made.tracers.shutdown()
    made.meters.shutdown()


@pytest.fixture
def client(server: FakeServer) -> Iterator[lms.Client]:
    with lms.Client(server.api_host) as client:
        yield client


def parent_of(span: ReadableSpan) -> Any:
    return None if span.parent is None else span.parent.span_id


def test_a_prediction(server: FakeServer, client: lms.Client, telemetry: Telemetry) -> None:
    telemetry.instrument()
    server.llm().respond(Reasoning("Hm."), "Hello there!", stop_reason="maxPredictedTokensReached")
    config = {"temperature": 0.5, "maxTokens": 7, "topPSampling": 0.9, "stopStrings": ["x"]}
    config["seed"] = 3
    with telemetry.tracer.start_as_current_span("caller") as caller:
        client.llm.model("qwen").respond("A secret", config=config)
    span = telemetry.spans["chat qwen"]
    assert parent_of(span) == caller.get_span_context().span_id
    assert span.kind is SpanKind.CLIENT
    given = dict(span.attributes or {})
    assert 0 <= given.pop("gen_ai.response.time_to_first_chunk") < 60
    assert given == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "lmstudio",
        "gen_ai.request.model": "qwen",
        "gen_ai.response.model": "qwen",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": 3,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.output.type": "text",
        "gen_ai.response.finish_reasons": ("length",),
        "gen_ai.usage.input_tokens": 2,
        "gen_ai.usage.output_tokens": 5,
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    assert "secret" not in span.to_json()


def test_metrics(server: FakeServer, client: lms.Client, telemetry: Telemetry) -> None:
    telemetry.instrument()
    server.llm().respond("Hello there!").fail("Out of memory")
    model = client.llm.model("qwen")
    model.complete("Hi")
    points = telemetry.points()
    common = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "lmstudio",
        "gen_ai.request.model": "qwen",
        "gen_ai.response.model": "qwen",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    duration = points["gen_ai.client.operation.duration", None]
    assert (duration.count, duration.attributes) == (1, common)
    assert points["gen_ai.client.operation.time_to_first_chunk", None].count == 1
    tokens = points["gen_ai.client.token.usage", "output"]
    assert (tokens.sum, tokens.attributes) == (2, {**common, "gen_ai.token.type": "output"})
    assert points["gen_ai.client.token.usage", "input"].sum == 1
    with pytest.raises(lms.LMStudioPredictionError):
        model.respond("Hi")
    failed = telemetry.points()["gen_ai.client.operation.duration", None]
    assert failed.attributes["error.type"] == "LMStudioPredictionError"


def test_errors_and_streams_that_are_left(
    server: FakeServer, client: lms.Client, telemetry: Telemetry
) -> None:
    telemetry.instrument()
    server.llm().fail("Out of memory").respond("a b", Gate())
    model = client.llm.model("qwen")
    with pytest.raises(lms.LMStudioPredictionError):
        model.respond("Hi")
    failed = telemetry.spans["chat qwen"]
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "Out of memory"
    assert (failed.attributes or {})["error.type"] == "LMStudioPredictionError"
    telemetry.exporter.clear()
    for _ in model.respond_stream("Hi"):
        break
    left = telemetry.spans["chat qwen"]
    assert left.status.status_code is StatusCode.UNSET
    assert "gen_ai.response.finish_reasons" not in (left.attributes or {})


@pytest.mark.parametrize("kind", ["sync", "async", "threads"])
def test_an_agent(server: FakeServer, client: lms.Client, telemetry: Telemetry, kind: str) -> None:
    telemetry.instrument()
    server.llm().call_tool("add", {"a": 1, "b": 2}).respond("It is 3.")

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        with telemetry.tracer.start_as_current_span("inside"):
            return a + b

    async def add_async(a: int, b: int) -> int:
        """Add two numbers."""
        await asyncio.sleep(0)
        return add(a, b)

    async def main() -> None:
        add_async.__name__ = "add"
        async with lms.AsyncClient(server.api_host) as asking:
            await (await asking.llm.model("qwen")).act("1 + 2?", [add_async])

    with telemetry.tracer.start_as_current_span("caller"):
        if kind == "async":
            asyncio.run(main())
        else:
            parallel = 1 if kind == "sync" else 2
            client.llm.model("qwen").act("1 + 2?", [add], max_parallel_tool_calls=parallel)
        with telemetry.tracer.start_as_current_span("after"):
            pass
    spans = telemetry.exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    tree = [(span.name, names.get(parent_of(span))) for span in spans]
    assert sorted(tree, key=str) == sorted(
        [
            ("caller", None),
            ("after", "caller"),
            ("invoke_agent", "caller"),
            ("chat qwen", "invoke_agent"),
            ("chat qwen", "invoke_agent"),
            ("execute_tool add", "invoke_agent"),
            ("inside", "execute_tool add"),
        ],
        key=str,
    )
    tool = dict(telemetry.spans["execute_tool add"].attributes or {})
    assert tool == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "add",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
        "gen_ai.tool.description": "Add two numbers.",
        "lmstudio.act.round_index": 0,
    }
    run = dict(telemetry.spans["invoke_agent"].attributes or {})
    assert run["lmstudio.act.rounds"] == 2
    assert run["gen_ai.response.model"] == "qwen"
    assert run["gen_ai.response.finish_reasons"] == ("stop",)
    assert "gen_ai.output.messages" not in run
    used = [
        dict(s.attributes or {})["gen_ai.usage.output_tokens"] for s in spans if "chat" in s.name
    ]
    assert run["gen_ai.usage.output_tokens"] == sum(int(str(count)) for count in used)


@pytest.mark.parametrize("capture", [False, True])
def test_what_a_tool_raises_is_content(
    server: FakeServer, client: lms.Client, telemetry: Telemetry, capture: bool
) -> None:
    telemetry.instrument(capture_content=capture)
    server.llm().call_tool("find", {"name": "Emma"}).respond("No.")

    def find(name: str) -> str:
        """Find somebody."""
        raise KeyError(name)

    client.llm.model("qwen").act("Who?", [find])
    span = telemetry.spans["execute_tool find"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "KeyError"
    assert ("Emma" in span.to_json()) is capture


def test_embeddings(server: FakeServer, client: lms.Client, telemetry: Telemetry) -> None:
    telemetry.instrument()
    server.embedding(dimensions=5)
    client.embedding.model("nomic").embed(["a", "b"])
    span = telemetry.spans["embeddings nomic"]
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "lmstudio",
        "gen_ai.request.model": "nomic",
        "gen_ai.embeddings.dimension.count": 5,
        "lmstudio.embeddings.count": 2,
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }


def made_by(client: lms.Client, what: str) -> Any:
    model = client.llm.model("m")
    if what == "embed":
        return client.embedding.model("e").embed_stream(["a", "b"])
    if what == "act":
        return model.act_stream("Hi", [add])
    return model.respond_stream("Hi") if what == "respond" else model.complete_stream("Hi")


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


STREAMS = ["respond", "complete", "embed", "act"]


@pytest.mark.parametrize("what", STREAMS)
def test_a_stream_is_below_the_span_that_it_was_made_under(
    server: FakeServer, client: lms.Client, telemetry: Telemetry, what: str
) -> None:
    telemetry.instrument()
    server.llm("m").respond("Hello.")
    server.embedding("e")
    with telemetry.tracer.start_as_current_span("request"):
        stream = made_by(client, what)
    with telemetry.tracer.start_as_current_span("elsewhere"):
        thread = threading.Thread(target=lambda: list(stream))
        thread.start()
        thread.join()
    spans = telemetry.spans
    parents = {span.context.span_id: span.name for span in spans.values()}
    names = [n for n in spans if n not in ("request", "elsewhere")]
    above = {name: spans[name].parent and parents[spans[name].parent.span_id] for name in names}
    expected = {"chat m": "invoke_agent"} if what == "act" else {}
    assert above == {name: expected.get(name, "request") for name in names}
    assert names


@pytest.mark.parametrize("what", STREAMS)
def test_a_stream_of_asyncio_is_below_the_span_that_it_was_made_under(
    server: FakeServer, telemetry: Telemetry, what: str
) -> None:
    telemetry.instrument()
    server.llm("m").respond("Hello.")
    server.embedding("e")

    async def read(stream: Any) -> list[Any]:
        return [event async for event in stream]

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            llm, embedding = await client.llm.model("m"), await client.embedding.model("e")
            task: Any = None
            with telemetry.tracer.start_as_current_span("request"):
                stream: Any = {
                    "respond": lambda: llm.respond_stream("Hi"),
                    "complete": lambda: llm.complete_stream("Hi"),
                    "embed": lambda: embedding.embed_stream(["a", "b"]),
                    "act": lambda: llm.act_stream("Hi", [add]),
                }[what]()
            task = asyncio.create_task(read(stream))
            await task

    asyncio.run(main())
    spans = telemetry.spans
    (first,) = [n for n in spans if n in ("chat m", "text_completion m", "embeddings e")]
    top = spans["invoke_agent"] if what == "act" else spans[first]
    assert top.parent is not None
    assert top.parent.span_id == spans["request"].context.span_id


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_content_is_recorded_when_asked_for(
    server: FakeServer,
    client: lms.Client,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    if how == "variable":
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    telemetry.instrument(**({"capture_content": True} if how == "argument" else {}))
    server.llm().call_tool("add", {"a": 1, "b": 2}).respond(Reasoning("Hm."), "It is 3.")
    client.llm.model("qwen").act("1 + 2?", [add])
    tool = telemetry.spans["execute_tool add"].attributes or {}
    assert tool["gen_ai.tool.call.arguments"] == '{"a": 1, "b": 2}'
    assert tool["gen_ai.tool.call.result"] == "3"
    last = telemetry.spans["chat qwen"].attributes or {}
    assert json.loads(str(last["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": "1 + 2?"}]},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "tool_call",
                    "id": "call-1",
                    "name": "add",
                    "arguments": {"a": 1, "b": 2},
                }
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call-1", "response": "3"}],
        },
    ]
    assert json.loads(str(last["gen_ai.output.messages"])) == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "Hm."},
                {"type": "text", "content": "It is 3."},
            ],
            "finish_reason": "stop",
        }
    ]
    run = telemetry.spans["invoke_agent"].attributes or {}
    assert run["gen_ai.output.messages"] == last["gen_ai.output.messages"]


def test_once_and_no_more(server: FakeServer, client: lms.Client, telemetry: Telemetry) -> None:
    telemetry.instrument()
    with pytest.raises(LMStudioValueError, match="uninstrument"):
        telemetry.instrument()
    uninstrument()
    uninstrument()
    server.llm().respond("Hello!")
    client.llm.model("qwen").respond("Hi")
    assert telemetry.spans == {}


def test_the_names_are_those_of_the_conventions() -> None:
    """Every ``gen_ai`` name here is known to OpenTelemetry's package of names, where it is there."""
    conventions = pytest.importorskip(
        "opentelemetry.semconv._incubating.attributes.gen_ai_attributes"
    )
    names = pytest.importorskip("opentelemetry.semconv._incubating.metrics.gen_ai_metrics")
    known = {
        value for value in {**vars(conventions), **vars(names)}.values() if isinstance(value, str)
    }
    import re
    from pathlib import Path

    import lmstudio_core.observe.otel as module

    used = set(re.findall(r'"(gen_ai\.[a-z_.]+)"', Path(module.__file__).read_text("utf-8")))
    assert len(used) > 20
    assert used <= known
