"""The ``openai`` package against a real server with the pocket models."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from pocket_models import MEANING, MEANING_ANSWER, MULTIPLY, PRODUCT, STORY

from lmstudio_server.testing import running_server

openai = pytest.importorskip("openai")

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST"
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with running_server() as server:
        yield server.host


@pytest.fixture
def client(host: str) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"http://{host}/v1", api_key="none", max_retries=0) as client:
        yield client


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def test_models(client: Any) -> None:
    names = [model.id for model in client.models.list()]
    assert names[:3] == ["pocket", "pocket-think", "pocket-embedding"]
    assert client.models.retrieve("pocket").id == "pocket"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("pockets")
    assert caught.value.code == "model_not_found"
    assert 'Did you mean "pocket"' in str(caught.value)


def test_chat(client: Any) -> None:
    answer = client.chat.completions.create(model="pocket", messages=user(MEANING))
    [choice] = answer.choices
    assert choice.message.content == MEANING_ANSWER
    assert (choice.finish_reason, answer.model) == ("stop", "pocket")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > 5


def test_stream(client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model="pocket", messages=user(MEANING), stream=True, stream_options={"include_usage": True}
        )
    )  # fmt: skip
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == MEANING_ANSWER
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.completion_tokens > 5
    assert len(chunks) > 8


def test_reasoning(client: Any) -> None:
    answer = client.chat.completions.create(model="pocket-think", messages=user(MEANING))
    assert answer.choices[0].message.content == MEANING_ANSWER
    assert answer.choices[0].message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    plain = client.chat.completions.create(
        model="pocket-think", messages=user(MEANING), reasoning_effort="none"
    )
    assert not hasattr(plain.choices[0].message, "reasoning_content")


def test_tools_in_two_rounds(client: Any) -> None:
    messages = user(PRODUCT)
    answer = client.chat.completions.create(model="pocket", messages=messages, tools=[MULTIPLY])
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert (call.function.name, arguments) == ("multiply", {"a": 12345, "b": 54321})
    product = str(arguments["a"] * arguments["b"])
    messages += [
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": product},
    ]
    final = client.chat.completions.create(model="pocket", messages=messages, tools=[MULTIPLY])
    assert product in final.choices[0].message.content


def test_tools_streamed_and_by_choice(client: Any) -> None:
    stream = client.chat.completions.create(
        model="pocket", messages=user(PRODUCT), tools=[MULTIPLY], stream=True
    )
    deltas = [c.choices[0].delta for c in stream]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    assert calls[0].function.name == "multiply"
    text = "".join(call.function.arguments for call in calls)
    assert json.loads(text) == {"a": 12345, "b": 54321}
    none = client.chat.completions.create(
        model="pocket", messages=user(PRODUCT), tools=[MULTIPLY], tool_choice="none", max_tokens=20
    )
    assert none.choices[0].message.tool_calls is None
    forced = client.chat.completions.create(
        model="pocket",
        messages=user(MEANING),
        tools=[MULTIPLY],
        tool_choice={"type": "function", "function": {"name": "multiply"}},
        max_tokens=80,
    )
    assert forced.choices[0].message.tool_calls[0].function.name == "multiply"


def test_structured_output(client: Any) -> None:
    answer = client.chat.completions.create(
        model="pocket",
        messages=user(MEANING),
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}},
    )
    assert isinstance(json.loads(answer.choices[0].message.content)["answer"], int)
    pydantic = pytest.importorskip("pydantic")
    shape = pydantic.create_model("Shape", answer=(int, ...))
    parsed = client.chat.completions.parse(
        model="pocket", messages=user(MEANING), response_format=shape
    )
    assert isinstance(parsed.choices[0].message.parsed.answer, int)


def test_limits_stops_and_probabilities(client: Any) -> None:
    short = client.chat.completions.create(
        model="pocket", messages=user(MEANING), max_completion_tokens=3, logprobs=True, top_logprobs=2
    )  # fmt: skip
    assert short.choices[0].finish_reason == "length"
    assert short.usage.completion_tokens == 3
    tokens = short.choices[0].logprobs.content
    assert len(tokens) == 3
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)
    stopped = client.chat.completions.create(model="pocket", messages=user(MEANING), stop=" of")
    assert stopped.choices[0].message.content == "The meaning"
    settings: dict[str, Any] = {"temperature": 1.5, "seed": 5, "max_tokens": 20}
    first, second = (
        client.chat.completions.create(model="pocket", messages=user(STORY), **settings)
        for _ in range(2)
    )
    assert first.choices[0].message.content == second.choices[0].message.content


def test_completions(client: Any) -> None:
    answer = client.completions.create(
        model="pocket", prompt=["The", "A"], max_tokens=4, echo=True, logprobs=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].text.startswith("The")
    assert len(answer.choices[0].logprobs.tokens) == 4
    assert answer.usage.completion_tokens == 8
    whole = client.completions.create(model="pocket", prompt="The", max_tokens=4)
    stream = client.completions.create(model="pocket", prompt="The", max_tokens=4, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert chunks[-1].choices[0].finish_reason == "length"


def test_embeddings(client: Any) -> None:
    # The package asks for base64 unless told otherwise, and unpacks it.
    packed = client.embeddings.create(model="pocket-embedding", input=["one", "two"])
    plain = client.embeddings.create(
        model="pocket-embedding", input=["one", "two"], encoding_format="float"
    )
    assert [one.index for one in packed.data] == [0, 1]
    for left, right in zip(packed.data, plain.data, strict=True):
        assert left.embedding == pytest.approx(right.embedding, rel=1e-6)
    assert packed.usage.prompt_tokens >= 2
    assert packed.model == "pocket-embedding"
    with pytest.raises(openai.APIStatusError, match="token ids"):
        client.embeddings.create(model="pocket-embedding", input=[1, 2])
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="pocket-embedding", input="a", dimensions=3)
    with pytest.raises(openai.BadRequestError, match="no embedding") as caught:
        client.embeddings.create(model="pocket-embedding", input=["a", ""])
    assert caught.value.param == "input[1]"
    with pytest.raises(openai.BadRequestError, match="/v1/chat/completions"):
        client.embeddings.create(model="pocket", input="a")


def test_errors(client: Any) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-4o", messages=user("a"))
    with pytest.raises(openai.BadRequestError, match="temperature") as caught:
        client.chat.completions.create(model="pocket", messages=user("a"), temperature="hot")
    assert caught.value.param == "temperature"
    with pytest.raises(openai.BadRequestError, match="embedding model"):
        client.chat.completions.create(model="pocket-embedding", messages=user("a"))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    with pytest.raises(openai.BadRequestError, match="cannot see images"):
        client.chat.completions.create(
            model="pocket", messages=[{"role": "user", "content": [picture]}]
        )


def test_async_many_at_once(host: str) -> None:
    async def test() -> None:
        async with openai.AsyncOpenAI(base_url=f"http://{host}/v1", api_key="x") as client:

            async def one() -> str:
                stream = await client.chat.completions.create(
                    model="pocket", messages=user(MEANING), stream=True
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream])

            assert await asyncio.gather(*(one() for _ in range(8))) == [MEANING_ANSWER] * 8

    asyncio.run(asyncio.wait_for(test(), 60))


def test_leaving_a_stream_frees_the_engine(host: str) -> None:
    async def test() -> None:
        async with openai.AsyncOpenAI(base_url=f"http://{host}/v1", api_key="x") as client:
            stream = await client.chat.completions.create(
                model="pocket", messages=user(STORY), stream=True, temperature=2, max_tokens=1900
            )
            async for _ in stream:
                break
            await stream.close()
            url = f"http://{host}/status.json"
            # Ends by the time limit of the test if the engine goes on.
            while True:
                loaded = (await client._client.get(url)).json()["loaded"]
                if not any(instance["inFlight"] for instance in loaded):
                    break

    asyncio.run(asyncio.wait_for(test(), 60))


def test_tokens() -> None:
    with running_server("--api-token", TOKEN) as server:
        base = f"http://{server.host}/v1"
        with (
            openai.OpenAI(base_url=base, api_key="wrong", max_retries=0) as wrong,
            pytest.raises(openai.AuthenticationError),
        ):
            wrong.models.list()
        with openai.OpenAI(base_url=base, api_key=TOKEN, max_retries=0) as right:
            assert "pocket" in [model.id for model in right.models.list()]
