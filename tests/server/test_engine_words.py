"""What the engine says: errors in words, options for the worker, templates of the caller."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lmstudio_server.engines.base import ChatRequest, ContextOverflowError, EngineError, LoadRequest
from lmstudio_server.engines.llamacpp.diagnosis import (
    crash_reason,
    exit_words,
    ignores_schema,
    import_error,
    load_error,
    load_failure_cause,
    response_error,
    schema_error,
)
from lmstudio_server.engines.llamacpp.options import (
    choose_threads,
    parse_address,
    physical_cores,
    usable_processors,
    worker_options,
)
from lmstudio_server.engines.llamacpp.schemas import (
    for_compiler,
    for_grammar_parser,
    for_parser,
    forced_call_schema,
)
from lmstudio_server.engines.llamacpp.templates import Templates, left_open, variables_of
from lmstudio_server.foreign.templates import perform

UNKNOWN_ARCHITECTURE = [
    "0.00.004.247 E llama_model_load: error loading model: unknown model architecture: 'nova'",
    "0.00.004.262 E llama_model_load_from_file_impl: failed to load model",
    "0.00.004.265 E cmn  common_init_: failed to load model 'x.gguf'",
    "0.00.004.638 E srv          init: exiting due to model loading error",
]


def test_cause_of_a_failed_load_leaves_out_repetitions() -> None:
    assert load_failure_cause(UNKNOWN_ARCHITECTURE) == "unknown model architecture: 'nova'"
    assert load_failure_cause([]) is None
    assert load_failure_cause(UNKNOWN_ARCHITECTURE[1:2]) == "failed to load model"


@pytest.mark.parametrize(
    ("lines", "suggestion"),
    [
        (UNKNOWN_ARCHITECTURE, "upgrade xllamacpp"),
        (["x: invalid magic characters: 'hell'"], "download it again"),
        (["ggml_backend_alloc: failed to allocate buffer"], "smaller contextLength"),
        (["something else"], "load settings"),
    ],
)
def test_suggestion_after_a_failed_load(lines: list[str], suggestion: str) -> None:
    error = load_error(Path("/models/x.gguf"), lines)
    assert "x.gguf" in error.title
    assert error.suggestion is not None
    assert suggestion in error.suggestion


def test_missing_system_library() -> None:
    error = import_error("libgomp.so.1: cannot open shared object file")
    assert error.suggestion is not None
    assert "libgomp1" in error.suggestion
    assert "xllamacpp" in import_error("No module named 'xllamacpp'").title


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "its end was not observed"),
        (3, "exit code 3"),
        (-9, "killed by signal 9 (SIGKILL), as the system does when memory runs out"),
        (-11, "killed by signal 11 (SIGSEGV)"),
        (-200, "killed by signal 200 (unknown)"),
    ],
)
def test_how_a_process_ended(code: int | None, words: str) -> None:
    assert exit_words(code) == words
    assert crash_reason(code, ["first", "0.00.004.247 E srv  init: last", ""]) == (
        f"{words}; its last words: last"
    )


def test_refusals() -> None:
    overflow = {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4}}
    error = response_error(400, overflow, [])
    assert isinstance(error, ContextOverflowError)
    assert (error.prompt_tokens, error.context_length) == (9, 4)
    batch = "input (9 tokens) is too large to process. increase the x (current batch size: 4)"
    assert isinstance(response_error(500, {"error": {"message": batch}}, []), ContextOverflowError)
    blind = response_error(500, {"error": {"message": "image input is not supported"}}, [])
    assert "mmproj" in str(blind.suggestion)
    assert response_error(503, {}, []).cause == "HTTP status 503"


def test_schema_error_is_the_one_with_the_tag() -> None:
    log = [
        "0.00.037.454 E llg error: at 2(8): failed to compile JSON schema: reason one",
        "   1 | %llguidance {}",
        '   2 | start: %json {"$comment":"tag-1","type":"x"}',
        "0.00.037.500 E llg error: at 2(8): failed to compile JSON schema: reason",
        "two",
        "   1 | %llguidance {}",
        '   2 | start: %json {"$comment":"tag-2","type":"y"}',
    ]
    first, second = schema_error(log, "tag-1"), schema_error(log, "tag-2")
    assert first is not None
    assert first.cause == "failed to compile JSON schema: reason one"
    assert second is not None
    assert second.cause == "failed to compile JSON schema: reason two"
    assert schema_error(log, "tag-3") is None


@pytest.mark.parametrize(
    ("text", "ended", "ignored"),
    [
        ("", False, False),
        ("", True, True),
        ('{"a', False, False),
        ('{"a', True, True),
        ('{"a": 1}', True, False),
        ("The", False, True),
        ("true", True, False),
        ("-1", True, False),
    ],
)
def test_text_that_shows_its_schema_was_not_applied(text: str, ended: bool, ignored: bool) -> None:
    assert ignores_schema(text, ended=ended) is ignored


def test_options_keep_llama_cpp_modest() -> None:
    request = LoadRequest(Path("m.gguf"), gpu_layers=-1, batch_size=1024)
    options = worker_options(request, threads=3, host="h", port=0, api_key="k")
    assert options["cache_ram_mib"] <= 64
    assert options["physical_batch_size"] == 512
    assert options["http_threads"] > request.parallel
    assert options["gpu_layers"] > 100
    assert options["api_keys"] == ["k"]
    assert not options["pooling_mean"]


def test_options_of_an_embedding_model() -> None:
    request = LoadRequest(Path("m.gguf"), kind="embedding", context_length=777)
    options = worker_options(request, threads=1, host="h", port=0, api_key=None)
    # One batch has to hold the longest text.
    assert options["batch_size"] == options["physical_batch_size"] == 777
    assert options["pooling_mean"]
    own = worker_options(request, threads=1, host="h", port=0, api_key=None, own_pooling=True)
    assert not own["pooling_mean"]


def test_threads() -> None:
    request = LoadRequest(Path("m.gguf"))
    assert choose_threads(request, 1_000_000, 8) == 1
    assert choose_threads(request, 5_000_000_000, 8) == 8
    asked = [choose_threads(LoadRequest(Path("m.gguf"), threads=n), 1, 8) for n in (1, 10**6)]
    assert asked == [1, len(usable_processors())]


def test_physical_cores(tmp_path: Path) -> None:
    logical = physical_cores(tmp_path)
    assert logical >= 1
    for number in range(1024):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text("0-1023\n")
    assert physical_cores(tmp_path) == 1


def test_addresses() -> None:
    assert parse_address("unix:///tmp/a b/engine.sock") == ("/tmp/a b/engine.sock", 0)
    assert parse_address("http://127.0.0.1:39831") == (None, 39831)
    with pytest.raises(ValueError, match="nonsense"):
        parse_address("nonsense")


def rendered(template: str, request: ChatRequest, *, constrained: bool = False) -> str:
    seen = {"bos_token": "<s>", **variables_of(request, "<M>", constrained=constrained)}
    # As JSON, since that is how it gets to the process that renders.
    task = json.loads(json.dumps({"template": template, "variables": seen}))
    return left_open(perform(task))


def test_template_variables() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"ä": 1}'}}
    messages = [{"role": "user", "content": "U"}, {"role": "assistant", "tool_calls": [call]}]
    template = (
        "{{ bos_token }}{% for m in messages %}{{ m.role }}{% if m.tool_calls %}"
        "{{ m.tool_calls[0].function.arguments | tojson }}{% endif %}{% endfor %}"
        "{{ add_generation_prompt }}{{ tools is defined }}{{ enable_thinking }}"
    )
    text = rendered(template, ChatRequest(messages))
    assert text == '<s>userassistant{"ä": 1}FalseFalseFalse'
    asked = ChatRequest(messages[:1], tools=[{"type": "function"}], enable_thinking=True)
    assert rendered(template, asked) == "<s>userTrueTrueTrue"


def test_template_sees_a_marker_for_each_image() -> None:
    parts = [
        {"type": "text", "text": "See "},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    request = ChatRequest([{"role": "user", "content": parts}])
    assert rendered("{{ messages[0].content }}", request) == "See <M>"


async def in_a_process(template: str) -> str:
    templates = Templates({}, "<M>")
    try:
        request = ChatRequest([{"role": "user", "content": "U"}])
        return await templates.render(request, template, constrained=False)
    finally:
        await templates.close()


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[5].content.x }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
    ],
)
def test_template_that_fails(template: str, words: str) -> None:
    with pytest.raises(EngineError, match="template cannot be used") as caught:
        asyncio.run(in_a_process(template))
    assert caught.value.cause is not None
    assert words in caught.value.cause


@pytest.mark.parametrize("trim", ["", " | trim"])
def test_template_leaves_a_begun_answer_open(trim: str) -> None:
    template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content" + trim + " }}[end]{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    # What is begun may be in the markup, too.
    begun = [{"role": "user", "content": "U"}, {"role": "assistant", "content": " end"}]
    expected = "[user]U[end][assistant]" + ("end" if trim else " end")
    assert rendered(template, ChatRequest(begun)) == expected
    assert rendered(template, ChatRequest(begun[:1])) == "[user]U[end][assistant]"
    for changes, text in (("upper", " END"), ("replace(' ', '_')", "_end")):
        source = f"{{{{ messages[-1].content | {changes} }}}}."
        assert rendered(source, ChatRequest(begun)) == text
    assert rendered("{{ messages[0].content }}.", ChatRequest(begun)) == "U."


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + "(" * 100_000 + '"a"' + ")" * 100_000,
        "root ::= " + '"a"*' * 100_000,
        "root ::= " + '"a"{2}' * 100_000,
        "root ::= " + " | ".join('"a"' for _ in range(20_000)),
        "".join(f"r{n} ::= r{n + 1}\n" for n in range(100_000)),
        'root ::= "' + "a" * 3_000_000 + '"',
    ],
    ids=["groups", "stars", "counts", "alternatives", "rules", "text"],
)
def test_grammars_that_would_end_the_worker(grammar: str) -> None:
    with pytest.raises(EngineError, match="grammar cannot be used") as caught:
        for_grammar_parser(grammar)
    assert caught.value.suggestion
    assert len(str(caught.value.cause)) < 300


def test_what_a_grammar_s_texts_hold_does_not_count() -> None:
    for inside in ('"((((|||***\\""', "[(|*+\\]]", "# ((((("):
        grammar = "root ::= x\n" + f"{inside}\n" * 8000
        assert for_grammar_parser(grammar) == grammar


def chain(length: int, depth: int) -> dict[str, Any]:
    """A schema whose definitions each refer to the next, some objects below."""
    definitions: dict[str, Any] = {f"d{length}": {"type": "string"}}
    for number in range(length):
        one: dict[str, Any] = {"$ref": f"#/$defs/d{number + 1}"}
        for _ in range(depth):
            one = {"type": "object", "properties": {"a": one}, "required": ["a"]}
        definitions[f"d{number}"] = one
    return {"$ref": "#/$defs/d0", "$defs": definitions}


@pytest.mark.parametrize(("length", "depth"), [(990, 1), (100, 20), (40, 100)])
def test_schemas_that_would_end_the_worker(length: int, depth: int) -> None:
    with pytest.raises(EngineError, match="schema cannot be used") as caught:
        for_compiler(chain(length, depth))
    assert caught.value.suggestion
    tool = {"type": "function", "function": {"name": "f", "parameters": chain(length, depth)}}
    # A tool is known by its name all the same: one that asks for too much is no reason to refuse a chat.
    assert for_parser([tool])[0]["function"]["parameters"] == {"type": "object", "properties": {}}
    [call] = forced_call_schema([tool])["anyOf"]
    assert call["properties"]["arguments"] == {"type": "object"}


def test_references_to_references_are_no_depth() -> None:
    assert for_compiler(chain(5000, 0)) == {
        "$ref": "#/$defs/d1",
        "$defs": {"d1": {"type": "string"}},
    }


def test_schemas_that_refer_to_their_middle() -> None:
    deep = chain(1, 90)["$defs"]["d0"]
    places = ["#" + "/properties/a" * n for n in range(1, 20)]
    schema = {**deep, "anyOf": [{"$ref": place} for place in places]}
    with pytest.raises(EngineError, match="schema cannot be used"):
        for_compiler(schema)


def test_usual_depths_are_taken() -> None:
    for schema in (chain(300, 1), chain(45, 20)):
        copy = for_compiler(schema)
        assert len(json.dumps(copy)) > len(json.dumps(schema))


def test_grammars_that_are_refused() -> None:
    refused = {"error": {"message": "Failed to initialize samplers: failed to parse grammar"}}
    sent = "0.03.012.543 E srv    send_error: task id = 10, error: failed to parse grammar"
    lost = "0.03.012.543 E grammar does not contain a 'root' symbol"
    assert response_error(400, refused, [lost, sent]).cause == (
        "grammar does not contain a 'root' symbol"
    )
    parser = "parse: error parsing grammar: expecting ::= at "
    assert response_error(400, refused, [parser, "", "x", sent]).cause == parser[7:].strip()
    assert response_error(400, refused, [sent]).cause is None
