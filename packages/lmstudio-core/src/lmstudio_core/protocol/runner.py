"""What runs operations, as types: the clients implement these, facades and ops rely on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, overload

from typing_extensions import Self, Unpack

from ..timeouts import CallLimits, Limits
from .operations import Batch, Call, Channel, Invoke, InvokeMany, Op

__all__ = ["AsyncChannelStream", "AsyncRunner", "ChannelStream", "Observer", "SyncRunner"]

R = TypeVar("R")
E = TypeVar("E")
Observer = Callable[[str, float, "BaseException | None"], None]
"""Told of each finished request: endpoint, seconds, and the error that it ended with."""

E_co = TypeVar("E_co", covariant=True)
R_co = TypeVar("R_co", covariant=True)


class ChannelStream(Protocol, Generic[E_co, R_co]):
    """A channel that is open: iterate over its events, then take its result."""

    @property
    def ended(self) -> bool:
        """Whether it is over: read to its end, closed, left early, or failed."""
        ...

    def __iter__(self) -> Iterator[E_co]: ...
    def __next__(self) -> E_co: ...
    def receive(self, limits: Limits | None = None) -> tuple[E_co] | None:
        """The next event in a tuple, or ``None`` at the end; the channel outlives these limits."""
        ...

    def send(self, message: Any) -> None:
        """Send a packet on the channel."""

    def cancel(self) -> None:
        """Ask the server to stop; go on iterating to get what it still sends, and the result."""

    def close(self) -> None:
        """Stop waiting; the server is told if it had not finished."""

    def result(self) -> R_co:
        """The result, once the iteration has ended."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...


class AsyncChannelStream(Protocol, Generic[E_co, R_co]):
    """``ChannelStream`` for asyncio."""

    @property
    def ended(self) -> bool:
        """Whether it is over: read to its end, closed, left early, or failed."""
        ...

    async def start(self) -> None:
        """Send the request; the first step of the iteration does it otherwise."""

    def __aiter__(self) -> AsyncIterator[E_co]: ...
    async def __anext__(self) -> E_co: ...
    def at_hand(self) -> tuple[E_co] | None:
        """The next event, in a tuple, if it has come already; ``None`` to wait for it by ``anext``."""
        ...

    async def receive(self, limits: Limits | None = None) -> tuple[E_co] | None:
        """The next event in a tuple, or ``None`` at the end; the channel outlives these limits."""
        ...

    async def send(self, message: Any) -> None:
        """Send a packet on the channel."""

    async def cancel(self) -> None:
        """Ask the server to stop; go on iterating to get what it still sends, and the result."""

    async def aclose(self) -> None:
        """Stop waiting; the server is told if it had not finished."""

    def result(self) -> R_co:
        """The result, once the iteration has ended."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None: ...


class SyncRunner(Protocol):
    """Runs operations in the calling thread."""

    @overload
    def run(self, operation: Call[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Channel[Any, R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Batch[R], **limits: Unpack[CallLimits]) -> list[R]: ...
    @overload
    def run(
        self, operation: InvokeMany[R], **limits: Unpack[CallLimits]
    ) -> list[R | Exception]: ...
    @overload
    def run(self, operation: Invoke[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    def run(self, operation: Op[R], **limits: Unpack[CallLimits]) -> R: ...
    def open(self, channel: Channel[E, R], **limits: Unpack[CallLimits]) -> ChannelStream[E, R]:
        """Start a channel and hand over its stream."""
        ...

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> Iterator[Any]:
        """The results of a batch, in order, as they come."""
        ...

    def capability(self, capability: str) -> Any:
        """The client's namespace of that name."""
        ...

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of one of the server's namespaces is open."""
        ...

    def connect(self, namespace: str) -> None:
        """Open a namespace's socket now instead of on first use."""

    def disconnect(self, namespace: str) -> None:
        """Close a namespace's socket; the next call opens it again."""


class AsyncRunner(Protocol):
    """Runs operations in the running event loop."""

    @overload
    async def run(self, operation: Call[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Channel[Any, R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Batch[R], **limits: Unpack[CallLimits]) -> list[R]: ...
    @overload
    async def run(
        self, operation: InvokeMany[R], **limits: Unpack[CallLimits]
    ) -> list[R | Exception]: ...
    @overload
    async def run(self, operation: Invoke[R], **limits: Unpack[CallLimits]) -> R: ...
    @overload
    async def run(self, operation: Op[R], **limits: Unpack[CallLimits]) -> R: ...
    def open(
        self, channel: Channel[E, R], **limits: Unpack[CallLimits]
    ) -> AsyncChannelStream[E, R]:
        """The stream of a channel; it starts when it is first used."""
        ...

    def stream(self, batch: Batch[R], **limits: Unpack[CallLimits]) -> AsyncIterator[Any]:
        """The results of a batch, in order, as they come."""
        ...

    def capability(self, capability: str) -> Any:
        """The client's namespace of that name."""
        ...

    def is_connected(self, namespace: str) -> bool:
        """Whether the socket of one of the server's namespaces is open."""
        ...

    async def connect(self, namespace: str) -> None:
        """Open a namespace's socket now instead of on first use."""

    async def disconnect(self, namespace: str) -> None:
        """Close a namespace's socket; the next call opens it again."""
