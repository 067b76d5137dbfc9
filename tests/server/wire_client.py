"""A hand-written client of the protocol, for tests: says exactly what a test wants said."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fake_engine import FakeEngine, FakeLibrary
from http_client import HERE
from websockets.asyncio.client import ClientConnection, connect
from wire_schema import check_parameter

from lmstudio_server.config import ServerConfig
from lmstudio_server.serving.server import RunningServer, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

PATIENCE = 30.0


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an async test with a limit, so that a lost answer is a failure and not a hang."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE * 2))


class Refused(Exception):
    """An rpc or a channel ended with this error object."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("title"))
        self.error = error


class Client:
    """One socket."""

    def __init__(self, socket: ClientConnection, namespace: str) -> None:
        self.socket = socket
        self.namespace = namespace
        self._ids = iter(range(1, 10_000))

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def receive(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        return json.loads(text)

    async def call(self, endpoint: str, **parameter: Any) -> Any:
        """An rpc; its result, or ``None`` when it was void."""
        call_id = next(self._ids)
        extra = {"parameter": parameter} if parameter else {}
        check_parameter(self.namespace, endpoint, parameter or None)
        await self.send(type="rpcCall", endpoint=endpoint, callId=call_id, **extra)
        while (frame := await self.receive()).get("callId") != call_id:
            assert frame["type"] != "communicationWarning", frame
        if frame["type"] == "rpcError":
            raise Refused(frame["error"])
        return frame.get("result")

    async def open(self, endpoint: str, **parameter: Any) -> Packets:
        channel_id = next(self._ids)
        extra = {"creationParameter": parameter} if parameter else {}
        await self.send(type="channelCreate", endpoint=endpoint, channelId=channel_id, **extra)
        return Packets(self, channel_id)

    async def collect(self, endpoint: str, **parameter: Any) -> list[dict[str, Any]]:
        """All packets of a channel, to its good end."""
        return [packet async for packet in await self.open(endpoint, **parameter)]


class Packets:
    """The packets of one channel; nothing else may be going on on its socket."""

    def __init__(self, client: Client, channel_id: int) -> None:
        self._client = client
        self.channel_id = channel_id

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        frame = await self._client.receive()
        assert frame.get("channelId") == self.channel_id, frame
        if frame["type"] == "channelClose":
            raise StopAsyncIteration
        if frame["type"] == "channelError":
            raise Refused(frame["error"])
        return frame["message"]

    async def cancel(self) -> None:
        await self._client.send(
            type="channelSend", channelId=self.channel_id, message={"type": "cancel"}
        )


@asynccontextmanager
async def client(
    server: RunningServer, namespace: str, identifier: str = "guest:test", passkey: str = "key"
) -> AsyncIterator[Client]:
    async with connect(f"ws://{server.host}/{namespace}", proxy=None) as socket:
        one = Client(socket, namespace)
        await one.send(authVersion=1, clientIdentifier=identifier, clientPasskey=passkey)
        assert await one.receive() == {"success": True}
        yield one


@asynccontextmanager
async def fake_server(
    engine: FakeEngine | None = None, library: FakeLibrary | None = None, **settings: Any
) -> AsyncIterator[RunningServer]:
    if HERE != "127.0.0.1":
        settings = {"host": HERE, "insecure": True, **settings}
    config = ServerConfig(port=0, **settings)
    async with serve(
        config, engine=engine or FakeEngine(), library=library or FakeLibrary()
    ) as running:
        yield running


def stack(**fields: Any) -> dict[str, Any]:
    """A configuration stack; ``__`` in a name stands for a dot."""
    given = [{"key": key.replace("__", "."), "value": value} for key, value in fields.items()]
    return {"layers": [{"layerName": "apiOverride", "config": {"fields": given}}]}


def query(identifier: str | None = None) -> dict[str, Any]:
    return {"type": "query", "query": {} if identifier is None else {"identifier": identifier}}


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": [{"type": "text", "text": text}]}]}


def prediction(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "modelSpecifier": query("pocket"),
        "history": said(text),
        "predictionConfigStack": stack(**fields),
    }


async def load(one: Client, key: str = "pocket", **more: Any) -> dict[str, Any]:
    packets = await one.collect("loadModel", modelKey=key, loadConfigStack=stack(), **more)
    return packets[-1]["info"]
