"""Endpoints: a name, a parameter type and a function that answers.

A namespace is a table of them. Nothing here knows of sockets or frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast

from pydantic import BaseModel, ValidationError

from lmstudio_server.errors import not_offered
from lmstudio_server.wire.frames import ABSENT
from lmstudio_server.wire.session import InvalidParameterError

if TYPE_CHECKING:
    from lmstudio_server.services import Services

__all__ = ["ABSENT", "Call", "Channel", "Endpoint", "Namespace", "Offer", "PacketSink"]


class PacketSink(Protocol):
    """Where a channel's packets go."""

    async def __call__(self, packet: Mapping[str, Any], /) -> None: ...


@dataclass(frozen=True)
class Call:
    """One request: who asks, of which namespace, and what the server has to answer with."""

    services: Services
    namespace: str
    client: str
    trusted: bool
    """The client knows a secret of this server, or comes from this machine."""

    @property
    def kind(self) -> Literal["llm", "embedding"]:
        """The kind of model this namespace is about."""
        return "embedding" if self.namespace == "embedding" else "llm"


MAX_WAITING: Final = 256
"""How many messages of a channel wait for their endpoint; then the client's socket is read no further."""
STOPS: Final = frozenset({"cancel", "stop", "cancelDownload", "cancelPlan"})
"""The messages that mean "stop"."""


@dataclass(frozen=True)
class Channel(Call):
    """A request that is answered with packets, and may be told to stop."""

    send: PacketSink
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    inbox: asyncio.Queue[Mapping[str, Any]] = field(
        default_factory=lambda: asyncio.Queue[Mapping[str, Any]](MAX_WAITING)
    )
    """The client's messages, in their order, for endpoints with others than "stop"."""

    async def take(self, message: Mapping[str, Any]) -> None:
        """A message from the client; waits for the endpoint to read, if there are many."""
        if message.get("type") in STOPS:
            if self.cancelled.is_set():
                return  # once is enough, and most endpoints never read it
            self.cancelled.set()
        await self.inbox.put(message)

    def end(self) -> None:
        """Nobody reads its messages any more: who waits to put one there goes on."""
        while not self.inbox.empty():
            self.inbox.get_nowait()


Offer: TypeAlias = Literal["yes", "nothing", "error"]
"""What an endpoint is good for here: it does what it is for; there is never anything of that kind here,
and it says so; or its answer is an error that says that it is not offered. ``docs/endpoints.md`` has it for
every endpoint."""
RpcHandler: TypeAlias = Callable[[Call, Any], Awaitable[Any]]
ChannelHandler: TypeAlias = Callable[[Channel, Any], Awaitable[None]]


@dataclass(frozen=True)
class Endpoint:
    """An entry of a namespace. ``handler`` of an rpc returns ``ABSENT`` for a void result."""

    name: str
    kind: Literal["rpc", "channel"]
    handler: RpcHandler | ChannelHandler
    parameter: type[BaseModel] | None = None
    messages: Mapping[str, type[BaseModel] | None] = field(
        default_factory=dict[str, type[BaseModel] | None]
    )
    """What the client may send on the channel: the types, and what each has to be like."""
    optional: bool = False
    """The parameter may be left out."""
    lenient: bool = False
    """Any parameter and message is let through (endpoints that only answer with an error)."""
    offer: Offer = "yes"
    tells_misfits: bool = False
    """What does not fit is handed on as ``{"type": "misfit", ...}``: somebody waits for an answer."""

    def read_parameter(self, parameter: Any) -> Any:
        """Check a parameter; void endpoints take none at all, not even null."""
        if self.lenient:
            return parameter
        if self.parameter is None:
            if parameter is not ABSENT:
                raise InvalidParameterError("this endpoint takes no parameter; leave the key out")
            return ABSENT
        if parameter is ABSENT:
            if self.optional:
                return ABSENT
            raise InvalidParameterError("a parameter is required")
        return _check(self.parameter, parameter)

    def read_message(self, message: Any) -> Any:
        """Check a channel message of the client."""
        if self.lenient:
            return message
        if isinstance(message, dict):
            known_message = cast("dict[str, Any]", message)
            kind: object = known_message.get("type")
            if isinstance(kind, str) and kind in self.messages:
                _check(self.messages[kind], known_message)
                return known_message
        known = ", ".join(sorted(self.messages)) or "none"
        raise InvalidParameterError(f"the messages of endpoint {self.name} are: {known}")


class Namespace:
    """The endpoints that share one socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoints: dict[str, Endpoint] = {}

    def rpc(
        self, name: str, parameter: type[BaseModel] | None = None, *, optional: bool = False
    ) -> Callable[[RpcHandler], RpcHandler]:
        """Register the function below as the rpc endpoint ``name``.

        Args:
            name: The endpoint's name on the wire.
            parameter: The class of its parameter; ``None`` if it takes none.
            optional: Whether clients may leave the parameter out.
        """

        def register(handler: RpcHandler) -> RpcHandler:
            self.endpoints[name] = Endpoint(name, "rpc", handler, parameter, optional=optional)
            return handler

        return register

    def channel(
        self,
        name: str,
        parameter: type[BaseModel] | None = None,
        messages: tuple[str, ...] | Mapping[str, type[BaseModel] | None] = ("cancel",),
        *,
        tells_misfits: bool = False,
    ) -> Callable[[ChannelHandler], ChannelHandler]:
        """Register the function below as the channel endpoint ``name``.

        Args:
            name: The endpoint's name on the wire.
            parameter: The class of its parameter.
            messages: The types of the messages that clients may send, or their classes by type.
            tells_misfits: Whether the handler hears of messages that fit none of the classes.
        """
        taken: Mapping[str, type[BaseModel] | None] = (
            dict.fromkeys(messages) if isinstance(messages, tuple) else messages
        )

        def register(handler: ChannelHandler) -> ChannelHandler:
            self.endpoints[name] = Endpoint(
                name, "channel", handler, parameter, taken, tells_misfits=tells_misfits
            )
            return handler

        return register

    def include(self, other: Namespace) -> None:
        """Take over the endpoints of another table (the part that two namespaces share)."""
        self.endpoints.update(other.endpoints)

    def decline(self, kind: Literal["rpc", "channel"], *names: str) -> None:
        """Endpoints of the protocol that answer with an error that says so."""
        for name in names:

            async def handler(_call: Call, _parameter: Any, name: str = name) -> None:
                raise not_offered(self.name, name)

            self.endpoints[name] = Endpoint(name, kind, handler, lenient=True, offer="error")

    def mark(self, offer: Offer, *names: str) -> None:
        """Say of endpoints with handlers of their own that they are of no use here."""
        for name in names:
            self.endpoints[name] = replace(self.endpoints[name], offer=offer)


def _check(model: type[BaseModel] | None, value: Any) -> Any:
    if model is None:
        return value
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidParameterError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the parameter"
    more = error.error_count() - 1
    return f"{where}: {first['msg']}" + (f" (and {more} more)" if more else "")
