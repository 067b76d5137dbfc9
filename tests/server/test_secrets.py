"""No secret of a client or a server is in anything that is shown, kept or passed on."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import lmstudio_core as lms
from lmstudio_core.protocol.address import FoundServer, parse_api_host
from lmstudio_core.protocol.auth import credentials
from lmstudio_server.config import ServerConfig
from lmstudio_server.daemon.spawn import Settings
from lmstudio_server.daemon.state import ServerState
from lmstudio_server.testing import running_server
from lmstudio_server.wire.auth import Credentials, parse_token
from lmstudio_testing import FakeServer
from lmstudio_testing.recording_proxy import RecordingProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "SeCrEtSeCrEtSeCrEt00"
TOKEN = f"sk-lm-abcdefgh:{KEY}"
WRONG = f"sk-lm-hgfedcba:{KEY}"
PASSWORD = "PaSsWoRd-of-a-proxy"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = (KEY, PASSWORD, BASIC)


def leaks(shown: str) -> list[str]:
    return [secret for secret in SECRETS if secret in shown]


def told(error: BaseException) -> str:
    """An error as tools show it that print the variables of every frame, but for this test's own."""
    whole = traceback.TracebackException.from_exception(error, capture_locals=True)
    seen: list[traceback.TracebackException] = []
    todo: list[Any] = [whole]
    while todo:
        one = todo.pop()
        if one is not None and one not in seen:
            seen.append(one)
            todo += [one.__cause__, one.__context__]
            kept = [frame for frame in one.stack if frame.filename != __file__]
            one.stack = traceback.StackSummary.from_list(kept)
    return "".join(whole.format()) + repr(error) + str(vars(error))


def use(host: str, **given: Any) -> None:
    with lms.Client(host, **given) as client:
        client.system.version()


async def use_async(host: str, **given: Any) -> None:
    async with lms.AsyncClient(host, **given) as client:
        await client.system.version()


def test_a_client_may_be_half_made() -> None:
    for kind in (lms.Client, lms.AsyncClient):
        made: Any = kind.__new__(kind)
        assert repr(made) == f"{kind.__name__}(not connected yet)"
        with pytest.raises(lms.LMStudioValueError):
            made.__init__("no address")
        assert "not connected yet" in repr(made)


WAYS: dict[str, Callable[[], object]] = {
    "form of a token": lambda: use("localhost:1", api_token=f"{TOKEN}?"),
    "form of an address": lambda: use(f"http://user:{PASSWORD}@[broken"),
    "query": lambda: use(f"http://user:{PASSWORD}@localhost:1/?a"),
    "pair and token": lambda: use("localhost:1", api_token=TOKEN, client_passkey=KEY),
    "nobody there": lambda: use("localhost:1", api_token=TOKEN),
    "headers": lambda: use("localhost:1", headers={"Authorization": f"{PASSWORD}\n"}),
    "proxy": lambda: use("localhost:1", proxy=f"gopher://user:{PASSWORD}@localhost:1"),
    "proxy that is not there": lambda: use(
        "http://server.invalid", proxy=f"http://user:{PASSWORD}@localhost:1"
    ),
    "asynchronous": lambda: asyncio.run(use_async("localhost:1", api_token=TOKEN)),
    "server's token": lambda: parse_token(f"{TOKEN}?"),
}


