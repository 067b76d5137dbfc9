"""Where a server is: what people write and what sockets need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from ..errors import LMStudioHostError

__all__ = ["Address", "parse_api_host"]


@dataclass(frozen=True)
class Address:
    """A server's address. ``prefix`` is a path that its namespaces are below, or empty."""

    host: str
    port: int
    secure: bool = False
    prefix: str = ""

    @property
    def netloc(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        scheme = "wss" if self.secure else "ws"
        return (
            f"{scheme}://{self.netloc}{self.prefix}" if self.secure or self.prefix else self.netloc
        )

    def uri(self, namespace: str) -> str:
        """The WebSocket address of a namespace."""
        return f"{'wss' if self.secure else 'ws'}://{self.netloc}{self.prefix}/{namespace}"


def parse_api_host(api_host: str) -> Address:
    """The address that ``"host:port"`` or ``"ws[s]://host[:port][/prefix]"`` names.

    Raises:
        LMStudioHostError: It names none.
    """
    given = cast("object", api_host)  # not everybody checks types
    text = given.strip() if isinstance(given, str) else ""
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise _not_an_address(api_host)
    try:
        parts = urlsplit(text if "://" in text else f"ws://{text}")
        port = parts.port
    except ValueError as error:
        raise _not_an_address(api_host) from error
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if scheme not in ("ws", "wss") or not parts.hostname or not plain or port == 0:
        raise _not_an_address(api_host)
    if port is None:
        if "://" not in text:
            raise _not_an_address(api_host)
        port = 443 if scheme == "wss" else 80
    return Address(parts.hostname, port, scheme == "wss", parts.path.rstrip("/"))


def _not_an_address(api_host: object) -> LMStudioHostError:
    shown = repr(api_host)
    if isinstance(api_host, str) and "@" in api_host:
        shown = "what was given (it holds a user name or password)"
    return LMStudioHostError(
        f"A server's address is 'host:port', such as '127.0.0.1:1234', not {shown}."
    )
