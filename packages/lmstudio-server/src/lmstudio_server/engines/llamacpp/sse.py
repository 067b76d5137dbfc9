"""Server-sent events: bytes in, JSON objects out. No I/O."""

from __future__ import annotations

import json
from typing import Any


class SseDecoder:
    """Collects bytes of an event stream and returns its events as they become complete."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the events that ``data`` completes.

        Comments (llama.cpp's pings) and the closing ``[DONE]`` are left out.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        events: list[dict[str, Any]] = []
        for line in lines:
            name, colon, value = line.partition(b":")
            value = value.strip()
            if not colon or name not in (b"data", b"error") or value == b"[DONE]":
                continue
            decoded: Any = json.loads(value)
            if name == b"error" and "error" not in decoded:
                decoded = {"error": decoded}
            events.append(decoded)
        return events
