"""The remote engine: against a real llama.cpp on a port, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

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
    run,
    text_of,
)
from scripted_http import Answer, delta, events, scripted_server
from wire_client import Refused, client, load, prediction, query

from lmstudio_server.config import ServerConfig
from lmstudio_server.engines.base import (
    CompletionRequest,
    ContextOverflowError,
    EngineError,
    Finished,
    LoadRequest,
    Text,
    ToolCallEnd,
)
from lmstudio_server.engines.installed import Engines
from lmstudio_server.engines.llamacpp.supervisor import Worker
from lmstudio_server.engines.remote import RemoteEngine, RemoteModel, RemoteServer
from lmstudio_server.engines.remote.client import RemoteClient
from lmstudio_server.library import Library
from lmstudio_server.serving.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from lmstudio_server.engines.remote.model import RemoteLoadedModel

pytest.importorskip("httpx2", reason="lmstudio-server[remote] is not installed")

KEY = "sk-secret-123"


@asynccontextmanager
async def llamacpp(path: Path = POCKET, **settings: Any) -> AsyncGenerator[RemoteServer, None]:
    """A real llama.cpp server on a port of this machine, with a key."""
    worker = await Worker.start(LoadRequest(path, **settings), lambda _: None, over_tcp=True)
    try:
        url = f"http://127.0.0.1:{worker.address.port}/v1"
        yield RemoteServer("box", url, api_key=worker.address.api_key)
    finally:
        await worker.stop()


async def load_first(server: RemoteServer) -> RemoteLoadedModel:
    engine = RemoteEngine([server])
    (found, *_rest) = await asyncio.to_thread(engine.offered)
    request = LoadRequest(found.file, engine="remote", model=found.model)
    return await engine.load(request, lambda _: None)


@asynccontextmanager
async def loaded(server: RemoteServer) -> AsyncGenerator[RemoteLoadedModel, None]:
    model = await load_first(server)
    try:
        yield model
    finally:
        await model.unload()


def models(*names: str, **fields: Any) -> Answer:
    return Answer({"object": "list", "data": [{"id": name, **fields} for name in names]})


# -- a real llama.cpp ------------------------------------------------------------------------------


def test_everything_llamacpp_offers_works_from_afar() -> None:
    async def test() -> None:
        async with llamacpp(context_length=1024) as server:
            engine = RemoteEngine([server])
            (found,) = await asyncio.to_thread(engine.offered)
            assert (found.key, found.path, found.publisher) == (
                "pocket-q8_0",
                "box/pocket-q8_0",
                "box",
            )
            assert (found.kind, found.format, found.max_context_length) == ("llm", "gguf", 2048)
            assert found.size_bytes > 500_000
            async with loaded(server) as model:
                assert model.context_length == 1024
                assert model.pid is None
                answer = await collect(model.chat(ask(MEANING)))
                assert text_of(answer) == MEANING_ANSWER
                done = finish_of(answer)
                assert (done.stop_reason, done.prompt_tokens > 5) == ("eos", True)
                counted = sum(e.tokens_count for e in answer if isinstance(e, Text))
                assert done.predicted_tokens - 1 <= counted <= done.predicted_tokens
                called = await collect(model.chat(ask(PRODUCT, tools=[MULTIPLY])))
                assert calls_of(called) == [("multiply", {"a": 12345, "b": 54321})]
                assert finish_of(called).stop_reason == "tool_calls"
                schema = {
                    "type": "object",
                    "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 9}},
                    "required": ["n"],
                }
                held = await collect(model.chat(ask(MEANING, greedy(json_schema=schema))))
                assert 3 <= json.loads(text_of(held))["n"] <= 9
                words = await collect(
                    model.chat(ask(MEANING, greedy(grammar='root ::= "yes" | "no"')))
                )
                assert text_of(words) in ("yes", "no")
                raw = await collect(
                    model.complete(CompletionRequest("The meaning", greedy(max_tokens=4)))
                )
                assert text_of(raw)
                assert finish_of(raw).stop_reason == "length"
                stopped = await collect(model.chat(ask(MEANING, greedy(stop=["life"]))))
                assert text_of(stopped) == "The meaning of "
                assert finish_of(stopped).stop_string == "life"
                probable = await collect(model.chat(ask(MEANING, greedy(log_probs=2))))
                tokens = [t for e in probable if isinstance(e, Text) for t in e.tokens]
                assert "".join(t.text for t in tokens).startswith(MEANING_ANSWER)
                assert all(len(t.candidates) == 2 for t in tokens)
                assert await model.tokenize("hello world")
                assert MEANING in await model.apply_template(ask(MEANING))
                with pytest.raises(ContextOverflowError):
                    await collect(model.chat(ask("word " * 2000)))

    run(test)


def test_reasoning_comes_apart_and_thinking_can_be_turned_off() -> None:
    async def test() -> None:
        async with llamacpp(POCKET_THINK) as server, loaded(server) as model:
            thought = await collect(
                model.chat(ask(PRODUCT, tools=[MULTIPLY], enable_thinking=True))
            )
            assert text_of(thought, "reasoning")
            assert calls_of(thought)
            plain = await collect(model.chat(ask(MEANING, enable_thinking=False)))
            assert text_of(plain, "reasoning") == ""
            assert text_of(plain).strip() == MEANING_ANSWER

    run(test)


def test_embeddings_from_afar() -> None:
    async def test() -> None:
        async with llamacpp(kind="embedding") as server:
            listed = RemoteServer(
                server.name,
                server.base_url,
                server.api_key,
                models=(RemoteModel(str(POCKET), kind="embedding"),),
            )
            (found,) = await asyncio.to_thread(RemoteEngine([listed]).offered)
            assert found.kind == "embedding"
            async with loaded(listed) as model:
                vector = await model.embed("some text")
                assert len(vector) == 128
                assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-3)

    run(test)


def test_a_closed_stream_stops_the_generation_there() -> None:
    async def test() -> None:
        endless = greedy(grammar='root ::= "word " root')
        async with llamacpp(parallel=1) as server, loaded(server) as model:
            stream = model.chat(ask(STORY, endless))
            async for event in stream:
                if isinstance(event, Text):
                    break
            await stream.aclose()
            # The only slot is free again, so the next one is answered.
            assert text_of(await collect(model.chat(ask(MEANING)))) == MEANING_ANSWER

    run(test)


def test_remote_models_are_used_like_others_through_the_server(tmp_path: Path) -> None:
    async def test() -> None:
        async with llamacpp() as remote:
            engines: Any = Engines([RemoteEngine([remote])])
            library = Library([tmp_path], bundled=False, elsewhere=engines.offered)
            config = ServerConfig(port=0)
            async with serve(config, engine=engines, library=library) as server:
                async with client(server, "system") as system:
                    (info,) = await system.call("listDownloadedModels")
                    assert info["modelKey"] == "pocket-q8_0"
                async with client(server, "llm") as one:
                    await load(one, "pocket-q8_0")
                    packets = await one.collect(
                        "predict",
                        **{
                            **prediction(MEANING, llm__prediction__temperature=0.0),
                            "modelSpecifier": query("pocket-q8_0"),
                        },
                    )
                    said = [p["fragment"]["content"] for p in packets if p["type"] == "fragment"]
                    assert "".join(said) == MEANING_ANSWER
                    tokens = await one.call(
                        "countTokens", specifier=query("pocket-q8_0"), inputString="hello"
                    )
                    assert tokens["tokenCount"] > 0
                    # The remote server goes away: the request fails, this server lives on.
                    await one.call("unloadModel", identifier="pocket-q8_0")
                    assert await one.call("listLoaded") == []

    run(test)


# -- servers of other makes, and misbehaving ones --------------------------------------------------


def test_plain_openai_form_is_asked_and_understood() -> None:
    async def test() -> None:
        stream = events(
            delta(role="assistant", content=""),
            delta(reasoning="hm "),
            delta(reasoning="so"),
            delta(content="Hello"),
            delta(content=" you"),
            {**delta("stop"), "usage": None},
            {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}},
        )
        async with scripted_server(
            v1__models=models("Org/Big", max_model_len=32768, owned_by="vllm"),
            v1__chat__completions=Answer(stream),
        ) as far:
            server = RemoteServer("far", far.url, api_key=KEY, dialect="openai")
            async with loaded(server) as model:
                assert model.context_length == 32768
                answer = await collect(model.chat(ask("hi", greedy(stop=["zzz"]))))
            assert text_of(answer) == "Hello you"
            assert text_of(answer, "reasoning") == "hm so"
            done = finish_of(answer)
            assert (done.prompt_tokens, done.predicted_tokens) == (7, 9)
            asked = far.asked[-1]
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            assert asked.body["model"] == "Org/Big"
            # Nothing that OpenAI's own servers would refuse.
            assert set(asked.body) == {
                "model", "stream", "stream_options", "messages", "temperature",
            }  # fmt: skip

    run(test)


def test_vllm_gets_its_own_names_and_has_tokens() -> None:
    async def test() -> None:
        async with (
            scripted_server(
                v1__models=models("m", owned_by="vllm", max_model_len=100),
                v1__chat__completions=Answer(events(delta("stop", content="x"))),
                tokenize=Answer({"count": 2, "max_model_len": 100, "tokens": [5, 6]}),
            ) as far,
            loaded(RemoteServer("far", far.url)) as model,
        ):
            sampling = greedy(top_k=0, repeat_penalty=1.1, min_p=0.1)
            await collect(model.chat(ask("hi", sampling, enable_thinking=False)))
            body = far.asked[-1].body
            assert (body["top_k"], body["repetition_penalty"], body["min_p"]) == (-1, 1.1, 0.1)
            assert body["chat_template_kwargs"] == {"enable_thinking": False}
            assert await model.tokenize("a b") == [5, 6]
            with pytest.raises(EngineError, match="template is not offered"):
                await model.apply_template(ask("hi"))

    run(test)


def test_what_is_asked_of_a_server_about_calls() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}

    async def test() -> None:
        async with (
            scripted_server(
                v1__models=models("m"),
                v1__chat__completions=Answer(events(delta("stop", content="x"))),
            ) as far,
            loaded(RemoteServer("far", far.url)) as model,
        ):
            held = greedy(json_schema=schema)
            await collect(model.chat(ask("hi", held, tools=[MULTIPLY], parallel_tool_calls=False)))
            body = far.asked[-1].body
            assert body["parallel_tool_calls"] is False
            assert body["response_format"]["json_schema"]["schema"] == schema
            assert body["tools"] == [MULTIPLY]
            await collect(model.chat(ask("hi", held, tools=[MULTIPLY], tool_choice="required")))
            assert "response_format" not in far.asked[-1].body

    run(test)


def test_a_call_or_an_answer_by_the_schema_from_afar() -> None:
    text = {"type": "string", "maxLength": 20}
    schema = {"type": "object", "properties": {"text": text}, "required": ["text"]}
    odd = {"type": "object", "properties": {"a": True, "b": {"type": "file"}, "c": {"enum": []}}}
    tools = [MULTIPLY, {"type": "function", "function": {"name": "odd", "parameters": odd}}]

    async def test() -> None:
        async with llamacpp() as server, loaded(server) as model:
            held = greedy(json_schema=schema, max_tokens=100)
            called = await collect(model.chat(ask(PRODUCT, held, tools=tools)))
            assert calls_of(called) == [("multiply", {"a": 12345, "b": 54321})]
            answered = await collect(model.chat(ask(MEANING, held, tools=tools)))
            assert set(json.loads(text_of(answered))) == {"text"}
            two = f"{PRODUCT} And what is 12 multiplied by 34?"
            one = ask(two, tools=tools, parallel_tool_calls=False)
            assert len(calls_of(await collect(model.chat(one)))) == 1

    run(test)


def test_tool_calls_without_index_or_id_are_told_apart() -> None:
    async def test() -> None:
        def call(name: str, arguments: str) -> dict[str, Any]:
            return delta(tool_calls=[{"function": {"name": name, "arguments": arguments}}])

        stream = events(call("a", '{"x": 1}'), call("b", "{}"), delta("stop"))
        async with scripted_server(
            v1__models=models("m"), v1__chat__completions=Answer(stream)
        ) as far:
            async with loaded(RemoteServer("far", far.url)) as model:
                answer = await collect(model.chat(ask("hi", tools=[MULTIPLY])))
            assert calls_of(answer) == [("a", {"x": 1}), ("b", {})]
            ids = [e.id for e in answer if isinstance(e, ToolCallEnd)]
            assert len(set(ids)) == 2
            assert finish_of(answer).stop_reason == "tool_calls"

    run(test)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            Answer({"error": {"message": f"Bad key {KEY}"}}, 401),
            "Access denied by.*Bad key \\*\\*\\*",
        ),
        (Answer({"detail": "forbidden"}, 403), "Access denied by.*forbidden"),
        (Answer({"error": {"message": "slow down"}}, 429), "Too many requests for.*slow down"),
        (Answer(b"<h1>Bad gateway</h1>", 502), "Failure of the remote server 'far'.*502.*gateway"),
        (Answer({"error": "boom"}, 500), "Failure of.*boom"),
        (Answer({"error": {"message": "odd"}}, 400), "Request refused by.*odd"),
        (Answer({"error": {"message": "no such model"}}, 404), "is not on the remote server"),
        (Answer(b"data: {no json\n\n"), "cannot be read"),
        (Answer(b"data: [1, 2]\n\n"), "cannot be read.*no JSON object"),
        (Answer(b'data: {"choices": [5]}\n\n'), "cannot be read.*odd chunk"),
        (
            Answer(events({"error": {"message": "out of blocks", "code": "x"}})),
            "Failure of.*blocks",
        ),
        (Answer(events(delta(content="cut"))), "the stream ended before the answer did"),
        (Answer(events(delta(content="cut"))[:30], breaks=True), "connection to.*broke"),
        (
            Answer(
                {
                    "object": "error",
                    "message": "This model's maximum context length is 100 tokens. However, you "
                    "requested 150 tokens (120 in the messages, 30 in the completion).",
                },
                400,
            ),
            "The prompt has 120 tokens and the model's context holds 100",
        ),
    ],
)
def test_failures_are_typed_and_the_next_request_works(answer: Answer, says: str) -> None:
    async def test() -> None:
        async with (
            scripted_server(v1__models=models("m"), v1__chat__completions=answer) as far,
            loaded(RemoteServer("far", far.url, api_key=KEY)) as model,
        ):
            with pytest.raises(EngineError, match=f"(?s){says}") as caught:
                await collect(model.chat(ask("hi")))
            assert KEY not in f"{caught.value!r} {caught.value.suggestion}"
            assert caught.value.suggestion
            far.answers["/v1/chat/completions"] = Answer(events(delta("stop", content="ok")))
            assert text_of(await collect(model.chat(ask("hi")))) == "ok"

    run(test)


def test_a_silent_server_is_given_up_and_a_cancel_reaches_it() -> None:
    async def test() -> None:
        silent = Answer(b"", stays_open=True)
        async with scripted_server(v1__models=models("m"), v1__chat__completions=silent) as far:
            async with loaded(RemoteServer("far", far.url, timeout=1)) as model:
                with pytest.raises(EngineError, match=r"No answer from .* for 1 s"):
                    await collect(model.chat(ask("hi")))
            far.left.clear()
            begun = Answer(events(delta(content="one"))[:-14], stays_open=True)
            far.answers["/v1/chat/completions"] = begun
            async with loaded(RemoteServer("far", far.url)) as model:
                stream = model.chat(ask("hi"))
                assert isinstance(await anext(stream), Text)
                await stream.aclose()
                await far.left.wait()

    run(test)


def test_a_server_that_is_down_lists_nothing_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        monkeypatch.setattr("lmstudio_server.engines.remote.engine.SILENCE_SECONDS", 0.0)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
            engine = RemoteEngine([RemoteServer("gone", url, api_key=KEY)])
            assert list(await asyncio.to_thread(engine.offered)) == []
            assert list(await asyncio.to_thread(engine.offered)) == []
            with pytest.raises(EngineError, match="Cannot reach the remote server 'gone'"):
                await engine.load(
                    LoadRequest(POCKET, engine="remote", model="gone/m"), lambda _: None
                )
        told = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert len(told) == 1
        assert KEY not in caplog.text

    run(test)


def test_a_model_that_is_not_there_is_an_error_that_lists_what_is() -> None:
    async def test() -> None:
        async with scripted_server(v1__models=models("one", "two")) as far:
            engine = RemoteEngine([RemoteServer("far", far.url)])
            for name, says in [("far/three", "It has: one, two"), ("near/one", "There are: far")]:
                with pytest.raises(EngineError, match=says):
                    await engine.load(LoadRequest(POCKET, model=name), lambda _: None)

    run(test)


def test_a_server_without_a_list_serves_the_models_of_the_settings() -> None:
    async def test() -> None:
        async with scripted_server(
            v1__completions=Answer(events({"choices": [{"text": "ok", "finish_reason": "length"}]}))
        ) as far:
            known = (RemoteModel("only", context_length=77, vision=True, tools=False),)
            server = RemoteServer("far", far.url, models=known)
            engine = RemoteEngine([server])
            request = LoadRequest(POCKET, engine="remote", model="far/only")
            model = await engine.load(request, lambda _: None)
            try:
                assert model.context_length == 77
                told = await collect(model.complete(CompletionRequest("x", greedy(max_tokens=1))))
                assert text_of(told) == "ok"
                assert isinstance(told[-1], Finished)
                assert told[-1].stop_reason == "length"
                with pytest.raises(EngineError, match="Tokenization is not offered"):
                    await model.tokenize("x")
                with pytest.raises(EngineError, match="grammar is not offered"):
                    await collect(model.chat(ask("x", greedy(grammar="root ::= 'a'"))))
                with pytest.raises(EngineError, match="template than the model's own"):
                    await collect(model.chat(ask("x", GREEDY, chat_template="{{ x }}")))
            finally:
                await model.unload()

    run(test)


def test_errors_of_a_remote_server_reach_clients_typed() -> None:
    async def test() -> None:
        async with scripted_server(
            v1__models=models("m"), v1__chat__completions=Answer({"error": "boom"}, 500)
        ) as far:
            engines: Any = Engines([RemoteEngine([RemoteServer("far", far.url)])])
            library = Library([], bundled=False, elsewhere=engines.offered)
            async with (
                serve(ServerConfig(port=0), engine=engines, library=library) as server,
                client(server, "llm") as one,
            ):
                await load(one, "m")
                asked = {**prediction("hi"), "modelSpecifier": query("m")}
                with pytest.raises(Refused, match="Failure of the remote server 'far'"):
                    await one.collect("predict", **asked)
                with pytest.raises(Refused, match="Tokenization is not offered"):
                    await one.call("countTokens", specifier=query("m"), inputString="x")
                answer = Answer(events(delta("stop", content="ok")))
                far.answers["/v1/chat/completions"] = answer
                assert (await one.collect("predict", **asked))[-1]["type"] == "success"

    run(test)


@pytest.mark.parametrize("answers_on", [2, 3])
def test_a_kept_connection_that_ends_is_replaced_once(answers_on: int) -> None:
    """The first connection ends instead of answering its second request."""
    connections = 0
    body = b'{"data": []}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            if connections in (1, answers_on):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + body)
            await reader.readuntil(b"\r\n\r\n")

    async def test() -> None:
        listener = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            http = RemoteClient(RemoteServer("far", f"http://127.0.0.1:{port}/v1"))
            assert await http.get("models") == {"data": []}
            if answers_on == 2:
                assert await http.get("models") == {"data": []}
            else:
                with pytest.raises(EngineError, match="broke"):
                    await http.get("models")
            assert connections == 2
            await http.close()

    run(test)
