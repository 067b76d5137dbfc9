"""What a loaded model answers: the real llama.cpp with the pocket models."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pocket_models import (
    GREEDY,
    MEANING,
    MEANING_ANSWER,
    MULTIPLY,
    POCKET,
    POCKET_THINK,
    PRODUCT,
    STORY,
    ask,
    calls_of,
    collect,
    finish_of,
    greedy,
    loaded,
    run,
    text_of,
)

from lmstudio_server.engines.base import (
    ChatRequest,
    CompletionRequest,
    ContextOverflowError,
    EngineError,
    PromptProgress,
    Sampling,
    Text,
    ToolCallArguments,
    ToolCallEnd,
    ToolCallName,
    ToolCallStart,
)

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["title", "year"],
    "additionalProperties": False,
}


def test_greedy_answer_with_exact_counts() -> None:
    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask(MEANING)))
            prompt = await model.apply_template(ask(MEANING))
            prompt_ids = await model.tokenize(prompt)
            answer_ids = await model.tokenize(MEANING_ANSWER)
        assert text_of(events) == MEANING_ANSWER
        finished = finish_of(events)
        assert finished.stop_reason == "eos"
        assert finished.prompt_tokens == len(prompt_ids)
        # The token that ends the answer is predicted, too.
        assert finished.predicted_tokens == len(answer_ids) + 1
        assert sum(e.tokens_count for e in events if isinstance(e, Text)) == len(answer_ids)
        assert finished.time_to_first_token is not None
        assert finished.total_time is not None
        assert 0 < finished.time_to_first_token <= finished.total_time

    run(test)


def test_prompt_progress_goes_up_to_the_whole_prompt() -> None:
    async def test() -> None:
        async with loaded(batch_size=32) as model:
            events = await collect(model.chat(ask("apple " * 60, greedy(max_tokens=1))))
        progress = [event for event in events if isinstance(event, PromptProgress)]
        processed = [event.processed for event in progress]
        assert processed == sorted(processed)
        assert processed[-1] == progress[-1].total == finish_of(events).prompt_tokens
        # More than the first and the last, as the prompt takes several batches.
        assert len(progress) > 3

    run(test)


def test_tool_call_is_streamed() -> None:
    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask(PRODUCT, tools=[MULTIPLY])))
        kinds = [e for e in events if not isinstance(e, PromptProgress)]
        start, name, *fragments, end, finished = kinds
        assert isinstance(start, ToolCallStart)
        assert name == ToolCallName("multiply")
        assert len(fragments) > 5
        assert all(isinstance(fragment, ToolCallArguments) for fragment in fragments)
        streamed = "".join(f.content for f in fragments if isinstance(f, ToolCallArguments))
        assert json.loads(streamed) == {"a": 12345, "b": 54321}
        assert isinstance(end, ToolCallEnd)
        assert (end.id, end.name, end.arguments) == (start.id, "multiply", json.loads(streamed))
        assert finish_of(events).stop_reason == "tool_calls"
        assert finished is events[-1]

    run(test)


def test_the_answer_after_a_tool_result() -> None:
    messages = [
        {"role": "user", "content": PRODUCT},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "1",
                    "type": "function",
                    "function": {"name": "multiply", "arguments": '{"a": 12345, "b": 54321}'},
                }
            ],
        },
        {"role": "tool", "content": "670592745", "tool_call_id": "1"},
    ]

    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ChatRequest(messages, greedy(), tools=[MULTIPLY])))
        assert text_of(events) == "The product of 12345 and 54321 is 670592745."

    run(test)


def test_a_call_s_pieces_tell_the_tokens_so_far() -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            for fields in (
                {},
                {"tool_choice": "required", "enable_thinking": True},
                {"sampling": greedy(log_probs=1)},
            ):
                request = replace(ask(PRODUCT, tools=[MULTIPLY]), **fields)
                events = await collect(model.chat(request))
                told = [e.predicted_tokens for e in events if isinstance(e, ToolCallArguments)]
                thought = sum(e.tokens_count for e in events if isinstance(e, Text))
                assert told == sorted(set(told))
                assert thought < told[0]
                assert told[-1] <= finish_of(events).predicted_tokens < told[-1] + 8

    run(test)


def test_tool_choice_none_calls_nothing_and_required_always_calls() -> None:
    async def test() -> None:
        async with loaded() as model:
            none = ask(PRODUCT, greedy(max_tokens=30), tools=[MULTIPLY], tool_choice="none")
            assert calls_of(await collect(model.chat(none))) == []
            # Asked like this, the model would not call by itself.
            auto = ask(MEANING, tools=[MULTIPLY])
            assert calls_of(await collect(model.chat(auto))) == []
            required = ask(MEANING, tools=[MULTIPLY], tool_choice="required")
            events = await collect(model.chat(required))
        ((name, arguments),) = calls_of(events)
        assert name == "multiply"
        assert arguments.keys() == {"a", "b"}
        assert text_of(events) == ""
        assert finish_of(events).stop_reason == "tool_calls"

    run(test)


def test_tool_call_with_probabilities() -> None:
    """llama.cpp refuses the two together; here they work."""

    async def test() -> None:
        async with loaded() as model:
            with_call = ask(PRODUCT, greedy(log_probs=1), tools=[MULTIPLY])
            events = await collect(model.chat(with_call))
            assert calls_of(events) == [("multiply", {"a": 12345, "b": 54321})]
            without_call = ask(MEANING, greedy(log_probs=1), tools=[MULTIPLY])
            texts = [e for e in await collect(model.chat(without_call)) if isinstance(e, Text)]
        assert "".join(t.text for e in texts for t in e.tokens) == MEANING_ANSWER

    run(test)


LINKED = {
    **PERSON,
    "properties": {**PERSON["properties"], "title": {"type": "string", "format": "uri"}},
}


@pytest.mark.parametrize("schema", [PERSON, {"anyOf": [PERSON, {"type": "boolean"}]}, LINKED])
def test_json_schema_holds_from_the_first_token(schema: dict[str, object]) -> None:
    async def test() -> None:
        async with loaded() as model:
            # Nothing in the question asks for JSON.
            request = ask("Tell me about The Hobbit.", greedy(json_schema=schema, max_tokens=60))
            events = await collect(model.chat(request))
        value = json.loads(text_of(events))
        if isinstance(value, dict):
            assert value.keys() == {"title", "year"}
            assert isinstance(value["title"], str)
            assert isinstance(value["year"], int)
        else:
            assert isinstance(value, bool)
        assert finish_of(events).stop_reason == "eos"

    run(test)


def test_schema_that_no_answer_fits_is_an_error() -> None:
    """llama.cpp itself goes on without the schema."""
    schema = {"allOf": [{"type": "string"}, {"type": "integer"}]}

    async def test() -> None:
        async with loaded() as model:
            request = ask(MEANING, greedy(json_schema=schema))
            with pytest.raises(EngineError, match="JSON schema") as caught:
                await collect(model.chat(request))
            assert caught.value.cause is not None
            assert "incompatible types" in caught.value.cause
            # A good one works afterwards: the log still holds the bad one's error.
            good = ask(MEANING, greedy(json_schema={"type": "boolean"}))
            assert text_of(await collect(model.chat(good))) in ("true", "false")

    run(test)


def test_grammar_holds_and_a_wrong_one_is_an_error() -> None:
    async def test() -> None:
        async with loaded() as model:
            request = ask(MEANING, greedy(grammar='root ::= "yes" | "no"'))
            assert text_of(await collect(model.chat(request))) in ("yes", "no")
            wrong = ask(MEANING, greedy(grammar="root ::= nowhere"))
            with pytest.raises(EngineError, match="grammar cannot be used") as caught:
                await collect(model.chat(wrong))
            assert "nowhere" in str(caught.value.cause)
            # What was wrong with the one before is not what is wrong with these.
            for grammar, words in (
                ('answer ::= "a"', "'root'"),
                ('root ::= root "a"', "recursion"),
            ):
                with pytest.raises(EngineError, match="grammar cannot be used") as caught:
                    await collect(model.chat(ask(MEANING, greedy(grammar=grammar))))
                assert words in str(caught.value.cause)
            assert text_of(await collect(model.chat(request))) in ("yes", "no")

    run(test)


@pytest.mark.parametrize("stop", [["life"], [" life i"], ["zzz", "of life", "of"]])
def test_stop_strings_end_the_text_before_them(stop: list[str]) -> None:
    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask(MEANING, greedy(stop=stop))))
            raw = CompletionRequest("What is the meaning", greedy(stop=stop, max_tokens=40))
            raw_events = await collect(model.complete(raw))
        finished = finish_of(events)
        assert finished.stop_reason == "stop_string"
        assert finished.stop_string in stop
        before, _, _ = MEANING_ANSWER.partition(finished.stop_string)
        assert text_of(events) == before
        assert finish_of(raw_events).stop_string == finished.stop_string

    run(test)


def test_token_limit_and_context_limit() -> None:
    async def test() -> None:
        async with loaded(context_length=256) as model:
            events = await collect(model.chat(ask(STORY, greedy(max_tokens=3))))
            assert finish_of(events).stop_reason == "length"
            assert finish_of(events).predicted_tokens == 3
            # A grammar without an end makes the model write until the context is full.
            endless = ask(STORY, greedy(grammar='root ::= "word " root'))
            finished = finish_of(await collect(model.chat(endless)))
        assert finished.stop_reason == "context"
        assert finished.prompt_tokens + finished.predicted_tokens == model.context_length

    run(test)


def test_prompt_longer_than_the_context() -> None:
    async def test() -> None:
        async with loaded(context_length=256) as model:
            assert model.context_length == 256
            with pytest.raises(ContextOverflowError) as caught:
                await collect(model.chat(ask("apple " * 300)))
            assert caught.value.context_length == 256
            assert caught.value.prompt_tokens > 300
            # Refused before anything was computed: the model is as it was.
            assert text_of(await collect(model.chat(ask(MEANING)))) == MEANING_ANSWER

    run(test)


def test_thinking_is_told_apart_from_the_answer() -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            events = await collect(model.chat(ask(MEANING)))
            plain = await collect(model.chat(ask(MEANING, enable_thinking=False)))
        assert MEANING in text_of(events, "reasoning")
        assert text_of(events, "reasoningStartTag") == "<think>"
        assert text_of(events, "reasoningEndTag") == "</think>"
        assert text_of(events) == text_of(plain) == MEANING_ANSWER
        assert all(
            e.structural == e.reasoning.endswith("Tag") for e in events if isinstance(e, Text)
        )
        order = [e.reasoning for e in events if isinstance(e, Text)]
        assert order == sorted(
            order, key=["reasoningStartTag", "reasoning", "reasoningEndTag", "none"].index
        )
        finished = finish_of(events)
        # All but the last, which ends the answer.
        counted = sum(e.tokens_count for e in events if isinstance(e, Text))
        assert counted == finished.predicted_tokens - 1
        assert text_of(plain, "reasoning") == ""

    run(test)


def test_schema_and_forced_call_after_thinking() -> None:
    schema = {"type": "object", "properties": {"city": {"const": "Paris"}}, "required": ["city"]}

    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            request = ask(
                "What is the capital of France?", greedy(json_schema=schema), enable_thinking=True
            )
            events = await collect(model.chat(request))
            assert "France" in text_of(events, "reasoning")
            assert json.loads(text_of(events))["city"] == "Paris"
            required = ask(
                "What is 3 times 4?", tools=[MULTIPLY], tool_choice="required", enable_thinking=True
            )
            events = await collect(model.chat(required))
            assert text_of(events, "reasoning") != ""
            assert calls_of(events)[0][0] == "multiply"
            # Too few tokens to come to the end of thinking: no answer, and the reason says so.
            few = ask(MEANING, greedy(json_schema=schema, max_tokens=3), enable_thinking=True)
            events = await collect(model.chat(few))
        assert text_of(events) == ""
        assert finish_of(events).stop_reason == "length"

    run(test)


def test_template_of_the_caller() -> None:
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"

    async def test() -> None:
        async with loaded() as model:
            request = ask("The quick brown", greedy(max_tokens=8), chat_template=template)
            assert await model.apply_template(request) == "The quick brown"
            raw = CompletionRequest("The quick brown", greedy(max_tokens=8))
            expected = text_of(await collect(model.complete(raw)))
            assert text_of(await collect(model.chat(request))) == expected
            assert expected.startswith(" fox jumps")
            wrong = ask("?", chat_template="{% for message in messages %}")
            with pytest.raises(EngineError, match="template cannot be used"):
                await collect(model.chat(wrong))

    run(test)


def test_a_begun_answer_is_continued_with_a_template_of_the_caller() -> None:
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n\n{{ m.content }}<|im_end|>\n{% endfor %}"
    )

    async def test() -> None:
        async with loaded() as model:
            messages = [
                {"role": "user", "content": MEANING},
                {"role": "assistant", "content": "The meaning"},
            ]
            for chat_template in (None, template):
                request = ChatRequest(messages, greedy(), chat_template=chat_template)
                answer = text_of(await collect(model.chat(request)))
                assert "The meaning" + answer == MEANING_ANSWER

    run(test)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket model, told that its texts begin with a token for that."""
    content = bytearray(POCKET.read_bytes())
    flag = content.index(b"add_bos_token") + len(b"add_bos_token") + 4
    assert content[flag] == 0
    content[flag] = 1
    path = tmp_path_factory.mktemp("models") / "started.gguf"
    path.write_bytes(content)
    return path


