"""Both facades against a scripted server: streams, cancellation, errors, fallbacks."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llm_scripts import HELLO, Caller, fragment, success, tool_call

from lmstudio_core.drivers import aio_connection, sync_connection
from lmstudio_core.errors import (
    LMStudioCancelledError,
    LMStudioChannelClosedError,
    LMStudioModelNotFoundError,
    LMStudioPredictionError,
    LMStudioRuntimeError,
    LMStudioValueError,
)
from lmstudio_llm import LlmPredictionFragment
from lmstudio_testing import FakeServer, ServerFailure

PREDICT, RAW = "llm.predict", "llm.completeRawText"


async def endless(channel: Any) -> None:
    """A model that talks until it is told to stop."""
    channel.send(fragment("a"), fragment("b"), fragment("c"))
    assert await channel.next_message() == {"type": "cancel"}
    channel.send(fragment("!"), success("userStopped"))
    channel.close()


async def until_cancelled(channel: Any) -> None:
    """A model that is told to stop while it reads the prompt."""
    assert await channel.next_message() == {"type": "cancel"}
    channel.send(success("userStopped"))
    channel.close()


def hello_after(event: threading.Event) -> Any:
    """A model that says hello when it may."""

    async def answer(channel: Any) -> None:
        await asyncio.to_thread(event.wait, 30)
        channel.send(*HELLO)
        channel.close()

    return answer


async def _texts(stream: Any) -> list[str]:
    return [piece.content async for piece in stream]


def texts(fragments: list[Any]) -> list[str]:
    return [piece.content for piece in fragments]


def _until_cancelled(caller: Caller, stream: Any, count: int) -> Any:
    """The texts of a stream that is cancelled after so many and then read to its end."""

    async def asynchronous() -> list[str]:
        seen: list[str] = []
        async for piece in stream:
            seen.append(piece.content)
            if len(seen) == count:
                await stream.cancel()
        return seen

    def synchronous() -> list[str]:
        seen: list[str] = []
        for piece in stream:
            seen.append(piece.content)
            if len(seen) == count:
                stream.cancel()
        return seen

    return asynchronous() if caller.is_async else synchronous()


class TestResults:
    def test_respond(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, HELLO)
        seen: list[Any] = []
        result = caller.run(caller.model.respond("hi", on_message=seen.append))
        assert (result.content, seen[0].text()) == ("Hello", "Hello")

    def test_complete(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(RAW, HELLO)
        assert caller.run(caller.model.complete("Once")).content == "Hello"

    def test_complete_on_an_older_server(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, HELLO)  # and RAW is answered with a warning
        assert caller.run(caller.model.complete("Once")).content == "Hello"
        stream = caller.model.complete_stream("Once")
        assert texts(caller.take(stream)) == ["Hel", "lo"]
        asked = [request.endpoint for request in server.requests]
        assert asked == [RAW, PREDICT, PREDICT]

    def test_complete_stream_on_an_older_server(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, HELLO)
        stream = caller.model.complete_stream("Once")
        assert texts(caller.take(stream)) == ["Hel", "lo"]
        assert stream.result().content == "Hello"

    def test_prompt_template(self, server: FakeServer, caller: Caller) -> None:
        server.on("llm.applyPromptTemplate", {"formatted": "<hi>"})
        assert caller.run(caller.model.apply_prompt_template("hi")) == "<hi>"

    def test_tools(self, server: FakeServer, caller: Caller) -> None:
        server.on_channel(PREDICT, [tool_call(a=1), success("toolCalls")])
        tools = [{"type": "function", "function": {"name": "add"}}]
        result = caller.run(caller.model.respond("hi", tools=tools))
        assert result.tool_calls[0].arguments == {"a": 1}


class TestStreams:
    def test_iteration_gives_fragments_and_then_the_result(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO)
        stream = caller.model.respond_stream("hi")
        assert "not started" in repr(stream)
        assert stream.stats is stream.model_info is stream.load_config is None
        fragments = caller.take(stream)
        assert all(type(piece) is LlmPredictionFragment for piece in fragments)
        assert texts(fragments) == ["Hel", "lo"]
        assert stream.result().content == "Hello"
        assert stream.model_info.identifier == "scripted"
        assert stream.stats.stop_reason == "eosFound"
        assert stream.prediction_config.temperature == 0.5
        assert "finished" in repr(stream)
        assert caller.take(stream) == []

    def test_events_give_everything(self, server, caller) -> None:
        server.on_channel(PREDICT, [*HELLO[:3], tool_call(), success()])
        names = [
            type(event).__name__
            for event in caller.take(caller.model.respond_stream("hi").events())
        ]
        assert names == [
            "PromptProcessingProgress",
            "PromptProcessingProgress",
            "LlmPredictionFragment",
            "ToolCallGenerationEnd",
        ]

    def test_the_result_without_iterating(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO)
        stream = caller.model.respond_stream("hi")
        assert caller.run(stream.wait_for_result()).content == "Hello"
        assert caller.run(stream.wait_for_result()) is stream.result()

    def test_the_result_in_the_middle(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO)
        with_result = caller.model.respond_stream("hi")
        caller.run(with_result.start())
        if caller.is_async:
            with pytest.raises(LMStudioRuntimeError, match="wait_for_result"):
                with_result.result()
        else:
            assert with_result.result().content == "Hello"

    def test_cancel_keeps_what_there_is(self, server, caller) -> None:
        server.on_channel(PREDICT, endless)
        stream = caller.model.respond_stream("hi")
        assert caller.run(_until_cancelled(caller, stream, 3)) == ["a", "b", "c"]
        assert stream.result().content == "abc"
        assert stream.result().stats.stop_reason == "userStopped"

    def test_cancel_when_the_server_has_said_all(self, server, caller) -> None:
        server.on_channel(PREDICT, [*map(fragment, "abcdef"), success("eosFound")])
        stream = caller.model.respond_stream("hi")
        assert caller.run(_until_cancelled(caller, stream, 2)) == ["a", "b"]
        result = stream.result()
        assert (result.content, result.stats.stop_reason) == ("ab", "userStopped")

    def test_leaving_the_loop_tells_the_server(self, server, caller) -> None:
        server.on_channel(PREDICT, endless)
        stream = caller.model.respond_stream("hi")
        assert texts(caller.take(stream, 2)) == ["a", "b"]
        gc.collect()
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        assert "closed" in repr(stream)
        with pytest.raises(LMStudioCancelledError):
            stream.result()
        with pytest.raises(LMStudioCancelledError):
            caller.run(stream.wait_for_result())
        server.on_channel(PREDICT, HELLO)
        assert caller.run(caller.model.respond("hi")).content == "Hello"

    def test_close(self, server, caller) -> None:
        server.on_channel(PREDICT, endless)
        stream = caller.model.respond_stream("hi")
        caller.run(stream.start())
        caller.run((stream.aclose if caller.is_async else stream.close)())
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        assert caller.take(stream) in ([], ["a"])  # nothing more is waited for
        with pytest.raises(LMStudioCancelledError, match="left before"):
            caller.run(stream.wait_for_result())
        with pytest.raises(LMStudioCancelledError, match="left before"):
            stream.result()

    def test_close_before_the_start_sends_nothing(self, server, caller) -> None:
        stream = caller.model.respond_stream("hi")
        caller.run((stream.aclose if caller.is_async else stream.close)())
        with pytest.raises(LMStudioCancelledError, match="left before"):
            caller.run(stream.wait_for_result())
        assert server.requests == ()

    def test_cancel_before_the_start_follows_the_request(self, server, caller) -> None:
        server.on_channel(PREDICT, until_cancelled)
        stream = caller.model.respond_stream("hi")
        caller.run(stream.cancel())
        assert server.requests == ()
        assert caller.take(stream) == []
        assert stream.result().stats.stop_reason == "userStopped"

    def test_cancel_before_an_older_server_declines(self, server, caller) -> None:
        server.on_channel(PREDICT, until_cancelled)  # and RAW is answered with a warning
        stream = caller.model.complete_stream("Once")
        caller.run(stream.start())
        caller.run(stream.cancel())
        assert caller.take(stream) == []
        assert stream.result().stats.stop_reason == "userStopped"

    def test_a_dropped_stream_tells_the_server(self, server, caller) -> None:
        server.on_channel(PREDICT, endless)
        stream = caller.model.respond_stream("hi")
        caller.run(stream.start())
        channel = server.wait_for_request(PREDICT)
        del stream
        gc.collect()
        if caller.is_async:
            caller.run(asyncio.sleep(0))
        channel.wait_for_message("cancel")

    def test_many_at_once(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO)
        streams = [caller.model.respond_stream("hi") for _ in range(5)]
        for stream in streams:
            caller.run(stream.start())
        assert [texts(caller.take(stream)) for stream in streams] == [["Hel", "lo"]] * 5


class TestErrors:
    def test_of_the_server(self, server, caller) -> None:
        server.on_channel(PREDICT, ServerFailure("Out of memory", cause="Too big"))
        for attempt in (
            lambda: caller.run(caller.model.respond("hi")),
            lambda: caller.take(caller.model.respond_stream("hi")),
        ):
            with pytest.raises(LMStudioPredictionError, match="Out of memory") as caught:
                attempt()
            assert caught.value.server_error.cause == "Too big"

    def test_an_unloaded_model(self, server, caller) -> None:
        code = {"code": "generic.noModelMatchingQuery", "query": {}, "loadedModelsSample": ["x"]}
        server.on_channel(PREDICT, ServerFailure("No model", displayData=code))
        with pytest.raises(LMStudioModelNotFoundError, match="x"):
            caller.run(caller.model.respond("hi"))

    def test_a_close_before_the_end(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO[:3])
        stream = caller.model.respond_stream("hi")
        with pytest.raises(LMStudioChannelClosedError):
            caller.take(stream)
        for attempt in (stream.result, lambda: caller.run(stream.wait_for_result())):
            with pytest.raises(LMStudioChannelClosedError):
                attempt()

    def test_nothing_is_sent_when_an_argument_is_wrong(self, server, caller) -> None:
        model = caller.model
        for attempt in (
            lambda: model.respond("hi", config={"maxTokens": "x"}),
            lambda: model.respond({"messages": []}),
            lambda: model.respond("hi", response_format={"a": 1}),
            lambda: model.respond("hi", preset=3),
            lambda: model.complete("hi", preset=""),
            lambda: model.respond("hi", on_message=3),
            lambda: model.complete("hi", on_prediction_fragment=asyncio.sleep),
            lambda: model.respond("hi", tools=[3]),
            lambda: model.complete(3),
            lambda: model.apply_prompt_template("hi", {"x": 1}),
        ):
            with pytest.raises(LMStudioValueError):
                caller.run(attempt())
        for attempt in (lambda: model.respond_stream(3), lambda: model.complete_stream(None)):
            with pytest.raises(LMStudioValueError):
                attempt()
        assert server.requests == ()


class TestSync:
    def test_with(self, server) -> None:
        server.on_channel(PREDICT, endless)
        caller = Caller(server.api_host, is_async=False)
        with caller.model.respond_stream("hi") as stream:
            assert next(iter(stream)).content == "a"
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        caller.close()

    def test_a_second_reader_is_turned_away_and_the_first_goes_on(
        self, server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits, goes_on = threading.Event(), threading.Event()
        real = sync_connection.Connection.wait

        def wait(connection: Any, state: Any) -> None:
            waits.set()
            real(connection, state)

        monkeypatch.setattr(sync_connection.Connection, "wait", wait)
        server.on_channel(PREDICT, hello_after(goes_on))
        caller = Caller(server.api_host, is_async=False)
        stream = caller.model.respond_stream("hi")
        with ThreadPoolExecutor() as pool:
            first = pool.submit(lambda: texts(list(stream)))
            assert waits.wait(30)
            with pytest.raises(LMStudioRuntimeError, match="Another thread"):
                list(stream)
            gc.collect()
            goes_on.set()
            assert first.result() == ["Hel", "lo"]
        caller.close()

    @pytest.mark.parametrize("how", ["cancel", "close"])
    def test_another_thread_stops_it_while_it_connects(self, server, how: str) -> None:
        server.on_channel(PREDICT, until_cancelled)
        caller = Caller(server.api_host, is_async=False)
        stream = caller.model.respond_stream("hi")
        real = caller.client.open

        def stopped_meanwhile(*args: Any, **limits: Any) -> Any:
            opened = real(*args, **limits)
            getattr(stream, how)()  # the stream does not have what was opened yet
            return opened

        caller.client.open = stopped_meanwhile
        assert caller.take(stream) == []
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        if how == "cancel":
            assert stream.result().stats.stop_reason == "userStopped"
        caller.close()

    def test_an_exception_in_the_loop(self, server) -> None:
        server.on_channel(PREDICT, endless)
        caller = Caller(server.api_host, is_async=False)

        def consume() -> None:
            for _ in caller.model.respond_stream("hi"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            consume()
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        caller.close()


class TestAsync:
    @pytest.fixture
    def caller(self, server):
        made = Caller(server.api_host, is_async=True)
        yield made
        made.close()

    def test_streams_can_be_awaited_first(self, server, caller) -> None:
        server.on_channel(PREDICT, HELLO)

        async def main() -> list[str]:
            got = [f.content async for f in caller.model.respond_stream("hi")]
            got += [f.content async for f in await caller.model.respond_stream("hi")]
            async with await caller.model.respond_stream("hi") as stream:
                got += [f.content async for f in stream]
            async with caller.model.complete_stream("hi") as stream:
                return [*got, (await stream.wait_for_result()).content]

        assert caller.run(main()) == ["Hel", "lo", "Hel", "lo", "Hel", "lo", "Hello"]

    def test_cancel_while_the_request_is_on_its_way(self, server, caller) -> None:
        server.on_channel(PREDICT, until_cancelled)

        async def main() -> Any:
            stream = caller.model.respond_stream("hi")
            reading = asyncio.create_task(stream.wait_for_result())
            await asyncio.sleep(0)  # it connects now
            assert server.requests == ()
            await stream.cancel()
            return await reading

        assert caller.run(main()).stats.stop_reason == "userStopped"

    def test_a_second_reader_is_turned_away_and_the_first_goes_on(
        self, server, caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def main() -> list[str]:
            waits, goes_on = asyncio.Event(), threading.Event()
            real = aio_connection.Connection.wait

            async def wait(connection: Any, state: Any, limits: Any) -> None:
                waits.set()
                await real(connection, state, limits)

            monkeypatch.setattr(aio_connection.Connection, "wait", wait)
            server.on_channel(PREDICT, hello_after(goes_on))
            stream = caller.model.respond_stream("hi")
            first = asyncio.create_task(_texts(stream))
            await waits.wait()
            with pytest.raises(LMStudioRuntimeError, match="Another task"):
                await _texts(stream)
            gc.collect()
            goes_on.set()
            return await first

        assert caller.run(main()) == ["Hel", "lo"]

    def test_cancelling_the_task_tells_the_server(self, server, caller) -> None:
        server.on_channel(PREDICT, endless)

        async def main() -> None:
            await asyncio.wait_for(caller.model.respond("hi"), 0.1)

        with pytest.raises((asyncio.TimeoutError, TimeoutError)):
            caller.run(main())
        server.wait_for_request(PREDICT).wait_for_message("cancel")
        server.on_channel(PREDICT, HELLO)
        assert caller.run(caller.model.respond("hi")).content == "Hello"
