"""``client.diagnostics`` against a scripted server, sync and async."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timezone
from typing import Any

import pytest
from patience import outlast_the_timeout

import lmstudio_core as lms
from lmstudio_core.errors import LMStudioConnectionError
from lmstudio_core.manage.diagnostics import LogEvent

EVENTS: list[dict[str, Any]] = [
    {"type": "server.log", "content": "Listening", "level": "info"},
    {
        "type": "llm.prediction.input",
        "input": "Hi",
        "modelPath": "p",
        "modelIdentifier": "m",
    },
    {"type": "llm.prediction.output", "output": "Hello", "modelIdentifier": "m"},
    {
        "type": "runtime.log",
        "level": "warn",
        "message": "slow",
        "engineName": "e",
        "engineVersion": "1",
        "engineType": "t",
    },
]
LOGS = [{"type": "log", "log": {"timestamp": 1000, "data": data}} for data in EVENTS]


def collect(api: Any, log: Any) -> list[LogEvent]:
    if not api.is_async:
        return list(log)

    async def run() -> list[LogEvent]:
        return [event async for event in log]

    found: list[LogEvent] = api(run())
    return found


def test_the_log_is_a_stream_of_events(api: Any, server: Any) -> None:
    server.on_channel("diagnostics.streamLogs", LOGS)
    events = collect(api, api.client.diagnostics.stream_logs())
    assert [(e.type, e.level, e.text, e.model_identifier) for e in events] == [
        ("server.log", "info", "Listening", None),
        ("llm.prediction.input", None, "Hi", "m"),
        ("llm.prediction.output", None, "Hello", "m"),
        ("runtime.log", "warn", "slow", None),
    ]
    assert events[0].time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)


def test_odd_events_are_taken_as_they_are(api: Any, server: Any) -> None:
    server.on_odd_channel(
        "diagnostics.streamLogs", [{"type": "news"}, None, {"type": "log", "log": {"data": 3}}]
    )
    (event,) = collect(api, api.client.diagnostics.stream_logs())
    assert (event.type, event.text) == ("", "")


def test_closing_the_log_tells_the_server(server: Any) -> None:
    server.on_odd_channel("diagnostics.streamLogs", lambda channel: channel.send(LOGS[0]))
    with lms.Client(server.api_host) as client:
        with client.diagnostics.stream_logs() as log:
            assert next(log).text == "Listening"
        server.requests[0].wait_for_message("stop")
        assert next(log, None) is None


def test_closing_the_log_tells_the_server_async(server: Any) -> None:
    server.on_odd_channel("diagnostics.streamLogs", lambda channel: channel.send(LOGS[0]))

    async def main() -> None:
        async with lms.AsyncClient(server.api_host) as client:
            async with client.diagnostics.stream_logs() as log:
                assert (await anext(log)).text == "Listening"
            await asyncio.to_thread(server.requests[0].wait_for_message, "stop")

    asyncio.run(main())


def test_a_quiet_log_outlasts_the_sync_timeout(server: Any) -> None:
    server.on_odd_channel("diagnostics.streamLogs", lambda channel: None)

    def speak() -> None:
        channel = server.wait_for_request("diagnostics.streamLogs")
        outlast_the_timeout(server)
        channel.send(LOGS[0])

    thread = threading.Thread(target=speak)
    with lms.Client(server.api_host) as client:
        client.diagnostics.connect()
        lms.set_sync_api_timeout(0.1)
        thread.start()
        with client.diagnostics.stream_logs() as log:
            assert next(log).text == "Listening"
    thread.join()


def test_a_lost_connection_ends_the_log(api: Any, server: Any) -> None:
    server.on_odd_channel("diagnostics.streamLogs", lambda channel: channel.socket.drop())
    with pytest.raises(LMStudioConnectionError):
        collect(api, api.client.diagnostics.stream_logs())
