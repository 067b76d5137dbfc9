"""Operations: what a caller wants from the server, as values with no I/O in them.

The lightest form that fits is used: a ``Call`` is one request and its answer, a ``Channel`` one
stream of packets folded into events and a result, and an ``Op`` a generator that yields these and
gets their results back. Each driver (``drivers.sync``, ``drivers.aio``) has one way to run each.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, cast

from typing_extensions import Self

from ..errors import LMStudioChannelClosedError, LMStudioServerError
from .address import Address

R = TypeVar("R")
E = TypeVar("E")
T = TypeVar("T")


class VoidType:  # api
    """The type of ``VOID``."""

    _instance: ClassVar[VoidType | None] = None

    def __new__(cls) -> Self:
        """The one value there is."""
        if cls._instance is None:
            cls._instance = super().__new__(cls)
        return cast("Self", cls._instance)

    def __repr__(self) -> str:
        return "VOID"

    def __bool__(self) -> Literal[False]:
        return False


VOID: Final = VoidType()  # api
"""No value at all: the key is left out of the frame (``None`` would be sent as ``null``)."""


@dataclass(slots=True, unsafe_hash=True)
class Endpoint:  # api
    """One of the server's endpoints. Not to be changed; a frozen class takes four times as long.

    ``serialization`` is ``"raw"`` (plain JSON) or ``"superjson"``; nothing on the wire says which.
    """

    namespace: str
    name: str
    kind: Literal["rpc", "channel"] = "rpc"
    serialization: Literal["raw", "superjson"] = "raw"

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


def _as_is(value: Any) -> Any:
    return value


@dataclass(slots=True)
class Call(Generic[R]):  # api
    """One remote call: ``parameter`` goes out, ``decode`` turns the answer into the result.

    Not to be changed: see ``Endpoint``.

    ``decode`` gets ``VOID`` when the answer holds no value. A server's error becomes an exception
    by ``error``.
    """

    endpoint: Endpoint
    parameter: Any = VOID
    decode: Callable[[Any], R] = field(default=_as_is)

    def error(self, raw: Any) -> LMStudioServerError:
        """The exception for the server's error packet."""
        from .server_errors import server_error  # pydantic, which a first call need not wait for

        return server_error(raw, str(self.endpoint), default=LMStudioServerError)


class Channel(Generic[E, R]):  # api
    """One stream of packets, folded: ``feed`` turns a packet into events, ``result`` sums up.

    Subclasses set ``endpoint``, ``parameter`` and ``cancel_message`` and define ``feed`` and
    ``result``; they set ``done`` when they have seen the packet after which only the channel's
    close may follow. ``patient`` is for channels whose silence means nothing, such as a log's:
    synchronous programs wait for their next packet however long it takes.
    """

    endpoint: Endpoint
    parameter: Any = VOID
    cancel_message: Mapping[str, Any] | None = {"type": "cancel"}
    done: bool = False
    patient: bool = False

    def feed(self, message: Any) -> Sequence[E]:
        """Take one packet and return the events in it; packets of unknown type give none."""
        raise NotImplementedError

    def result(self) -> R:
        """The result, once ``done``."""
        raise NotImplementedError

    def error(self, raw: Any) -> LMStudioServerError:
        """The exception for the server's error packet."""
        from .server_errors import server_error  # pydantic, which a first call need not wait for

        return server_error(raw, str(self.endpoint), default=LMStudioServerError)

    def on_begin(self) -> None:
        """The channel is about to be opened."""

    def on_end(self, error: BaseException | None, address: Address | None) -> None:
        """Nobody reads it any more: it failed, it ended, or it was left; called once.

        Args:
            error: What it failed with.
            address: The server, if there was a connection to it.
        """

    def on_close(self) -> None:
        """The server closed the channel; an error unless the last packet was seen."""
        if not self.done:
            raise LMStudioChannelClosedError(
                f"The server closed {self.endpoint} before its final packet.",
                endpoint=str(self.endpoint),
            )


@dataclass(frozen=True)
class Batch(Generic[R]):  # api
    """Many calls to one endpoint, sent with up to ``max_in_flight`` unanswered at a time.

    The results are in the order of the calls. The first error ends the batch, unless
    ``keep_errors``: then an ``LMStudioServerError`` stands in the place of its call's result.
    """

    calls: Iterable[Call[R]]
    max_in_flight: int = 64
    keep_errors: bool = False


@dataclass(frozen=True)
class Invoke(Generic[R]):  # api
    """Call a function of the user's or of this machine.

    The async driver awaits what it returns if that is awaitable, and runs it in a thread if
    ``blocking``.
    """

    function: Callable[[], R]
    blocking: bool = False


@dataclass(frozen=True)
class InvokeMany(Generic[R]):  # api
    """Call several functions of the user's, up to ``max_parallel`` of them at the same time.

    The result is a list with one outcome for each, in the order of the functions: what it
    returned, or the ``Exception`` that it raised (other exceptions pass through at once). With
    ``max_parallel=1`` they run one after the other; ``None`` lets the driver choose a number that
    fits this machine's processors.

    The sync driver runs them in the calling thread if only one may run at a time, else in threads;
    the async driver runs coroutine functions in its loop and all others in threads. Both await
    what a function returns if that is awaitable.
    """

    functions: Sequence[Callable[[], R]]
    max_parallel: int | None = 1


Step = Call[Any] | Channel[Any, Any] | Batch[Any] | Invoke[Any] | InvokeMany[Any]  # api
Op = Generator[Step, Any, R]  # api
