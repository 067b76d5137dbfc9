"""A scripted engine and a library of invented models: fast, deterministic, no llama.cpp.

What a generation does is written in the last message:

* ``say: a b c``: answers the text word by word
* ``wait``: answers one word, then waits until it is cancelled
* ``crash``: answers one word, then the engine's process "ends"
* ``think``: reasons, then answers
* ``long``: stops with the reason ``context``
* ``raise``: fails with an ``EngineError``
* ``panic``: fails with what is no ``Exception``
* ``badcall``: a tool call that cannot be read
* ``call NAME {json}``: calls a tool

Anything else is answered with "You said: " and the message.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lmstudio_server.engines import base as e
from lmstudio_server.library import ModelFile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


class PanicError(BaseException):
    """As those of extensions that are written in Rust."""


@dataclass(frozen=True)
class FakeFile(ModelFile):
    """A model that is described and not there."""

    kind: Literal["llm", "embedding"] = "llm"
    display_name: str = "Fake"
    publisher: str = "tests"
    architecture: str | None = "llama"
    params_string: str | None = "1M"
    quantization_name: str | None = "Q8_0"
    quantization_bits: int | None = 8
    size_bytes: int = 1000
    max_context_length: int = 2048
    vision: bool = False
    trained_for_tool_use: bool = True
    reasoning: bool = False


def fake_file(key: str, **changes: Any) -> FakeFile:
    return FakeFile(key=key, file=Path(f"/models/{key}.gguf"), path=f"tests/{key}.gguf", **changes)


class FakeLibrary:
    def __init__(self, *files: FakeFile) -> None:
        self.files = list(files) or [
            fake_file("pocket"),
            fake_file("pocket-embedding", kind="embedding"),
            fake_file("slow"),
            fake_file("corrupt"),
            fake_file("seeing", vision=True),
            fake_file("broken", problem="not a GGUF file"),
        ]

    def scan(self) -> list[FakeFile]:
        return list(self.files)

    def find(self, key: str) -> FakeFile | None:
        return next((f for f in self.files if f.key == key.lower()), None)

    def variants(self, key: str) -> list[FakeFile]:
        return [f for f in self.files if f.key == key.lower()]

    def ambiguous(self, key: str) -> list[str]:
        return []

    def close_matches(self, key: str, n: int = 5) -> list[str]:
        return [f.key for f in self.files if key[:4].lower() in f.key][:n]


class FakeModel:
    def __init__(self, engine: FakeEngine, request: e.LoadRequest) -> None:
        self._engine = engine
        self.request = request
        self.unloaded = False
        self._callback: Callable[[str], None] | None = None

    @property
    def context_length(self) -> int:
        return self.request.context_length

    @property
    def pid(self) -> int:
        return 4242

    def on_exit(self, callback: Callable[[str], None]) -> None:
        self._callback = callback

    async def unload(self) -> None:
        self.unloaded = True

    async def tokenize(self, text: str) -> list[int]:
        return [len(word) for word in text.split()]

    async def embed(self, text: str) -> list[float]:
        return [float(len(text)), 0.5, -1.0]

    async def apply_template(self, request: e.ChatRequest) -> str:
        tools = "".join(f"<tool>{t['function']['name']}</tool>" for t in request.tools)
        return tools + "".join(f"<{m['role']}>{m['content']}" for m in request.messages)

    async def chat(self, request: e.ChatRequest) -> AsyncGenerator[e.EngineEvent, None]:
        self._engine.requests.append(request)
        size = sum(len(str(m["content"]).split()) for m in request.messages)
        if size >= self.context_length:
            raise e.ContextOverflowError(size, self.context_length)
        last = request.messages[-1]
        text = last["content"] if isinstance(last["content"], str) else "picture"
        async for event in self._run(text, request.sampling, size, request.tools):
            yield event

    async def complete(self, request: e.CompletionRequest) -> AsyncGenerator[e.EngineEvent, None]:
        self._engine.requests.append(request)
        size = len(request.prompt.split())
        if size >= self.context_length:
            raise e.ContextOverflowError(size, self.context_length)
        async for event in self._run(request.prompt, request.sampling, size, ()):
            yield event

    async def _run(
        self, text: str, sampling: e.Sampling, size: int, tools: Any
    ) -> AsyncGenerator[e.EngineEvent, None]:
        try:
            yield e.PromptProgress(total=size, processed=size // 2, cached=0)
            yield e.PromptProgress(total=size, processed=size, cached=0)
            async for event in self._script(text, sampling, size, tools):
                yield event
        finally:
            self._engine.closed_generations += 1

    async def _script(  # noqa: C901 - one branch a command
        self, text: str, sampling: e.Sampling, size: int, tools: Any
    ) -> AsyncGenerator[e.EngineEvent, None]:
        command, _, rest = text.partition(" ")
        reason: e.StopReason = "eos"
        words: list[str] = []
        if sampling.json_schema is not None:
            words = [json.dumps(dict.fromkeys(sampling.json_schema.get("properties", {}), 1))]
        elif command == "say:":
            words = [word + " " for word in rest.split()]
        elif command == "think":
            yield e.Text("<think>", reasoning="reasoningStartTag", structural=True)
            yield e.Text("hm", reasoning="reasoning")
            yield e.Text("</think>", reasoning="reasoningEndTag", structural=True)
            words = ["done"]
        elif command in ("wait", "crash"):
            yield e.Text("one ")
            await self._stop(command)
        elif command == "raise":
            raise e.EngineError("It did not work.", cause="for a test", suggestion="Try again.")
        elif command == "panic":
            raise PanicError("index out of bounds")
        elif command == "badcall":
            yield e.ToolCallStart("c1")
            yield e.ToolCallFailed("no JSON", raw="<tool_call>{")
        elif command == "call" and tools:
            name, _, arguments = rest.partition(" ")
            reason = "tool_calls"
            yield e.ToolCallStart("c1")
            yield e.ToolCallName(name)
            yield e.ToolCallArguments(arguments)
            yield e.ToolCallEnd("c1", name, json.loads(arguments), raw=rest)
        else:
            words = ["You ", "said: ", text]
            reason = "context" if command == "long" else reason
        count, stop = 0, None
        for word in words:
            if sampling.max_tokens is not None and count >= sampling.max_tokens:
                reason = "length"
                break
            stop = next((s for s in sampling.stop if s in word), None)
            if stop is not None:
                reason = "stop_string"
                break
            count += 1
            yield e.Text(word)
        yield e.Finished(reason, stop, prompt_tokens=size, predicted_tokens=count)

    async def _stop(self, command: str) -> None:
        if command == "wait":
            self._engine.waiting.set()
            await asyncio.Event().wait()
        if self._callback is not None:
            self._callback("killed by a test")
        raise e.EngineCrashedError("the engine ended.", cause="killed by a test")


class FakeEngine:
    """``slow`` models load only when ``release`` is set; ``corrupt`` ones never."""

    name = "fake"
    version = "1"
    formats = frozenset({"gguf"})

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.models: list[FakeModel] = []
        self.loads: list[e.LoadRequest] = []
        self.cancelled_loads = 0
        self.closed_generations = 0
        self.waiting = asyncio.Event()
        self.release = asyncio.Event()

    def offered(self) -> list[FakeFile]:
        return []

    async def load(self, request: e.LoadRequest, on_progress: Callable[[float], None]) -> FakeModel:
        self.loads.append(request)
        if request.path.stem == "corrupt":
            raise e.EngineError("the engine cannot read it.", cause="magic is wrong")
        on_progress(0.0)
        on_progress(0.5)
        if request.path.stem == "slow":
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled_loads += 1
                raise
        on_progress(0.5)
        on_progress(1.0)
        model = FakeModel(self, request)
        self.models.append(model)
        return model
