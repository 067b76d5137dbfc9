"""``client.diagnostics``: the server's log as it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self, Unpack

from ..capability import Capability
from ..data import Number, ServerStruct
from ..halves import HalfJoiner
from ..protocol.operations import Channel, Endpoint
from ..runner import AsyncChannelStream, ChannelStream
from ..timeouts import CallLimits
from ..tracebacks import Short
from .base import AsyncNamespace, SyncNamespace
from .packets import mapping

__all__ = [
    "CAPABILITY",
    "AsyncDiagnosticsNamespace",
    "AsyncLogStream",
    "DiagnosticsNamespace",
    "LogEvent",
    "LogStream",
]

CAPABILITY: Final[Capability[DiagnosticsNamespace, AsyncDiagnosticsNamespace]] = Capability(
    name="diagnostics",
    sync_namespace=f"{__name__}:DiagnosticsNamespace",
    async_namespace=f"{__name__}:AsyncDiagnosticsNamespace",
)


_TEXTS: Final = ("content", "message", "input", "output")


class LogEvent(ServerStruct):
    """Something that happened on the server.

    ``type`` is ``"llm.prediction.input"``, ``"llm.prediction.output"``, ``"server.log"`` or
    ``"runtime.log"``, and says which of the other fields there are. ``timestamp`` is in
    milliseconds; ``data`` is all that the server sent.
    """

    timestamp: Number = 0
    data: Mapping[str, Any] = {}

    @property
    def type(self) -> str:
        """What kind of event it is."""
        return str(self.data.get("type", ""))

    @property
    def level(self) -> str | None:
        """``"debug"``, ``"info"``, ``"warn"`` or ``"error"``; predictions have none."""
        level = self.data.get("level")
        return None if level is None else str(level)

    @property
    def text(self) -> str:
        """The line of the log, the model's input, or its output."""
        for key in _TEXTS:
            if key in self.data:
                return str(self.data[key])
        return ""

    @property
    def model_identifier(self) -> str | None:
        """The loaded model that it is about, if it is about one."""
        identifier = self.data.get("modelIdentifier")
        return None if identifier is None else str(identifier)

    @property
    def time(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromtimestamp(self.timestamp / 1000, timezone.utc)


class _LogChannel(Channel[LogEvent, None]):
    endpoint = Endpoint("diagnostics", "streamLogs", "channel")
    cancel_message = {"type": "stop"}  # noqa: RUF012 - never mutated
    patient = True  # a quiet server has nothing to log
    done = False

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, ...], HalfJoiner] = {}

    def feed(self, message: Any) -> Sequence[LogEvent]:
        packet = mapping(message)
        if packet.get("type") != "log":
            return ()
        log = mapping(packet.get("log"))
        return (LogEvent.from_dict({**log, "data": self._whole(mapping(log.get("data")))}),)

    def _whole(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event's data with whole characters: a model's output comes in pieces."""
        changed: dict[str, Any] = {}
        for key in _TEXTS:
            if isinstance(piece := data.get(key), str):
                source = (key, str(data.get("type")), str(data.get("modelIdentifier")))
                joiner = self._pieces.setdefault(source, HalfJoiner())
                changed[key] = joiner.feed(piece)
        return {**data, **changed}

    def result(self) -> None:
        return None

    def on_close(self) -> None:
        """The server ended the log: nothing more will come, and that is no error."""


class LogStream(Short):
    """The server's log from now on: iterate over its events; ``close`` ends it.

    It waits for the next event however long that takes.
    """

    def __init__(self, stream: ChannelStream[LogEvent, None]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[LogEvent]:
        return self

    def __next__(self) -> LogEvent:
        return next(self._stream)

    def close(self) -> None:
        """End it; the server is told."""
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


class AsyncLogStream(Short):
    """The server's log from now on, for asyncio: iterate over its events; ``aclose`` ends it."""

    def __init__(self, stream: AsyncChannelStream[LogEvent, None]) -> None:
        self._stream = stream

    async def start(self) -> Self:
        """Ask the server now; the first step of the iteration does it otherwise."""
        await self._stream.start()
        return self

    def __aiter__(self) -> AsyncIterator[LogEvent]:
        return self

    async def __anext__(self) -> LogEvent:
        return await anext(self._stream)

    async def aclose(self) -> None:
        """End it; the server is told."""
        await self._stream.aclose()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class DiagnosticsNamespace(SyncNamespace):
    """What the server tells of its work."""

    server_namespace = "diagnostics"

    def stream_logs(self, **limits: Unpack[CallLimits]) -> LogStream:
        """The server's log from now on: its own lines, its engines', and every prediction.

        Example:
            >>> with client.diagnostics.stream_logs() as log:  # doctest: +SKIP
            ...     for event in log:
            ...         print(event.time, event.type, event.text)
        """
        return LogStream(self._client.open(_LogChannel(), **limits))


class AsyncDiagnosticsNamespace(AsyncNamespace):
    """What the server tells of its work, for asyncio."""

    server_namespace = "diagnostics"

    def stream_logs(self, **limits: Unpack[CallLimits]) -> AsyncLogStream:
        """The server's log from now on: its own lines, its engines', and every prediction.

        Example:
            >>> async with client.diagnostics.stream_logs() as log:  # doctest: +SKIP
            ...     async for event in log:
            ...         print(event.time, event.type, event.text)
        """
        return AsyncLogStream(self._client.open(_LogChannel(), **limits))
