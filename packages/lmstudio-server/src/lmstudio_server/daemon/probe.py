"""Asking a server who it is, with nothing but a socket (it must be quick to import)."""

from __future__ import annotations

import json
import socket
from typing import Any, cast

__all__ = ["fetch_status", "is_listening"]

_LIMIT = 256 * 1024


def is_listening(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """Whether anything takes connections there, whatever it does with them."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def fetch_status(
    host: str, port: int, *, timeout: float = 5.0, claim: bool = False, token: str = ""
) -> dict[str, Any] | None:
    """What ``/lms-status`` answers at an address; ``None`` when nothing useful does."""
    query = "?claim" if claim else ""
    name = f"[{host}]" if ":" in host else host
    request = f"GET /lms-status{query} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n"
    request += f"Authorization: Bearer {token}\r\n\r\n" if token else "\r\n"
    received = b""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(request.encode())
            while len(received) < _LIMIT and (chunk := connection.recv(65536)):
                received += chunk
    except OSError:
        return None
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    try:
        status: Any = json.loads(body)
    except ValueError:
        return None
    return cast("dict[str, Any]", status) if isinstance(status, dict) else None
