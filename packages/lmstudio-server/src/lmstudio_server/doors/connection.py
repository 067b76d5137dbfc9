"""One connection that speaks HTTP: uvicorn's, with a limit to how long a request may be half sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

__all__ = ["HEAD_SECONDS", "HttpConnection"]

HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its head; and from an answer to a request that was
refused to the end of its body."""


class HttpConnection(H11Protocol):
    """Ends when a client begins a request, be it the first one or a later one, and leaves it there.

    uvicorn's own limit ends with the first byte of a request, so that one byte would keep a connection
    for good.
    """

    def __init__(self, on_lost: Callable[[], None], config: Config, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._on_lost = on_lost
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """An answer is sent; a part of the next request may have come in before."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._stop()
        super().connection_lost(exc)
        self._on_lost()

    def _watch(self) -> None:
        if not self._is_half_sent():
            self._stop()
        elif self._timer is None:
            # Not begun anew with each byte: one now and then would keep the connection, too.
            self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _is_half_sent(self) -> bool:
        state = self.conn.their_state
        if state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        # A body that is awaited is the guard's affair. Nobody awaits what comes after the answer.
        return state is h11.SEND_BODY and self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
