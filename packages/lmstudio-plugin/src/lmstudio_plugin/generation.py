"""Generators: plugins that write in the place of a model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from typing_extensions import Self

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import Rising, as_mapping, report
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.operations import Channel, Endpoint
from lmstudio_core.protocol.runner import AsyncChannelStream, ChannelStream

from .data import (
    GeneratorEvent,
    GeneratorFragment,
    GeneratorProgress,
    GeneratorResult,
    GeneratorToolCall,
)
from .operations import plugin_text

__all__ = ["AsyncGeneratorStream", "GeneratorChannel", "GeneratorStream"]

_STEPS: Mapping[object, str] = {
    "toolCallGenerationStart": "start",
    "toolCallGenerationNameReceived": "name",
    "toolCallGenerationArgumentFragmentGenerated": "arguments",
    "toolCallGenerationEnd": "end",
    "toolCallGenerationFailed": "failed",
}


class GeneratorChannel(Channel[GeneratorEvent, GeneratorResult]):
    """One text of a generator: its pieces as events, the whole as the result."""

    endpoint: Endpoint = Endpoint("plugins", "generateWithGenerator", "channel")

    def __init__(
        self,
        plugin_identifier: str,
        history: Any,
        tools: Iterable[Mapping[str, Any]],
        specifier: Mapping[str, Any],
        on_fragment: Callable[[GeneratorFragment], object] | None,
    ) -> None:
        self.parameter: Any = {
            "pluginIdentifier": plugin_text("plugin_identifier", plugin_identifier),
            "pluginConfigSpecifier": specifier,
            "tools": [dict(tool) for tool in tools],
            "history": _history(history),
        }
        self._on_fragment = on_fragment
        self._fragments: list[GeneratorFragment] = []
        self._requests: list[Mapping[str, Any]] = []
        self._rising = Rising()

    def feed(self, message: Any) -> Sequence[GeneratorEvent]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        kind = packet.get("type")
        if kind == "fragment":
            fragment = GeneratorFragment.from_dict(as_mapping(packet.get("fragment")))
            self._fragments.append(fragment)
            report(self._on_fragment, "on_fragment", fragment)
            return (fragment,)
        if kind == "promptProcessingProgress":
            ratio = self._rising(packet.get("progress"))
            return () if ratio is None else (GeneratorProgress(progress=ratio),)
        if kind in _STEPS:
            return (self._tool_call(_STEPS[kind], packet),)
        if kind == "success":
            self.done = True
        return ()

    def _tool_call(self, step: str, packet: Mapping[str, Any]) -> GeneratorToolCall:
        request = as_mapping(packet.get("toolCallRequest")) if step == "end" else None
        if request is not None:
            self._requests.append(request)
        return GeneratorToolCall(
            step=step,
            tool_call_id=packet.get("toolCallId"),
            name=packet.get("name"),
            content=packet.get("content"),
            request=request,
        )

    def result(self) -> GeneratorResult:
        """What it came to; see ``Channel.result``."""
        return GeneratorResult(
            content="".join(f.content for f in self._fragments),
            reasoning_content=self._joined("reasoning"),
            non_reasoning_content=self._joined("none"),
            tool_call_requests=tuple(self._requests),
        )

    def _joined(self, reasoning_type: str) -> str:
        return "".join(
            f.content
            for f in self._fragments
            if f.reasoning_type == reasoning_type and not f.is_structural
        )


def _history(history: object) -> Any:
    """The wire form of a chat: a text, plain data, or an object that can tell it (``Chat``)."""
    if isinstance(history, str):
        content = [{"type": "text", "text": plugin_text("history", history)}]
        return {"messages": [{"role": "user", "content": content}]}
    to_dict = getattr(history, "to_dict", None)
    plain: object = to_dict() if callable(to_dict) else history
    if "messages" not in as_mapping(plain):
        raise LMStudioValueError(
            f"history is a text, a Chat or a dict with 'messages', not {type(history).__name__}."
        )
    return plain


class GeneratorStream(Short):  # public
    """What a generator writes, as it comes: iterate over it; then ``result``."""

    def __init__(self, stream: ChannelStream[GeneratorEvent, GeneratorResult]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[GeneratorEvent]:
        return self

    def __next__(self) -> GeneratorEvent:
        return next(self._stream)

    def result(self) -> GeneratorResult:
        """All of it; waits for what has not come yet."""
        for _ in self._stream:
            pass
        return self._stream.result()

    def close(self) -> None:
        """Stop it; the server is told if it had not finished."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


class AsyncGeneratorStream(Short):  # public
    """What a generator writes, for asyncio: iterate over it; then ``result``."""

    def __init__(self, stream: AsyncChannelStream[GeneratorEvent, GeneratorResult]) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[GeneratorEvent]:
        return self

    async def __anext__(self) -> GeneratorEvent:
        return await anext(self._stream)

    async def result(self) -> GeneratorResult:
        """All of it; waits for what has not come yet."""
        async for _ in self._stream:
            pass
        return self._stream.result()

    async def aclose(self) -> None:
        """Stop it; the server is told if it had not finished."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        await self._stream.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
