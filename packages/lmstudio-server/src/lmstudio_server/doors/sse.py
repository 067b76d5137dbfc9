"""Answers: JSON, and streams of server-sent events."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette import responses
from starlette.responses import Response

from lmstudio_core.lenient import json_text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

__all__ = ["EventStream", "JSONResponse", "event"]


class JSONResponse(responses.JSONResponse):
    """Starlette's, for names of files that are not UTF-8, too: it would fail to encode them."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json_text(content, allow_nan=False, separators=(",", ":")).encode()


def event(data: Mapping[str, Any] | str, name: str | None = None) -> bytes:
    """One event. JSON holds no line breaks, so one line of data is enough."""
    text = data if isinstance(data, str) else json_text(data)
    head = "" if name is None else f"event: {name}\n"
    return f"{head}data: {text}\n\n".encode()


class EventStream(Response):
    """Sends events as they come.

    What fails before the first event is raised, and answered with a status; what fails later
    becomes the events that ``on_error`` gives.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        on_error: Callable[[Exception], bytes],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all; cancelling this ends the work behind the events."""
        del scope, receive
        async with aclosing(self._events) as events:
            chunk = await anext(events)
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            try:
                await _body(send, chunk)
                async for chunk in events:
                    await _body(send, chunk)
            except Exception as error:  # noqa: BLE001 - the client must hear of it
                await _body(send, self._on_error(error))
        await send({"type": "http.response.body", "body": b""})


async def _body(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})