def test_a_prompt_starts_once(started: Path) -> None:
    turns = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n\n"
    )

    async def test() -> None:
        async with loaded(started) as model:
            counts: set[int] = set()
            for template in (None, turns, "{{ bos_token }}" + turns):
                request = ask(MEANING, chat_template=template)
                events = await collect(model.chat(request))
                assert text_of(events) == MEANING_ANSWER
                counts.add(finish_of(events).prompt_tokens)
                formatted = await model.apply_template(request)
                whole = await model.framed(formatted, start=True, end=True)
                counts.add(len(await model.tokenize(whole)))
                bare = await model.framed(formatted, start=False, end=True)
                assert whole == "<|endoftext|>" + bare
                raw = CompletionRequest(whole, GREEDY)
                counts.add(finish_of(await collect(model.complete(raw))).prompt_tokens)
            assert len(counts) == 1
        async with loaded() as model:  # a model whose texts begin without
            assert await model.framed("a<|im_end|>\n", start=True, end=True) == "a<|im_end|>\n"
            assert await model.framed("a<|im_end|>\n", start=True, end=False) == "a"
            assert await model.framed("<|endoftext|>a", start=False, end=False) == "a"

    run(test)


def test_tool_call_and_thinking_with_a_template_of_the_caller() -> None:
    async def test() -> None:
        async with loaded(POCKET_THINK) as model:
            own = await model.apply_template(ask("QUESTION", tools=[MULTIPLY]))
            template = own.replace("QUESTION", "{{ messages[0].content }}")
            thinking = ask(MEANING, chat_template=template)
            events = await collect(model.chat(thinking))
            assert text_of(events, "reasoning") != ""
            assert text_of(events) != ""
            calling = ask(
                PRODUCT, tools=[MULTIPLY], chat_template=template.replace("<think>\n", "")
            )
            events = await collect(model.chat(calling))
        assert calls_of(events) == [("multiply", {"a": 12345, "b": 54321})]
        assert finish_of(events).stop_reason == "tool_calls"

    run(test)


