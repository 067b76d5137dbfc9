"""The benchmark of agents: a client's CPU time per round, against a loop written by hand.

    python benchmarks/agents.py [--repeat 7] [--acts 40] [--rounds 5] [--fragments 128] [--json FILE]

A server replies ready-made frames: each round some fragments and one call of a tool, the last one
an answer. The hand-written loop runs over ``websockets`` and orjson; it checks nothing, handles no
error and types nothing. Every repetition runs every contender once, in turn, so that what else the
machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

from clients.measure import check

from server import FRAGMENT, SUCCESS, greet

HERE = Path(__file__)
LIMIT = 1.5
SPECIFIER = {"type": "query", "query": {"identifier": "bench"}}


# --- the server ---------------------------------------------------------------------------------


def frames(channel: int, name: str, rounds: int, fragments: int, done: int) -> str:
    """The frames of one prediction, one per line; ``done`` calls have their results already."""
    head = f'{{"type":"channelSend","channelId":{channel},"message":'
    messages: list[dict[str, Any]] = [{"type": "fragment", "fragment": FRAGMENT}] * fragments
    if done + 1 < rounds:
        request = {
            "type": "function",
            "id": str(done),
            "name": name,
            "arguments": {"a": done, "b": 1},
        }
        messages += [
            {"type": "toolCallGenerationStart", "toolCallId": str(done)},
            {"type": "toolCallGenerationEnd", "toolCallRequest": request},
        ]
    messages.append(SUCCESS)
    lines = [head + json.dumps(message) + "}" for message in messages]
    return "\n".join([*lines, f'{{"type":"channelClose","channelId":{channel}}}'])


async def serve(rounds: int, fragments: int) -> None:
    from websockets.asyncio.server import serve as listen

    async def handle(connection: Any) -> None:
        await connection.recv()
        await connection.send('{"success":true}')
        async for text in connection:
            frame = json.loads(text)
            if frame["type"] != "channelCreate":
                continue
            history = frame["creationParameter"]["history"]["messages"]
            done = sum(message["role"] == "tool" for message in history)
            config = frame["creationParameter"]["predictionConfigStack"]["layers"][0]["config"]
            settings = {field["key"]: field["value"] for field in config["fields"]}
            tools = settings["llm.prediction.tools"]["tools"]
            name = tools[0]["function"]["name"]
            for line in frames(frame["channelId"], name, rounds, fragments, done).split("\n"):
                await connection.send(line)

    async with listen(
        handle, "127.0.0.1", 0, process_request=greet, compression=None, ping_interval=None
    ) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# --- the contenders: each acts ``acts`` times and prints µs of CPU time per round ---------------


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def add_later(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def timed(acts: int, rounds: int, act: Any) -> None:
    act()
    gc.collect()
    started = time.process_time()
    for _ in range(acts):
        act()
    print(json.dumps({"us": (time.process_time() - started) / (acts * rounds) * 1e6}))


async def timed_async(acts: int, rounds: int, act: Any) -> None:
    await act()
    gc.collect()
    started = time.process_time()
    for _ in range(acts):
        await act()
    print(json.dumps({"us": (time.process_time() - started) / (acts * rounds) * 1e6}))


def sdk_sync(host: str, acts: int, rounds: int) -> None:
    import lmstudio as lms

    with lms.Client(host) as client:
        model = lms.LLM("bench", client)

        def act() -> None:
            result = model.act("Go", [add])
            check((result.rounds, len(result.tool_calls)), (rounds, rounds - 1))

        timed(acts, rounds, act)


async def sdk_async(host: str, acts: int, rounds: int) -> None:
    import lmstudio as lms

    async with lms.AsyncClient(host) as client:
        model = lms.AsyncLLM("bench", client)

        async def act() -> None:
            result = await model.act("Go", [add_later])
            check((result.rounds, len(result.tool_calls)), (rounds, rounds - 1))

        await timed_async(acts, rounds, act)


class ByHand:
    """What a hand-written loop keeps: the chat, and how to ask for the next round."""

    tools: ClassVar[dict[str, Any]] = {
        "type": "toolArray",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Add two numbers.",
                    "parameters": {
                        "type": "object",
                        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                        "required": ["a", "b"],
                    },
                },
            }
        ],
    }

    def __init__(self) -> None:
        self.messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "Go"}]}]
        self.channel = 0
        self.start()

    def start(self) -> None:
        self.text: list[str] = []
        self.calls: list[Any] = []

    def request(self) -> str:
        import orjson

        self.channel += 1
        config = {"fields": [{"key": "llm.prediction.tools", "value": self.tools}]}
        layers = [{"layerName": "apiOverride", "config": config}]
        return orjson.dumps(
            {
                "type": "channelCreate",
                "endpoint": "predict",
                "channelId": self.channel,
                "creationParameter": {
                    "modelSpecifier": SPECIFIER,
                    "history": {"messages": self.messages},
                    "predictionConfigStack": {"layers": layers},
                },
            }
        ).decode()

    def take(self, frame: Any) -> bool:
        """Whether more frames follow."""
        if frame["type"] == "channelClose":
            return False
        message = frame["message"]
        if message["type"] == "fragment":
            self.text.append(message["fragment"]["content"])
        elif message["type"] == "toolCallGenerationEnd":
            self.calls.append(message["toolCallRequest"])
        return True

    def finish_round(self) -> bool:
        """Run the tools; whether another round follows."""
        content: list[Any] = [{"type": "text", "text": "".join(self.text)}]
        content += [{"type": "toolCallRequest", "toolCallRequest": call} for call in self.calls]
        self.messages.append({"role": "assistant", "content": content})
        results = [
            {
                "type": "toolCallResult",
                "content": json.dumps(add(**call["arguments"])),
                "toolCallId": call["id"],
                "name": call["name"],
            }
            for call in self.calls
        ]
        if results:
            self.messages.append({"role": "tool", "content": results})
        self.start()
        return bool(results)


AUTH = '{"authVersion":1,"clientIdentifier":"guest:x","clientPasskey":"y"}'


def hand_sync(host: str, acts: int, rounds: int) -> None:
    import orjson
    from websockets.sync.client import connect

    with connect(f"ws://{host}/llm", compression=None, max_size=None) as socket:
        socket.send(AUTH)
        socket.recv()

        def act() -> None:
            loop, more = ByHand(), True
            while more:
                socket.send(loop.request())
                while loop.take(orjson.loads(socket.recv(decode=False))):
                    pass
                more = loop.finish_round()
            check(loop.channel, rounds)

        timed(acts, rounds, act)


async def hand_async(host: str, acts: int, rounds: int) -> None:
    import orjson
    from websockets.asyncio.client import connect

    async with connect(f"ws://{host}/llm", compression=None, max_size=None) as socket:
        await socket.send(AUTH)
        await socket.recv()

        async def act() -> None:
            loop, more = ByHand(), True
            while more:
                await socket.send(loop.request())
                while loop.take(orjson.loads(await socket.recv(decode=False))):
                    pass
                more = loop.finish_round()
            check(loop.channel, rounds)

        await timed_async(acts, rounds, act)


CONTENDERS = {
    "sdk-sync": sdk_sync,
    "hand-sync": hand_sync,
    "sdk-async": sdk_async,
    "hand-async": hand_async,
}


# --- the comparison -----------------------------------------------------------------------------


def compare(options: argparse.Namespace) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    sizes = [str(options.rounds), str(options.fragments)]
    server = subprocess.Popen(
        [sys.executable, str(HERE), "--serve", *sizes],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        host = f"127.0.0.1:{server.stdout.readline().strip()}"
        for _ in range(options.repeat):
            for name in CONTENDERS:
                done = subprocess.run(
                    [
                        sys.executable,
                        str(HERE),
                        "--contend",
                        name,
                        host,
                        str(options.acts),
                        str(options.rounds),
                    ],
                    check=True,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                samples[name].append(json.loads(done.stdout)["us"])
    finally:
        server.stdin.close()
        server.wait()
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--acts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fragments", type=int, default=128, help="per round")
    parser.add_argument("--json", type=Path, help="write all samples to this file")
    options = parser.parse_args()
    samples = compare(options)
    if options.json:
        options.json.write_text(json.dumps(samples, indent=1))
    print(f"{options.rounds} rounds, {options.fragments} fragments each; µs of CPU time per round")
    print("| style | this SDK | hand-written | this / hand-written | at most |")
    print("|---|---:|---:|---:|---:|")
    for style in ("sync", "async"):
        ours, theirs = samples[f"sdk-{style}"], samples[f"hand-{style}"]
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
        print(f"| {style} | {median(ours):.0f} | {median(theirs):.0f} | {ratio:.2f} | {LIMIT} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1:2] == ["--contend"]:
        contender = CONTENDERS[sys.argv[2]]
        outcome = contender(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
        if outcome is not None:
            asyncio.run(outcome)
    else:
        main()
