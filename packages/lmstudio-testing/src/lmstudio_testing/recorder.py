"""What a scripted server has seen, and waiting for more of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from lmstudio_core.lazy import lazy_hints
from lmstudio_core.lenient import as_mapping

from .fake_socket import PATIENCE
from .predictions import PREDICTIONS, PredictionRequest

if TYPE_CHECKING:
    from .fake_socket import FakeRequest, FakeSocket

__all__ = ["Recorder"]

_T = TypeVar("_T")


_HINTS: Final = {
    name: f"{__package__}.fake_socket:{name}" for name in ("FakeRequest", "FakeSocket")
}


@lazy_hints
class Recorder:
    """Filled by the server's thread, read by the test's."""

    def __init__(self) -> None:
        self._requests: list[FakeRequest] = []
        self._sockets: list[FakeSocket] = []
        self._frames: list[tuple[FakeSocket, Any]] = []
        self._page_requests: list[str] = []
        self._changed = threading.Condition()

    @property
    def requests(self) -> tuple[FakeRequest, ...]:
        """Every call, channel and subscription, in order."""
        with self._changed:
            return tuple(self._requests)

    def requests_to(self, endpoint: str) -> list[Any]:
        """Those to one endpoint."""
        return [request for request in self.requests if request.endpoint == endpoint]

    @property
    def predictions(self) -> tuple[PredictionRequest, ...]:
        """Every prediction that was asked for, in order."""
        made = (one for one in self.requests if one.endpoint in PREDICTIONS)
        return tuple(PredictionRequest(one) for one in made)

    @property
    def last_prediction(self) -> PredictionRequest:
        """The newest prediction that was asked for.

        Raises:
            AssertionError: There was none.
        """
        made = self.predictions
        if not made:
            raise AssertionError(f"no prediction was asked for; requests: {list(self.requests)}")
        return made[-1]

    @property
    def embedded_texts(self) -> list[str]:
        """Every text whose vector was asked for, in order."""
        asked = self.requests_to("embedding.embedString")
        return [str(as_mapping(one.parameter).get("inputString")) for one in asked]

    @property
    def frames(self) -> tuple[tuple[FakeSocket, Any], ...]:
        """Every frame after authentication with the socket that it came over, in order."""
        with self._changed:
            return tuple(self._frames)

    @property
    def sockets(self) -> tuple[FakeSocket, ...]:
        """Every socket that was opened, in order."""
        with self._changed:
            return tuple(self._sockets)

    @property
    def open_sockets(self) -> tuple[FakeSocket, ...]:
        """Those that are open."""
        return tuple(socket for socket in self.sockets if not socket.closed)

    @property
    def page_requests(self) -> tuple[str, ...]:
        """The paths of all plain HTTP requests."""
        with self._changed:
            return tuple(self._page_requests)

    # -- waiting; in asyncio tests by ``await asyncio.to_thread(server.wait_for_…, …)`` ------------

    def wait_for(
        self, condition: Callable[[], _T], what: str = "it", timeout: float = PATIENCE
    ) -> _T:
        """Wait until ``condition()`` is true, which is looked at whenever something has come."""
        value: Any = None

        def met() -> bool:
            nonlocal value
            value = condition()
            return bool(value)

        with self._changed:
            if not self._changed.wait_for(met, timeout):
                raise AssertionError(
                    f"waited {timeout:g} s for {what}; requests: {self._requests}, "
                    f"sockets: {self._sockets}"
                )
        return cast("_T", value)

    def wait_for_request(self, endpoint: str, count: int = 1, timeout: float = PATIENCE) -> Any:
        """Wait for the ``count``-th request to an endpoint: a ``FakeCall`` or ``FakeChannel``."""

        def find() -> list[FakeRequest]:
            found = [request for request in self._requests if request.endpoint == endpoint]
            return found[count - 1 : count]

        return self.wait_for(find, f"request {count} to {endpoint}", timeout)[0]

    def wait_for_socket(
        self, namespace: str, count: int = 1, timeout: float = PATIENCE
    ) -> FakeSocket:
        """Wait for the ``count``-th socket to a namespace."""

        def find() -> list[FakeSocket]:
            return [s for s in self._sockets if s.namespace == namespace][count - 1 : count]

        return self.wait_for(find, f"socket {count} to {namespace}", timeout)[0]

    def wait_until_closed(self, timeout: float = PATIENCE) -> None:
        """Wait until no socket is open."""
        self.wait_for(
            lambda: all(socket.closed for socket in self._sockets), "all sockets to close", timeout
        )

    def _note(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()