@pytest.mark.parametrize("way", list(WAYS.values()), ids=list(WAYS))
def test_errors_show_no_secret(way: Callable[[], object], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises((lms.LMStudioError, ValueError)) as caught:
        way()
    assert leaks("".join(traceback.format_exception(caught.value))) == []
    assert leaks(repr(caught.value) + str(vars(caught.value)) + caplog.text) == []
    with suppress(TypeError, AttributeError):
        assert leaks(pickle.dumps(caught.value).decode("latin-1")) == []


@pytest.mark.parametrize("name", ["nobody there", "asynchronous", "proxy that is not there"])
def test_nor_do_the_variables_of_our_frames(name: str) -> None:
    with pytest.raises(lms.LMStudioError) as caught:
        WAYS[name]()
    assert leaks(told(caught.value)) == []


def test_a_refused_client_shows_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    with running_server("--api-token", TOKEN, "--log-level", "debug") as server:
        caplog.set_level(logging.DEBUG)
        use(server.host, api_token=TOKEN)
        for refused in (
            lambda: use(server.host, api_token=WRONG),
            lambda: asyncio.run(use_async(server.host, api_token=WRONG)),
        ):
            with pytest.raises(lms.LMStudioAuthenticationError) as caught:
                refused()
            assert leaks(told(caught.value)) == []
        log = server.log.read_text()
    assert "system" in log
    assert leaks(log + caplog.text) == []


def test_recordings_hold_no_secret(tmp_path: Path) -> None:
    with (
        FakeServer() as server,
        RecordingProxy(FoundServer(server.api_host, TOKEN), tmp_path / "kept.json") as proxy,
        lms.Client(proxy.api_host) as client,
    ):
        server.on("system.version", {"version": "1", "build": 1, "says": KEY})
        with suppress(lms.LMStudioError):
            client.system.version()
    assert leaks((tmp_path / "kept.json").read_text()) == []


def test_what_holds_secrets_shows_none() -> None:
    for shown in (
        credentials(TOKEN, {}),
        Credentials("a", KEY),
        parse_token(TOKEN),
        ServerConfig(api_tokens=(TOKEN,), control_key=KEY),
        Settings(kind="embedded", api_tokens=(TOKEN,)),
        ServerState("embedded", 1, "h", 1, "i", "v", 0.0, control_key=KEY, api_token=TOKEN),
        FoundServer("localhost:1", TOKEN),
        parse_api_host(FoundServer("localhost:1", TOKEN)),
        parse_api_host(f"https://user:{PASSWORD}@localhost:1"),
        lms.Client("localhost:1", TOKEN, proxy=f"http://user:{PASSWORD}@localhost:2"),
    ):
        assert leaks(repr(shown) + str(shown) + json.dumps([str(shown)])) == []


def look() -> str:
    """Look around."""
    with suppress(lms.LMStudioError):
        use("localhost:1", api_token=TOKEN)
    return "nothing"


def test_spans_and_metrics_hold_no_secret() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="needs OpenTelemetry's SDK")
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from lmstudio_core.observe.otel import instrument, uninstrument

    kept, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(kept))
    meters = MeterProvider([reader])
    instrument(tracers, meters, capture_content=True)  # what people say may be there, but no secret
    try:
        with FakeServer() as server:
            llm = server.llm("m")
            server.embedding("e")
            port = server.api_host.rpartition(":")[2]
            hosts: list[Any] = [
                FoundServer(server.api_host, TOKEN),
                f"http://user:{PASSWORD}@127.0.0.1:{port}",
            ]
            for host in hosts:
                with lms.Client(host, headers={"X-Key": f"{KEY} {PASSWORD}"}) as client:
                    llm.respond("Hello.")
                    lms.LLM("m", client).respond("Hi")
                    llm.call_tool("look", {})
                    llm.respond("Done.")
                    lms.LLM("m", client).act("Hi", [look])
                    lms.EmbeddingModel("e", client).embed("Hi")
                    llm.fail("It cannot.")
                    with pytest.raises(lms.LMStudioError):
                        lms.LLM("m", client).respond("Hi")
        for way in (
            lms.Client("localhost:1", api_token=TOKEN),
            lms.Client("http://server.invalid", proxy=f"http://user:{PASSWORD}@localhost:1"),
            lms.Client(f"http://user:{PASSWORD}@localhost:1"),
        ):
            with way as client, pytest.raises(lms.LMStudioError):
                lms.LLM("m", client).respond("Hi")
    finally:
        uninstrument()
    spans = kept.get_finished_spans()
    told = "".join(span.to_json() for span in spans)
    metrics = reader.get_metrics_data()
    tracers.shutdown()
    meters.shutdown()
    assert {"execute_tool look", "chat m"} <= {span.name for span in spans}
    assert sum(not span.status.is_ok for span in spans) == 5
    assert metrics is not None
    assert leaks(told + metrics.to_json()) == []