def test_probabilities_of_tokens_and_candidates() -> None:
    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask(MEANING, greedy(log_probs=3))))
            ids = await model.tokenize(MEANING_ANSWER)
            raw = await collect(
                model.complete(CompletionRequest("What is", greedy(log_probs=0, max_tokens=4)))
            )
        tokens = [token for e in events if isinstance(e, Text) for token in e.tokens]
        assert [token.id for token in tokens] == ids
        for token in tokens:
            assert len(token.candidates) == 3
            best = token.candidates[0]
            # Greedy: the one taken is the likeliest.
            assert (best.id, best.log_prob) == (token.id, token.log_prob)
            assert sum(math.exp(c.log_prob) for c in token.candidates) <= 1.0001
        raw_tokens = [token for e in raw if isinstance(e, Text) for token in e.tokens]
        assert len(raw_tokens) == 4
        assert all(token.log_prob is not None and not token.candidates for token in raw_tokens)

    run(test)


def test_same_seed_same_text() -> None:
    async def test() -> None:
        async with loaded(seed=5) as model:

            async def sample(seed: int | None) -> str:
                sampling = Sampling(
                    temperature=3.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed, max_tokens=30
                )
                return text_of(await collect(model.chat(ask(STORY, sampling))))

            assert await sample(1) == await sample(1)
            assert await sample(1) != await sample(2)
            # The seed of the load is the default.
            assert await sample(None) == await sample(5)

    run(test)


