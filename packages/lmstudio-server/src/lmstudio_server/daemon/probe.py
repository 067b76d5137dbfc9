"""Asking a server who it is, with nothing but a socket (it must be quick to import)."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any, cast

__all__ = ["fetch_status", "is_listening", "unchecked"]

_LIMIT = 256 * 1024


def is_listening(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """Whether anything takes connections there, whatever it does with them.

    Args:
        host: The address.
        port: The port.
        timeout: Seconds to wait.
    """
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def unchecked() -> ssl.SSLContext:
    """For a server on this machine, whose state file says that it is ours: its certificate is for the
    names by which others know it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _connect(host: str, port: int, timeout: float, tls: bool) -> socket.socket:
    connection = socket.create_connection((host, port), timeout)
    if not tls:
        return connection
    try:
        return unchecked().wrap_socket(connection)
    except BaseException:
        connection.close()
        raise


def fetch_status(
    host: str,
    port: int,
    *,
    timeout: float = 5.0,
    claim: bool = False,
    token: str = "",
    tls: bool = False,
) -> dict[str, Any] | None:
    """What ``/lms-status`` answers at an address; ``None`` when nothing useful does.

    Args:
        host: The address.
        port: The port.
        timeout: Seconds to wait.
        claim: Whether to keep it from ending for idleness just now.
        token: An API token; empty for none.
        tls: Whether to ask by HTTPS.
    """
    query = "?claim" if claim else ""
    name = f"[{host}]" if ":" in host else host
    request = f"GET /lms-status{query} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n"
    request += f"Authorization: Bearer {token}\r\n\r\n" if token else "\r\n"
    received = b""
    try:
        with _connect(host, port, timeout, tls) as connection:
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
