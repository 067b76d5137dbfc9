"""A hand-written loop over ``websockets`` and orjson: no errors handled, nothing typed.

It knows no multiplexing, so each caller has a connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import orjson
from measure import arguments, check, run_tasks, run_threads
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect as connect_sync

ARGS = arguments()
URL = f"ws://{ARGS.host}/llm"
AUTH = '{"authVersion":1,"clientIdentifier":"guest:x","clientPasskey":"y"}'
SPECIFIER = {"type": "query", "query": {"identifier": "bench"}}


def rpc_frame(number: int) -> str:
    return orjson.dumps(
        {
            "type": "rpcCall",
            "endpoint": "countTokens",
            "callId": number,
            "parameter": {"specifier": SPECIFIER, "inputString": "some text"},
        }
    ).decode()


def stream_frame(items: int) -> str:
    message = {"role": "user", "content": [{"type": "text", "text": str(items)}]}
    return orjson.dumps(
        {
            "type": "channelCreate",
            "endpoint": "predict",
            "channelId": 1,
            "creationParameter": {
                "modelSpecifier": SPECIFIER,
                "history": {"messages": [message]},
                "predictionConfigStack": {"layers": []},
            },
        }
    ).decode()


def content(frame: dict[str, Any]) -> str | None:
    """The text of a fragment; ``None`` at the end."""
    if frame["type"] == "channelClose":
        return None
    message = frame["message"]
    return message["fragment"]["content"] if message["type"] == "fragment" else ""


def sync() -> None:
    with contextlib.ExitStack() as stack:
        sync_with(stack)


def sync_with(stack: contextlib.ExitStack) -> None:
    sockets = []
    for _ in range(ARGS.callers):
        socket = stack.enter_context(connect_sync(URL, compression=None, max_size=None))
        socket.send(AUTH)
        socket.recv()
        sockets.append(socket)

    def stream(caller: int, items: int) -> None:
        socket = sockets[caller]
        socket.send(stream_frame(items))
        seen = 0
        while (text := content(orjson.loads(socket.recv(decode=False)))) is not None:
            seen += len(text) > 0
        check(seen, items)

    def rpc(caller: int, items: int) -> None:
        socket = sockets[caller]
        for number in range(items):
            socket.send(rpc_frame(number))
            check(orjson.loads(socket.recv(decode=False))["result"]["tokenCount"], 3)

    run_threads(ARGS.callers, ARGS.items, stream if ARGS.work == "stream" else rpc)


async def asynchronous() -> None:
    sockets = []
    for _ in range(ARGS.callers):
        socket = await connect_async(URL, compression=None, max_size=None)
        await socket.send(AUTH)
        await socket.recv()
        sockets.append(socket)

    async def stream(caller: int, items: int) -> None:
        socket = sockets[caller]
        await socket.send(stream_frame(items))
        seen = 0
        while (text := content(orjson.loads(await socket.recv(decode=False)))) is not None:
            seen += len(text) > 0
        check(seen, items)

    async def rpc(caller: int, items: int) -> None:
        socket = sockets[caller]
        for number in range(items):
            await socket.send(rpc_frame(number))
            check(orjson.loads(await socket.recv(decode=False))["result"]["tokenCount"], 3)

    await run_tasks(ARGS.callers, ARGS.items, stream if ARGS.work == "stream" else rpc)
    for socket in sockets:
        await socket.close()


if ARGS.style == "sync":
    sync()
else:
    asyncio.run(asynchronous())
