"""A server that replies ready-made frames, so that only the client's work is measured.

It prints its port and runs until its standard input closes. One connection per namespace, as
clients expect; whatever the RPC, the answer holds what the benchmarked calls look at.
"""

from __future__ import annotations

import asyncio
import json
import sys

from websockets.asyncio.server import Response, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request

INFO = {
    "type": "llm",
    "modelKey": "bench",
    "format": "gguf",
    "displayName": "Bench",
    "publisher": "bench",
    "path": "bench/bench.gguf",
    "sizeBytes": 1,
    "indexedModelIdentifier": "bench",
    "deviceIdentifier": None,
    "identifier": "bench",
    "instanceReference": "ref",
    "ttlMs": None,
    "lastUsedTime": None,
    "vision": False,
    "trainedForToolUse": False,
    "maxContextLength": 4096,
    "contextLength": 4096,
    "paramsString": "1M",
    "architecture": "llama",
}
FRAGMENT = {
    "content": " word",
    "tokensCount": 1,
    "containsDrafted": False,
    "reasoningType": "none",
    "isStructural": False,
}
SUCCESS = {
    "type": "success",
    "stats": {"stopReason": "eosFound"},
    "modelInfo": INFO,
    "loadModelConfig": {"fields": []},
    "predictionConfig": {"fields": []},
}
ANSWERS = {
    "countTokens": json.dumps({"tokenCount": 3}),
    "embedString": json.dumps({"embedding": [0.125] * 8}),
    "getModelInfo": json.dumps(INFO),
    "listLoaded": json.dumps([INFO]),
    "version": json.dumps({"version": "0", "build": 0}),
}
BATCH = 16  # fragments handed to the socket at a time, as a fast model's would arrive


async def stream(connection: ServerConnection, channel: int, count: int) -> None:
    head = f'{{"type":"channelSend","channelId":{channel},"message":'
    fragment = head + json.dumps({"type": "fragment", "fragment": FRAGMENT}) + "}"
    for start in range(0, count, BATCH):
        for _ in range(min(BATCH, count - start)):
            await connection.send(fragment)
    await connection.send(head + json.dumps(SUCCESS) + "}")
    await connection.send(f'{{"type":"channelClose","channelId":{channel}}}')


async def handle(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.send('{"success":true}')
    tasks: set[asyncio.Task[None]] = set()
    async for text in connection:
        frame = json.loads(text)
        if frame["type"] == "rpcCall":
            answer = ANSWERS.get(frame["endpoint"], "null")
            await connection.send(
                f'{{"type":"rpcResult","callId":{frame["callId"]},"result":{answer}}}'
            )
        elif frame["type"] == "channelCreate":
            channel = frame["channelId"]
            if frame["endpoint"] == "getOrLoad":
                message = json.dumps({"type": "alreadyLoaded", "info": INFO})
                await connection.send(
                    f'{{"type":"channelSend","channelId":{channel},"message":{message}}}'
                )
                await connection.send(f'{{"type":"channelClose","channelId":{channel}}}')
            else:
                count = int(
                    frame["creationParameter"]["history"]["messages"][-1]["content"][0]["text"]
                )
                task = asyncio.create_task(stream(connection, channel, count))
                tasks.add(task)
                task.add_done_callback(tasks.discard)


def greet(connection: ServerConnection, request: Request) -> Response | None:
    del connection
    if request.path == "/lmstudio-greeting":
        body = b'{"lmstudio": true}'
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
        return Response(200, "OK", headers, body)
    return None


async def main() -> None:
    async with serve(
        handle,
        "127.0.0.1",
        0,
        process_request=greet,
        compression=None,
        ping_interval=None,
        max_size=None,
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
