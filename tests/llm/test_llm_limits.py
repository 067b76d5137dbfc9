"""``timeout`` and ``idle_timeout`` of each call: what expires, what the server hears, what goes on."""

from __future__ import annotations

import gc
import math
import signal
import sys
import threading
from typing import Any

import pytest
from llm_scripts import HELLO, INFO, Caller, fragment, success

from lmstudio_core.drivers import sync_connection
from lmstudio_core.errors import LMStudioTimeoutError, LMStudioValueError
from lmstudio_core.timeouts import Limits, set_sync_api_timeout
from lmstudio_testing import NO_ANSWER, FakeServer, silent

PREDICT, RAW = "llm.predict", "llm.completeRawText"
SHORT = 0.1


def first_words(channel: Any) -> None:
    """A model that begins and then says nothing more."""
    channel.send(fragment("a"), fragment("b"))


class Drip:
    """A model that says something whenever it is asked to, so that there never is silence."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, channel: Any) -> None:
        channel.send(fragment("x"))
        while True:
            message = await channel.next_message()
            if message == {"type": "cancel"}:
                return
            channel.send(fragment("x"))


@pytest.fixture
def caller(caller: Caller) -> Caller:
    """Connected already: what is measured is the call alone."""
    caller.run(caller.client.connect("llm"))
    return caller


STREAMS = ("respond_stream", "complete_stream")
WHOLE = ("respond", "complete")


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_prediction_that_takes_too_long(
    server: FakeServer, caller: Caller, name: str, limit: str
) -> None:
    endpoint = PREDICT if name == "respond" else RAW
    server.on_channel(endpoint, first_words)
    with pytest.raises(LMStudioTimeoutError, match=endpoint) as caught:
        caller.run(getattr(caller.model, name)("hi", **{limit: SHORT}))
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.seconds == SHORT
    assert caught.value.endpoint == endpoint
    server.wait_for_request(endpoint).wait_for_message("cancel")
    server.on_channel(endpoint, HELLO)
    assert caller.run(getattr(caller.model, name)("hi")).content == "Hello"
    assert len(server.sockets) == 1


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_takes_too_long(
    server: FakeServer, caller: Caller, name: str, limit: str
) -> None:
    endpoint = PREDICT if name == "respond_stream" else RAW
    server.on_channel(endpoint, first_words)
    stream = getattr(caller.model, name)("hi", **{limit: SHORT})
    with pytest.raises(LMStudioTimeoutError):
        caller.take(stream)
    server.wait_for_request(endpoint).wait_for_message("cancel")
    server.on_channel(endpoint, HELLO)
    assert caller.run(getattr(caller.model, name)("hi").wait_for_result()).content == "Hello"


def test_the_whole_call_ends_even_if_there_is_never_silence(server: FakeServer) -> None:
    """Each fragment asks for the next one, so that the idle timeout alone would never end it."""
    server.on_channel(PREDICT, Drip())
    caller = Caller(server.api_host, is_async=False)
    stream = caller.model.respond_stream("hi", timeout=SHORT, idle_timeout=5)

    def listen() -> None:
        for _ in stream:
            stream._source.send({"type": "more"})

    with pytest.raises(LMStudioTimeoutError, match="timeout= allows"):
        listen()
    server.wait_for_request(PREDICT).wait_for_message("cancel")
    caller.close()


CALLS: dict[str, Any] = {
    "llm.tokenize": lambda model, **limits: model.tokenize("x", **limits),
    "llm.countTokens": lambda model, **limits: model.count_tokens("x", **limits),
    "llm.applyPromptTemplate": lambda model, **limits: model.apply_prompt_template("x", **limits),
    "llm.getModelInfo": lambda model, **limits: model.get_info(**limits),
    "llm.getLoadConfig": lambda model, **limits: model.get_load_config(**limits),
    "llm.unloadModel": lambda model, **limits: model.unload(**limits),
}


@pytest.mark.parametrize("limit", ["timeout", "idle_timeout"])
@pytest.mark.parametrize("endpoint", CALLS)
def test_every_call_has_limits(
    server: FakeServer, caller: Caller, endpoint: str, limit: str
) -> None:
    server.on(endpoint, NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError, match=endpoint):
        caller.run(CALLS[endpoint](caller.model, **{limit: SHORT}))
    server.on("llm.countTokens", {"tokenCount": 3})
    assert caller.run(caller.model.count_tokens("x")) == 3
    assert len(server.sockets) == 1


def test_many_texts_and_the_sum_of_several_calls(server: FakeServer, caller: Caller) -> None:
    server.on("llm.tokenize", NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError):
        caller.run(caller.model.tokenize(["a", "b"], timeout=SHORT))
    server.on("llm.applyPromptTemplate", {"formatted": "x"})
    server.on("llm.countTokens", NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError, match="countTokens"):
        caller.run(caller.model.get_context_usage("x", timeout=SHORT))


def test_loading(server: FakeServer, caller: Caller) -> None:
    for endpoint, load in (
        ("llm.getOrLoad", caller.client.llm.model),
        ("llm.loadModel", caller.client.llm.load_new_instance),
    ):
        server.on_channel(endpoint, lambda channel: channel.send({"type": "resolved"}))
        with pytest.raises(LMStudioTimeoutError, match=endpoint):
            caller.run(load("m", timeout=SHORT))
        server.wait_for_request(endpoint).wait_for_message("cancel")
    done = {"type": "loadSuccess", "info": INFO}
    server.on_channel("llm.getOrLoad", [done])
    assert caller.run(caller.client.llm.model("m", timeout=5)).identifier == "scripted"


def test_a_server_that_never_lets_anybody_in(server: FakeServer, caller: Caller) -> None:
    caller.run(caller.client.disconnect("llm"))
    server.auth = silent
    with pytest.raises(LMStudioTimeoutError):
        caller.run(caller.model.count_tokens("x", timeout=SHORT))


def test_a_limit_that_is_set_during_a_wait_is_for_the_next_one(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sync_connection.Connection._lead

    def set_anew(*args: Any) -> None:
        set_sync_api_timeout(None)
        real(*args)

    caller = Caller(server.api_host, is_async=False)
    caller.client.connect("llm")
    server.on("llm.countTokens", NO_ANSWER)
    monkeypatch.setattr(sync_connection.Connection, "_lead", set_anew)
    set_sync_api_timeout(SHORT)
    with pytest.raises(LMStudioTimeoutError, match=f"in {SHORT} seconds") as caught:
        caller.model.count_tokens("x")
    assert caught.value.seconds == SHORT
    caller.close()


def test_a_timeout_alone_is_the_only_limit(server: FakeServer) -> None:
    set_sync_api_timeout(SHORT)
    caller = Caller(server.api_host, is_async=False)
    server.on("llm.countTokens", NO_ANSWER)
    with pytest.raises(LMStudioTimeoutError, match="set_sync_api_timeout"):
        caller.model.count_tokens("x")
    with pytest.raises(LMStudioTimeoutError, match="idle_timeout="):
        caller.model.count_tokens("x", idle_timeout=SHORT)
    assert Limits(5, default=lambda: SHORT).idle is None
    assert Limits(5, 1, default=lambda: SHORT).longest_wait == 1
    assert Limits(0.5, 1, default=lambda: SHORT).longest_wait <= 0.5
    assert Limits(idle_timeout=math.inf, default=lambda: SHORT).longest_wait is None
    assert Limits(math.inf).longest_wait is None
    assert Limits(default=lambda: SHORT).longest_wait == SHORT
    caller.close()


@pytest.mark.parametrize("value", [0, -1, "5", True, math.nan])
@pytest.mark.parametrize("name", ["timeout", "idle_timeout"])
def test_what_is_no_limit_is_refused(
    server: FakeServer, caller: Caller, name: str, value: Any
) -> None:
    for method in ("respond", "respond_stream", "count_tokens", "tokenize"):
        with pytest.raises(LMStudioValueError, match=f"{name} is a positive number"):
            caller.run(getattr(caller.model, method)("hi", **{name: value}))
    assert server.requests == ()


def test_other_names_are_refused_as_by_any_function(caller: Caller) -> None:
    with pytest.raises(TypeError, match="'tmeout'; did you mean 'timeout'"):
        caller.run(caller.model.count_tokens("x", tmeout=3))
    with pytest.raises(TypeError, match=r"'temperature'; settings of .* go into config="):
        caller.model.respond_stream("x", temperature=3)


def test_none_is_no_limit_of_its_own(server: FakeServer, caller: Caller) -> None:
    server.on("llm.countTokens", {"tokenCount": 3})
    assert caller.run(caller.model.count_tokens("x", timeout=None, idle_timeout=None)) == 3
    server.on_channel(PREDICT, [*HELLO[:-1], success()])
    assert caller.run(caller.model.respond("x", timeout=60, idle_timeout=60)).content == "Hello"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals to threads")
@pytest.mark.parametrize("name", ["respond", "respond_stream"])
def test_ctrl_c_tells_the_server(server: FakeServer, name: str) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def script(channel: Any) -> None:
        signal.pthread_kill(main, signal.SIGINT)

    server.on_channel(PREDICT, script)
    caller = Caller(server.api_host, is_async=False)
    caller.client.connect("llm")
    with pytest.raises(KeyboardInterrupt):
        list(getattr(caller.model, name)("hi"))
    gc.collect()
    asked = server.wait_for_request(PREDICT)
    # An interrupt amid reading ends the connection, which stops the prediction as well.
    server.wait_for(lambda: {"type": "cancel"} in asked.messages or asked.socket.closed, "the stop")
    server.on_channel(PREDICT, HELLO)
    assert caller.model.respond("hi").content == "Hello"
    caller.close()
