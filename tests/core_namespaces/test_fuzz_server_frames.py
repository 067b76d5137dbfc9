"""Whatever a server answers, by LM Studio's schemas or damaged: a result or a typed error, and life goes on.

Without the schemas, which are kept beside the repository, the answers are any JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import strategies as st
from packet_schemas import namespace_schema

import lmstudio_core as lms
from fuzzing import fuzz
from lmstudio_core.protocol.operations import VOID
from lmstudio_testing import FakeServer

pytest.importorskip("lmstudio_llm")
pytest.importorskip("lmstudio_embed")

FILE = lms.FileHandle(name="a.txt", identifier="f", size_bytes=1, file_type="text/plain")
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=6)
    | st.sampled_from([10**400, "\ud800", "\x1b[2J", "", "user", "assistant"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def by_schema(schema: Any, definitions: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a schema allows; what it says of lengths and limits is of no interest here."""
    if not schema or depth > 8:
        return ODD
    if "$ref" in schema:
        return by_schema(definitions[schema["$ref"].rpartition("/")[2]], definitions, depth + 1)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        forms = [form for form in schema["anyOf"] if "not" not in form]
        return st.one_of([st.deferred(_of(form, definitions, depth)) for form in forms])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of([by_schema({**schema, "type": k}, definitions, depth) for k in kinds])
    if isinstance(parts := schema.get("items"), list):
        return st.tuples(*[by_schema(part, definitions, depth + 1) for part in parts]).map(list)
    if kinds == "array":
        return st.lists(st.deferred(_of(schema.get("items"), definitions, depth)), max_size=3)
    if kinds == "object":
        return _objects(schema, definitions, depth)
    return _PLAIN.get(kinds, ODD)


def _objects(schema: Any, definitions: Any, depth: int) -> st.SearchStrategy[Any]:
    if schema.get("properties"):
        fields = {
            name: st.deferred(_of(part, definitions, depth))
            for name, part in schema["properties"].items()
        }
        needed = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: part for name, part in fields.items() if name in needed},
            optional={name: part for name, part in fields.items() if name not in needed},
        )
    rest = schema.get("additionalProperties")
    values = _of(rest if isinstance(rest, dict) else None, definitions, depth)
    return st.dictionaries(st.text(max_size=6), st.deferred(values), max_size=3)


def _of(schema: Any, definitions: Any, depth: int) -> Callable[[], st.SearchStrategy[Any]]:
    return lambda: by_schema(schema, definitions, depth + 1)


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=8),
    "integer": st.integers(0, 2**40),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    "boolean": st.booleans(),
    "null": st.none(),
}


@st.composite
def damaged(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> Any:
    """A value in which up to two places hold something else, or nothing."""
    value = draw(values)
    for _ in range(draw(st.integers(0, 2))):
        value = _damage(draw, value)
    return value


def _damage(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        rest = {key: part for key, part in value.items() if key != name}
        return rest if draw(st.integers(0, 3)) == 0 else {**rest, name: _damage(draw, value[name])}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], _damage(draw, value[place]), *value[place + 1 :]]
    return draw(ODD)


@cache
def answers(endpoint: str, part: str) -> st.SearchStrategy[Any]:
    """What a server may answer at an endpoint, and what it may not."""
    namespace, _, name = endpoint.partition(".")
    document = namespace_schema(namespace)
    if document is None:
        return ODD
    schema = document["endpoints"][name][part]
    return st.deferred(lambda: damaged(by_schema(schema, document["definitions"])))