def test_tokenize_and_template() -> None:
    async def test() -> None:
        async with loaded() as model:
            ids = await model.tokenize("Hello <|im_end|> 你好")
            assert all(isinstance(number, int) for number in ids)
            assert len(ids) > 5
            assert await model.tokenize("") == []
            assert len(await model.tokenize("<|im_end|>")) == 1
            prompt = await model.apply_template(ask("Hi", tools=[MULTIPLY]))
        assert "multiply(a: number, b: number)" in prompt
        assert prompt.endswith("<|im_start|>assistant\n")

    run(test)


def test_several_requests_at_once() -> None:
    async def test() -> None:
        async with loaded(parallel=4) as model:
            first_texts: set[int] = set()
            all_began = asyncio.Event()

            async def one(number: int, question: str) -> str:
                text = ""
                async for event in model.chat(ask(question)):
                    if isinstance(event, Text):
                        text += event.content
                        first_texts.add(number)
                        if len(first_texts) == 4:
                            all_began.set()
                return text

            questions = [STORY, MEANING, STORY, "What is the capital of France?"]
            texts = await asyncio.gather(*(one(n, q) for n, q in enumerate(questions)))
        assert all_began.is_set()
        assert texts[0] == texts[2]
        assert texts[1] == MEANING_ANSWER
        assert texts[3] == "The capital of France is Paris."

    run(test)


def test_text_that_is_no_utf8_is_asked_anyway() -> None:
    async def test() -> None:
        async with loaded() as model:
            events = await collect(model.chat(ask("lone \ud800 surrogate", greedy(max_tokens=2))))
        assert finish_of(events).predicted_tokens > 0

    run(test)
