"""Observers hear of predictions, tool calls, embeddings and agents' runs, from both facades."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import lmstudio as lms
from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.observe.observations import add_observer, remove_observer
from lmstudio_core.plugins.api import hookimpl
from lmstudio_testing import FakeServer, Gate


class Observer:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.threads: list[str] = []

    def names(self) -> list[str]:
        return [name for name, _ in self.heard]

    def last(self, name: str) -> Any:
        return [what for heard, what in self.heard if heard == name][-1]

    def hear(self, name: str, what: Any) -> None:
        self.heard.append((name, what))
        self.threads.append(threading.current_thread().name)

    @hookimpl
    def lmstudio_prediction_started(self, prediction: Any) -> None:
        self.hear("prediction_started", prediction)

    @hookimpl
    def lmstudio_prediction_first_token(self, prediction: Any) -> None:
        self.hear("first_token", prediction)

    @hookimpl
    def lmstudio_prediction_finished(self, prediction: Any) -> None:
        self.hear("prediction_finished", prediction)

    @hookimpl
    def lmstudio_tool_call_started(self, tool_call: Any) -> None:
        self.hear("tool_started", tool_call)

    @hookimpl
    def lmstudio_tool_call_finished(self, tool_call: Any) -> None:
        self.hear("tool_finished", tool_call)

    @hookimpl
    def lmstudio_embedding_started(self, embedding: Any) -> None:
        self.hear("embedding_started", embedding)

    @hookimpl
    def lmstudio_embedding_finished(self, embedding: Any) -> None:
        self.hear("embedding_finished", embedding)

    @hookimpl
    def lmstudio_act_started(self, act: Any) -> None:
        self.hear("act_started", act)

    @hookimpl
    def lmstudio_act_finished(self, act: Any) -> None:
        self.hear("act_finished", act)


@pytest.fixture
def observer() -> Iterator[Observer]:
    observer = Observer()
    add_observer(observer)
    yield observer
    remove_observer(observer)


Program = Callable[[Any], Awaitable[Any]]


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest, server: FakeServer) -> Callable[[Program], Any]:
    """Run a program with a client of either kind; ``got`` makes results of both alike."""

    async def main(program: Program) -> Any:
        if request.param == "sync":
            with lms.Client(server.api_host) as client:
                return await program(client)
        async with lms.AsyncClient(server.api_host) as client:
            return await program(client)

    return lambda program: asyncio.run(main(program))


async def got(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_async(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0)
    return a + b


def broken(a: int, b: int) -> int:
    """Add two numbers."""
    raise ValueError("no sums today")


def test_a_prediction(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().respond("Hello there!")

    async def program(client: Any) -> None:
        await got((await got(client.llm.model("qwen"))).respond("Hi", config={"temperature": 0.5}))

    run(program)
    assert observer.names() == ["prediction_started", "first_token", "prediction_finished"]
    prediction = observer.last("prediction_finished")
    assert prediction is observer.last("prediction_started")
    assert (prediction.model, prediction.endpoint) == ("qwen", "llm.predict")
    assert prediction.result.stats.stop_reason == "eosFound"
    assert prediction.result.content == "Hello there!"
    assert 0 <= prediction.first_token_seconds <= prediction.seconds
    assert (prediction.server, prediction.error) == (server.api_host, None)
    assert prediction.parent is None


def test_a_prediction_that_fails(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().fail("Out of memory", after="We").drop(after="We")

    async def program(client: Any) -> None:
        model = await got(client.llm.model("qwen"))
        with pytest.raises(lms.LMStudioPredictionError):
            await got(model.respond("Hi"))
        assert observer.last("prediction_finished").error.server_error.title == "Out of memory"
        with pytest.raises(lms.LMStudioConnectionError):
            await got(model.respond("Hi"))
        server.stop()
        with pytest.raises(lms.LMStudioConnectionError):
            await got(model.respond("Hi"))
        server.start()

    run(program)
    assert observer.names().count("prediction_finished") == 3
    unreachable = observer.last("prediction_finished")
    assert isinstance(unreachable.error, lms.LMStudioConnectionError)
    assert (unreachable.server, unreachable.result) == (None, None)


def test_a_stream_that_is_left(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().respond("Once upon", Gate(), times=2)

    async def program(client: Any) -> None:
        model = await got(client.llm.model("qwen"))
        stream = model.respond_stream("Hi")
        if isinstance(client, lms.Client):
            for _ in stream:
                break
        else:
            async for _ in stream:
                break
        del stream
        await asyncio.sleep(0)

    run(program)
    left = observer.last("prediction_finished")
    assert (left.result, left.error, left.first_token_seconds is None) == (None, None, False)


@pytest.mark.parametrize("tool", [add, add_async])
@pytest.mark.parametrize("parallel", [1, 2])
def test_an_agent(
    server: FakeServer, observer: Observer, run: Any, tool: Any, parallel: int
) -> None:
    server.llm().call_tool(tool.__name__, {"a": 1, "b": 2}).respond("It is 3.")

    async def program(client: Any) -> Any:
        model = await got(client.llm.model("qwen"))
        return await got(model.act("1 + 2?", [tool], max_parallel_tool_calls=parallel))

    result = run(program)
    rounds = ["prediction_started", "prediction_finished"]
    names = [name for name in observer.names() if name != "first_token"]
    assert names[0] == "act_started"
    assert names[-3:] == [*rounds, "act_finished"]
    assert names.count("tool_started") == names.count("tool_finished") == 1
    act, call = observer.last("act_finished"), observer.last("tool_finished")
    assert act.result.final == result.final == "It is 3."
    assert (act.model, act.tools) == ("qwen", (tool.__name__,))
    assert act.run_id
    assert call.run_id == act.run_id
    assert (call.name, call.arguments, call.call_id) == (
        tool.__name__,
        {"a": 1, "b": 2},
        "call-1",
    )
    assert (call.result, call.error, call.description) == (3, None, "Add two numbers.")
    assert call.parent is act
    prediction = observer.last("prediction_finished")
    assert (prediction.parent, prediction.round_index) == (act, 1)


def test_a_tool_that_fails(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().call_tool("broken", {"a": 1, "b": 2}).respond("Sorry.")

    async def program(client: Any) -> None:
        await got((await got(client.llm.model("qwen"))).act("1 + 2?", [broken]))

    run(program)
    call = observer.last("tool_finished")
    assert isinstance(call.error, ValueError)
    assert call.result is None
    assert observer.last("act_finished").error is None


def test_a_tool_that_takes_too_long(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().call_tool("wait", {}).respond("Sorry.")
    over = threading.Event()

    def wait() -> None:
        """Wait."""
        over.wait(20)

    async def program(client: Any) -> None:
        model = await got(client.llm.model("qwen"))
        await got(model.act("Wait.", [wait], tool_timeout=0.01))

    run(program)
    over.set()
    assert isinstance(observer.last("tool_finished").error, lms.LMStudioTimeoutError)
    assert observer.names().count("tool_finished") == 1


def test_an_agent_that_fails(server: FakeServer, observer: Observer, run: Any) -> None:
    server.llm().fail("Out of memory")

    async def program(client: Any) -> None:
        with pytest.raises(lms.LMStudioPredictionError):
            await got((await got(client.llm.model("qwen"))).act("1 + 2?", [add]))

    run(program)
    assert observer.last("act_finished").error.server_error.title == "Out of memory"


def test_embeddings(server: FakeServer, observer: Observer, run: Any) -> None:
    server.embedding(dimensions=5).fail("bad")

    async def program(client: Any) -> None:
        model = await got(client.embedding.model("nomic"))
        await got(model.embed("one"))
        await got(model.embed(["a", "b", "bad"], on_error="skip"))
        with pytest.raises(lms.LMStudioServerError):
            await got(model.embed(["bad"]))

    run(program)
    assert observer.names() == ["embedding_started", "embedding_finished"] * 3
    one, some, none = (what for name, what in observer.heard if name == "embedding_finished")
    assert (one.model, one.texts, one.dimensions) == ("nomic", 1, 5)
    assert (one.server, one.error) == (server.api_host, None)
    assert (some.texts, some.failed) == (2, 1)
    assert isinstance(none.error, lms.LMStudioServerError)


def test_an_observer_that_raises(
    server: FakeServer, observer: Observer, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        @hookimpl
        def lmstudio_prediction_started(self) -> None:
            raise RuntimeError("the observer is broken")

        @hookimpl
        def lmstudio_prediction_finished(self) -> None:
            raise RuntimeError("the observer is broken")

    server.llm().respond("Hello!")
    add_observer(other := Broken())
    try:
        with lms.Client(server.api_host) as client:
            assert client.llm.model("qwen").respond("Hi").content == "Hello!"
    finally:
        remove_observer(other)
    assert "prediction_finished" in observer.names()
    records = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(records) == 2
    assert "failed in lmstudio_prediction_started" in records[0].getMessage()


def test_observers_come_and_go(server: FakeServer) -> None:
    server.llm().respond("Hello!", times=None)
    observer = Observer()
    with lms.Client(server.api_host) as client:
        model = client.llm.model("qwen")
        model.respond("Hi")
        add_observer(observer)
        model.respond("Hi")
        remove_observer(observer)
        remove_observer(observer)
        model.respond("Hi")
    assert len(observer.heard) == 3


def test_what_cannot_be_an_observer(observer: Observer) -> None:
    class Wrong:
        @hookimpl
        def lmstudio_prediction_finished(self, predicton: Any) -> None: ...

    for given, says in (
        (object(), "implements no hook"),
        (Wrong(), "has no argument 'predicton'"),
        (observer, "added already"),
    ):
        with pytest.raises(LMStudioValueError, match=says):
            add_observer(given)