CALLS: dict[str, Callable[[lms.Client], Any]] = {
    "system.version": lambda c: c.system.version(),
    "system.info": lambda c: c.system.info(),
    "system.getExperimentFlags": lambda c: c.system.get_experiment_flags(),
    "system.listDownloadedModels": lambda c: c.system.list_downloaded_models(),
    "system.listDownloadedModelVariants": lambda c: c.llm.list_downloaded_variants("m"),
    "llm.listLoaded": lambda c: c.llm.list_loaded(),
    "llm.getModelInfo": lambda c: c.llm.get_model_info("m"),
    "llm.getLoadConfig": lambda c: lms.LLM("m", c).get_load_config(),
    "llm.estimateModelUsage": lambda c: c.llm.estimate_resources("m"),
    "llm.tokenize": lambda c: lms.LLM("m", c).tokenize("a"),
    "llm.countTokens": lambda c: lms.LLM("m", c).count_tokens("a"),
    "llm.applyPromptTemplate": lambda c: lms.LLM("m", c).apply_prompt_template("a"),
    "llm.getBasePredictionConfig": lambda c: lms.LLM("m", c).base_prediction_config(),
    "llm.getInstanceProcessingState": lambda c: lms.LLM("m", c).processing_state(),
    "embedding.listLoaded": lambda c: c.embedding.list_loaded(),
    "embedding.embedString": lambda c: lms.EmbeddingModel("m", c).embed("a"),
    "repository.searchModels": lambda c: c.repository.search_models("a"),
    "repository.getAuthenticationStatus": lambda c: c.repository.get_authentication_status(),
    "repository.getModelCatalog": lambda c: c.repository.get_model_catalog(),
    "repository.lmLinkStatus": lambda c: c.repository.lm_link.status(),
    "runtime.listEngines": lambda c: c.runtime.list_engines(),
    "runtime.getEngineSelections": lambda c: c.runtime.get_engine_selections(),
    "runtime.surveyHardware": lambda c: c.runtime.survey_hardware(),
    "runtime.searchRuntimeExtensions": lambda c: c.runtime.search_extensions("a"),
}
CHANNELS: dict[str, Callable[[lms.Client], Any]] = {
    "llm.predict": lambda c: lms.LLM("m", c).respond("a"),
    "llm.completeRawText": lambda c: list(lms.LLM("m", c).complete_stream("a")),
    "llm.loadModel": lambda c: c.llm.load_new_instance("m"),
    "llm.getOrLoad": lambda c: c.llm.model("m"),
    "embedding.getOrLoad": lambda c: c.embedding.model("m"),
    "files.retrieve": lambda c: c.files.retrieve("a", [FILE]),
    "files.parseDocument": lambda c: c.files.parse_document(FILE),
    "repository.ensureAuthenticated": lambda c: c.repository.ensure_authenticated(repr),
    "runtime.downloadRuntimeExtension": lambda c: c.runtime.download_extension("a", "1"),
}
ERROR = ODD | damaged(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("title", "cause", "suggestion", "errorData", "displayData", "stack", "rootTitle"), ODD
        ),
    )
)
FRAMES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                *("rpcResult", "rpcError", "channelSend", "channelAck", "channelClose"),
                *("channelError", "communicationWarning", "keepAliveAck", "signalUpdate"),
            ]
        )
        | ODD
    },
    optional={
        **dict.fromkeys(("callId", "channelId", "ackId"), st.integers(0, 4) | ODD),
        **dict.fromkeys(("result", "message", "warning"), ODD),
        "error": ERROR,
    },
)


def test_numbers_of_passages_that_are_none(server: FakeServer) -> None:
    found = [{"content": "a", "score": None, "lineNumber": [None, 1]}, {"pageNumber": [1, 2]}]
    server.on_channel("files.retrieve", [{"type": "result", "result": {"entries": found}}])
    with lms.Client(server.api_host) as client:
        first, second = client.files.retrieve("a", [FILE]).entries
    assert (first.score, first.line_number, second.page_number) == (0.0, None, (1, 2))


@pytest.fixture(scope="module")
def server() -> Any:
    with FakeServer() as one:
        yield one


def tried(ask: Callable[[], Any]) -> None:
    """What is asked for ends, with what can be shown or with an error of the family."""
    try:
        result = ask()
    except lms.LMStudioTimeoutError:
        raise
    except lms.LMStudioError as error:
        assert str(error).strip()  # noqa: PT017 - there may be none
    else:
        assert isinstance(repr(result), str)


def test_answers_of_calls(server: FakeServer) -> None:
    with lms.Client(server.api_host) as client:

        def check(given: tuple[str, Any]) -> None:
            endpoint, value = given
            server.on(endpoint, value)
            tried(lambda: CALLS[endpoint](client))

        given = [st.tuples(st.just(e), answers(e, "returns") | st.just(VOID)) for e in CALLS]
        assert fuzz(check, st.one_of(given), 300)


def test_packets_of_channels(server: FakeServer) -> None:
    with lms.Client(server.api_host) as client:

        def check(given: tuple[str, list[Any]]) -> None:
            endpoint, packets = given
            server.on_channel(endpoint, packets)
            tried(lambda: CHANNELS[endpoint](client))

        given = [
            st.tuples(st.just(e), st.lists(answers(e, "toClientPacket"), max_size=6))
            for e in CHANNELS
        ]
        assert fuzz(check, st.one_of(given), 200)


def test_whole_frames(server: FakeServer) -> None:
    """Before the answer come frames of every kind, with the numbers of what waits, and of nothing."""
    frames: list[Any] = []

    def answer(channel: Any) -> None:
        for frame in frames:
            channel.socket.send_frame(frame)
        channel.close()

    server.on_channel("llm.predict", answer)

    def check(given: list[Any]) -> None:
        frames[:] = given
        with lms.Client(server.api_host) as client:
            tried(lambda: lms.LLM("m", client).respond("a"))
            server.on("system.version", {"version": "1", "build": 1})
            assert client.system.version().version == "1"

    assert fuzz(check, st.lists(FRAMES, max_size=6), 60)
