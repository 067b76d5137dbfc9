"""Several generations at once, the rest in order; what an instance says it is doing."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from pocket_models import ask, greedy, loaded, run
from wire_client import client, query, stack

from lmstudio_server.engines.base import EngineEvent, Finished, Text
from lmstudio_server.engines.llamacpp.turns import Turns
from lmstudio_server.testing import running_server

if TYPE_CHECKING:
    from wire_client import Client

ENDLESS = {
    "llm__prediction__temperature": 1,
    "llm__prediction__contextOverflowPolicy": "rollingWindow",
    "llm__prediction__llama__logitBias": [[token, "-inf"] for token in range(1015, 1024)],
}
"""Goes on and on: the pocket model's special tokens are banned, and the context rolls."""


def test_no_more_than_that_at_once() -> None:
    async def test() -> None:
        async with loaded(parallel=2) as model:
            begun: list[int] = []
            running: set[int] = set()
            most = 0

            async def one(number: int) -> None:
                nonlocal most
                request = ask(f"Say {number}.", greedy(max_tokens=20))
                async with aclosing(model.chat(request)) as events:
                    async for event in events:
                        if number not in begun:
                            begun.append(number)
                            running.add(number)
                            most = max(most, len(running))
                        if isinstance(event, Finished):
                            running.discard(number)

            await asyncio.gather(*(one(number) for number in range(12)))
        assert sorted(begun) == list(range(12))
        assert most <= 2

    run(test)


def test_the_order_is_that_of_asking() -> None:
    async def test() -> None:
        turns = Turns(2)
        order: list[int] = []

        async def one(number: int) -> None:
            async with turns.together():
                order.append(number)
                # The later ones are quicker, which does not help them.
                for _ in range(20 - number):
                    await asyncio.sleep(0)

        await asyncio.gather(*(one(number) for number in range(12)))
        assert order == list(range(12))

    run(test)


def test_who_waits_can_give_up() -> None:
    async def test() -> None:
        turns = Turns(1)
        free = asyncio.Event()
        order: list[str] = []

        async def one(name: str) -> None:
            async with turns.together():
                order.append(name)
                await free.wait()

        tasks = [asyncio.create_task(one(name)) for name in "abc"]
        for _ in range(5):
            await asyncio.sleep(0)
        tasks[1].cancel()
        free.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == ["a", "c"]

    run(test)


def test_a_generation_that_is_left_ends_within_a_token() -> None:
    """The next of a model with one place begins at once, and the engine is idle afterwards."""

    async def test() -> None:
        async with loaded(parallel=1, context_length=512) as model:
            sampling = greedy(
                overflow="roll", logit_bias=tuple((t, -1e9) for t in range(1015, 1024))
            )
            for _ in range(3):
                seen: list[EngineEvent] = []
                async with aclosing(model.chat(ask("Tell me a story.", sampling))) as events:
                    async for event in events:
                        seen.append(event)
                        if isinstance(event, Text):
                            break
                assert [type(event) for event in seen][-1] is Text
            short = [e async for e in model.chat(ask("Hello!", greedy(max_tokens=3)))]
            assert isinstance(short[-1], Finished)

    run(test)


class Listener:
    """Hears the packets of all channels of one socket."""

    def __init__(self, socket: Client) -> None:
        self._socket = socket
        self.talking: list[int] = []
        self.reasons: set[str] = set()
        self.ended: set[int] = set()

    async def until(self, talking: int = 0, ended: int = 0) -> None:
        """Wait until so many have begun to talk, and so many have ended."""
        while len(self.talking) < talking or len(self.ended) < ended:
            frame = await self._socket.receive()
            channel, message = frame["channelId"], frame.get("message", {})
            if message.get("type") == "fragment" and channel not in self.talking:
                self.talking.append(channel)
            if message.get("type") == "success":
                self.reasons.add(message["stats"]["stopReason"])
            if frame["type"] == "channelClose":
                self.ended.add(channel)


async def queue_of_five(server: Any) -> None:
    async with client(server, "llm") as llm, client(server, "llm", "guest:two") as other:
        # Each has its own context, which rolls: in a shared one they would fill it together.
        two = stack(llm__load__numParallelSessions=2, llm__load__useUnifiedKvCache=False)
        await llm.collect("loadModel", modelKey="pocket", loadConfigStack=two)

        async def state() -> tuple[str, int]:
            found = await other.call(
                "getInstanceProcessingState", specifier=query("pocket"), throwIfNotFound=True
            )
            return found["status"], found["queued"]

        assert await state() == ("idle", 0)
        parameter = {
            "modelSpecifier": query("pocket"),
            "rawPrompt": "Once upon a time",
            "predictionConfigStack": stack(**ENDLESS),
        }
        channels = [await llm.open("completeRawText", **parameter) for _ in range(5)]
        ids = [channel.channel_id for channel in channels]
        listener = Listener(llm)
        await listener.until(talking=2)
        assert set(listener.talking) == set(ids[:2])
        assert await state() == ("generating", 3)
        for channel in channels[:2]:
            await channel.cancel()
        await listener.until(talking=4, ended=2)
        assert listener.ended == set(ids[:2])
        assert set(listener.talking) == set(ids[:4])
        assert await state() == ("generating", 1)
        for channel in channels[2:]:
            await channel.cancel()
        await listener.until(ended=5)
        assert listener.reasons == {"userStopped"}
        assert await state() == ("idle", 0)


def test_what_an_instance_says_it_is_doing() -> None:
    with running_server() as server:
        run(lambda: queue_of_five(server))


def test_progress_with_details() -> None:
    async def test(server: Any) -> None:
        async with client(server, "llm") as llm:
            await llm.collect(
                "loadModel",
                modelKey="pocket",
                loadConfigStack=stack(llm__load__llama__evalBatchSize=32),
            )
            for cached in (False, True):
                packets = await llm.collect(
                    "completeRawText",
                    modelSpecifier=query("pocket"),
                    rawPrompt="apple " * 100,
                    predictionConfigStack=stack(
                        llm__prediction__maxPredictedTokens={"checked": True, "value": 2}
                    ),
                )
                progress = [p for p in packets if p["type"] == "promptProcessingProgress"]
                details = [packet["details"] for packet in progress]
                total = packets[-1]["stats"]["promptTokensCount"]
                for packet, detail in zip(progress, details, strict=True):
                    done = detail["cachedTokenCount"] + detail["processedPromptTokenCount"]
                    assert detail["totalPromptTokenCount"] == total
                    assert done + detail["unprocessedPromptTokenCount"] == total
                    assert packet["progress"] == done / total
                assert details[-1]["unprocessedPromptTokenCount"] == 0
                assert (details[-1]["cachedTokenCount"] > total - 32) is cached
                if not cached:
                    assert len(progress) >= total // 32

    with running_server() as server:
        run(lambda: test(server))
