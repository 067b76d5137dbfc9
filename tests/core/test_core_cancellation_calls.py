"""Cancellation at every wait of what programs call: chats, agents, embeddings, files, listings."""

from __future__ import annotations

import asyncio

import pytest
from core_async import run
from test_core_cancellation import every_wait

import lmstudio as lms
from waiting import PATIENCE

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 3_000_000


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    await asyncio.sleep(0)
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


async def texts():
    for n in range(5):
        await asyncio.sleep(0)
        yield f"text {n}"


class Calls:
    """Each attribute is one thing to do with a client."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        self.llm = lms.AsyncLLM("any", client)
        self.embedding = lms.AsyncEmbeddingModel("any", client)

    async def respond(self):
        return await self.llm.respond("Hi", timeout=PATIENCE)

    async def stream(self):
        async with self.llm.respond_stream("Hi", timeout=PATIENCE) as stream:
            async for _ in stream:
                pass
        return stream.result()

    async def act(self):
        self.server.llm().call_tool("add", {"a": 1, "b": 2}).call_tool("multiply", {"a": 1, "b": 2})
        tools = [add, multiply]
        return await self.llm.act("Go", tools, timeout=PATIENCE, tool_timeout=PATIENCE)

    async def act_stream(self):
        self.server.llm().call_tool("add", {"a": 1, "b": 2})
        async with self.llm.act_stream("Go", [add]) as stream:
            async for _ in stream:
                pass
        return stream.result()

    async def embed(self):
        return await self.embedding.embed(["a", "b", "c"], timeout=PATIENCE)

    async def embed_stream(self):
        return [v async for v in self.embedding.embed_stream(texts(), timeout=PATIENCE)]

    async def model(self):
        return await self.client.llm.model("any", timeout=PATIENCE)

    async def image(self):
        return await self.client.files.prepare_image(PNG)

    async def downloaded(self):
        return await self.client.list_downloaded_models(timeout=PATIENCE)


@pytest.mark.parametrize("name", [name for name in vars(Calls) if not name.startswith("_")])
def test_at_every_wait(server, name):
    server.llm().respond("Fine.", times=None)
    server.embedding()

    async def test():
        async with lms.AsyncClient(server.api_host) as client:
            calls = Calls(server, client)
            tasks = asyncio.all_tasks()

            async def check():
                for _ in range(2):  # tools hear of it, and end
                    await asyncio.sleep(0)
                assert asyncio.all_tasks() == tasks
                for connection in client._driver._connections.values():
                    assert connection.mux.idle
                assert await calls.llm.count_tokens("two words") > 0

            await every_wait(getattr(calls, name), check)

    run(test)
