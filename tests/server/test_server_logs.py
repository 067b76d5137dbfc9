"""The log that clients can watch: what it tells, to whom, and what it never tells."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from wire_client import (
    PATIENCE,
    Client,
    Packets,
    Refused,
    client,
    fake_server,
    load,
    prediction,
    run,
)

import lmstudio as lms
import lmstudio_server
from lmstudio_server.daemon.background import LOG_FORMAT
from lmstudio_server.logs import MAX_EVENTS, MAX_TEXT, LineFormatter, Listener, Logs
from lmstudio_server.testing import ServerProcess, running_server

TOKEN = "sk-lm-abcdefgh:0123456789abcdefghij"
log = logging.getLogger("lmstudio_server.tests")


@pytest.fixture(autouse=True)
def every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "lmstudio_server")


async def watch(one: Client) -> Packets:
    """Open the log; its first line says that it is open."""
    packets = await one.open("streamLogs")
    first = await anext(packets)
    assert "reads this log" in first["log"]["data"]["content"]
    return packets


async def next_of(packets: Packets, kind: str) -> dict[str, Any]:
    async for packet in packets:
        if packet["log"]["data"]["type"] == kind:
            return packet["log"]["data"]
    raise AssertionError(f"the log ended without {kind}")


async def stop(one: Client, packets: Packets) -> None:
    message = {"type": "stop"}
    await one.send(type="channelSend", channelId=packets.channel_id, message=message)
    async for _ in packets:
        pass


class TestStream:
    def test_lines_of_the_log_with_their_levels(self) -> None:
        async def test() -> None:
            async with fake_server() as server, client(server, "diagnostics") as one:
                packets = await watch(one)
                log.debug("a")
                log.info("b %d", 2)
                await asyncio.to_thread(log.warning, "from a thread")
                try:
                    raise RuntimeError("boom")
                except RuntimeError:
                    log.exception("d")
                found = [(await next_of(packets, "server.log")) for _ in range(4)]
                assert [line["level"] for line in found] == ["debug", "info", "warn", "error"]
                assert [line["content"] for line in found[:3]] == ["a", "b 2", "from a thread"]
                assert "RuntimeError: boom" in found[3]["content"]
                await stop(one, packets)
                assert not server.services.logs.listening

        run(test)

    def test_predictions_with_their_prompts_and_stats(self) -> None:
        async def test() -> None:
            async with (
                fake_server() as server,
                client(server, "diagnostics") as one,
                client(server, "llm") as llm,
            ):
                await load(llm)
                packets = await watch(one)
                answered = await llm.collect("predict", **prediction("say: hello there"))
                read = await next_of(packets, "llm.prediction.input")
                assert "say: hello there" in read["input"]
                assert (read["modelIdentifier"], read["modelPath"]) == (
                    "pocket",
                    "tests/pocket.gguf",
                )
                written = await next_of(packets, "llm.prediction.output")
                assert written["output"].split() == ["hello", "there"]
                assert written["stats"] == answered[-1]["stats"]
                await llm.collect("predict", **prediction('call f {"a": 1}'))
                written = await next_of(packets, "llm.prediction.output")
                assert '"a": 1' in written["output"]

        run(test)

    def test_a_cancelled_prediction_is_told_as_far_as_it_came(self) -> None:
        async def test() -> None:
            async with (
                fake_server() as server,
                client(server, "diagnostics") as one,
                client(server, "llm") as llm,
            ):
                await load(llm)
                packets = await watch(one)
                answer = await llm.open("predict", **prediction("wait"))
                while (await anext(answer))["type"] != "fragment":
                    pass
                await answer.cancel()
                written = await next_of(packets, "llm.prediction.output")
                assert written["stats"]["stopReason"] == "userStopped"
                assert written["output"]

        run(test)

    def test_who_leaves_without_a_word_is_forgotten(self) -> None:
        handlers = list(logging.getLogger("lmstudio_server").handlers)

        async def test() -> None:
            async with (
                fake_server() as server,
                client(server, "diagnostics") as one,
                client(server, "diagnostics") as two,
            ):
                await watch(one)
                await watch(two)
                assert logging.getLogger("lmstudio_server").handlers != handlers
            assert not server.services.logs.listening

        run(test)
        assert logging.getLogger("lmstudio_server").handlers == handlers

    def test_the_end_of_the_server_ends_the_log_well(self) -> None:
        async def test() -> None:
            async with fake_server() as server, client(server, "diagnostics") as one:
                packets = await watch(one)
                server.services.shutdown.set()
                assert [p async for p in packets if p["log"]["data"]["type"] != "server.log"] == []

        run(test)

    def test_strangers_may_not_watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def is_loopback(_: str) -> bool:
            return False

        monkeypatch.setattr("lmstudio_server.serving.socket.is_loopback", is_loopback)

        async def test() -> None:
            async with fake_server() as server, client(server, "diagnostics") as one:
                with pytest.raises(Refused, match="may not read the log"):
                    await one.collect("streamLogs")

        run(test)


class TestSecrets:
    def test_tokens_are_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")

        async def test() -> None:
            logs = Logs([TOKEN])
            with logs.listen() as listener:
                log.info("the tokens are %s and hf_abcdefgh", TOKEN)
                told = (await listener.get())["data"]["content"]
                assert told == "the tokens are *** and ***"

        run(test)

    def test_what_websockets_says_is_not_told(self) -> None:
        async def test() -> None:
            logs = Logs()
            with logs.listen() as listener:
                logging.getLogger("lmstudio_server.websockets").error("a frame with a passkey")
                log.info("next")
                assert (await listener.get())["data"]["content"] == "next"

        run(test)


class TestSlowReaders:
    def test_the_oldest_events_make_room_and_it_is_said(self) -> None:
        async def test() -> None:
            logs = Logs()
            with logs.listen() as listener:
                for number in range(MAX_EVENTS + 5):
                    logs.tell({"type": "server.log", "level": "info", "content": str(number)})
                first = (await listener.get())["data"]
                assert (first["level"], first["content"].split()[0]) == ("warn", "5")
                assert (await listener.get())["data"]["content"] == "5"

        run(test)

    def test_long_texts_make_room_earlier(self) -> None:
        async def test() -> None:
            listener = Listener()
            for number in range(10):
                text = str(number) * (MAX_TEXT // 4)
                listener.put({"timestamp": 0, "data": {"type": "server.log", "content": text}})
            assert "6 events" in (await listener.get())["data"]["content"]
            assert (await listener.get())["data"]["content"][0] == "6"

        run(test)


@pytest.fixture
def server() -> Generator[ServerProcess, None, None]:
    with running_server() as process:
        yield process


def test_the_sdk_follows_a_real_prediction(server: ServerProcess) -> None:
    with lms.Client(server.host) as one, lms.Client(server.host) as two:
        model = one.llm.model("pocket")
        with two.diagnostics.stream_logs() as lines:
            assert "reads this log" in next(lines).text
            thread = threading.Thread(target=model.respond, args=("What is the meaning of life?",))
            thread.start()
            seen: dict[str, str] = {}
            for event in lines:
                seen[event.type] = event.text
                if event.type == "llm.prediction.output":
                    break
            thread.join(PATIENCE)
    assert "What is the meaning of life?" in seen["llm.prediction.input"]
    assert "<|" in seen["llm.prediction.input"]  # as the model gets it, with the template's marks
    assert seen["llm.prediction.output"]


def test_the_command_prints_the_log(server: ServerProcess) -> None:
    code = "from lmstudio_cli import main; main()"
    command = [sys.executable, "-c", code, "log", "--host", server.host, "--json", "--limit", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert "reads this log" in process.stdout.readline()
            with lms.Client(server.host) as one:
                one.system.notify("hello", "from a test")
                one.system.notify("bye")
            told = [json.loads(line)["data"]["content"] for line in process.stdout]
            assert told == ["notification: hello: from a test", "notification: bye"]
            assert process.wait(PATIENCE) == 0
        finally:
            timer.cancel()
            process.kill()


ODD = "a\r\n2026-01-01 ERROR   forged\x1b[2J\u2028\u202e\ud800\x85\x00"


@pytest.mark.parametrize("where", ["message", "arguments", "error", "cause"])
def test_an_event_is_one_line_whatever_it_names(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of the log begin with our own words; those of a traceback are indented."""
    file = logging.FileHandler(tmp_path / "log", encoding="utf-8")
    file.setFormatter(LineFormatter(LOG_FORMAT))
    logger = logging.getLogger("a log of its own")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "handlers", [file])
    try:
        raise ValueError(ODD if where == "error" else "x") from KeyError(
            ODD if where == "cause" else "x"
        )
    except ValueError:
        logger.exception(ODD if where == "message" else "failed: %s", *(
            () if where == "message" else (ODD,)
        ), stack_info=True)  # fmt: skip
    file.close()
    first, *rest = (tmp_path / "log").read_text("utf-8").split("\n")
    assert "ERROR" in first
    assert all(line.startswith("    ") for line in rest[:-1])
    assert all(line.isprintable() for line in (first, *rest))
    assert "\\ud800" in "".join((first, *rest))


def test_no_other_formatter_writes_the_log() -> None:
    source = Path(lmstudio_server.__file__).parent
    for path in source.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "format=LOG_FORMAT" not in text, path
        assert text.count("Handler(") == 0 or "LineFormatter(" in text or "class _Handler" in text
