"""Where a server is: what people write and what sockets need."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import SplitResult, quote, urlsplit

from ..errors import LMStudioHostError
from .access import DIRECT, Access, basic, user_info

__all__ = ["Address", "FoundServer", "parse_api_host"]

_IN_A_PATH: Final = "/:@!$&'()*+,;=~%"


class FoundServer(str):  # api
    """``"host:port"`` of a server that was found, and the token with which it lets this user in.

    It is a text like any other address, and shows no more than that: in print, in ``repr``, pickled.

    Args:
        api_host: The address.
        api_token: The server's API token.
        alive: Says whether the server that the token is for still runs; asked before the token is sent,
            since another program may have taken its port.

    Example:
        >>> FoundServer("127.0.0.1:1234", "sk-lm-abcdefgh:ABCDEFGHIJKLMNOPQRST")
        '127.0.0.1:1234'
    """

    __slots__ = ("alive", "api_token")

    api_token: str
    alive: Callable[[], bool] | None

    def __new__(  # noqa: PYI034 - the standard library of 3.10 has no Self
        cls, api_host: str, api_token: str, alive: Callable[[], bool] | None = None
    ) -> FoundServer:
        """A text with more to it."""
        self = super().__new__(cls, api_host)
        self.api_token = api_token
        self.alive = alive
        return self

    @property
    def is_alive(self) -> bool:
        """Whether the server still runs, as far as anybody can tell."""
        return self.alive is None or self.alive()

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


@dataclass(frozen=True)
class Address:  # api
    """A server's address. ``prefix`` is a path that its namespaces are below, or empty.

    ``access`` is how it is reached beside that, and is never shown; nor are the credentials that whoever
    found the server has for it.
    """

    host: str
    port: int
    secure: bool = False
    prefix: str = ""
    access: Access = field(default=DIRECT, repr=False, compare=False)
    found: FoundServer | None = field(default=None, repr=False, compare=False)

    @property
    def netloc(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """The host as a server knows it: which of this machine's networks leads there is our affair."""
        return self.host.partition("%")[0] if ":" in self.host else self.host

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        name = self.name.rstrip(".").lower()
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")

    @property
    def api_host(self) -> str:
        """What makes this address again, for another client."""
        if self.found is None:
            return str(self)
        return FoundServer(str(self), self.found.api_token, self.found.alive)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated, although a server may say it."""
        token = () if self.found is None else (self.found.api_token, self.found.api_token[-20:])
        return (*self.access.secrets, *token)

    def __str__(self) -> str:
        scheme = "wss" if self.secure else "ws"
        return (
            f"{scheme}://{self.netloc}{self.prefix}" if self.secure or self.prefix else self.netloc
        )

    def uri(self, namespace: str) -> str:
        """The WebSocket address of a namespace."""
        netloc = f"[{self.name}]:{self.port}" if ":" in self.host else self.netloc
        return f"{'wss' if self.secure else 'ws'}://{netloc}{self.prefix}/{namespace}"


def parse_api_host(api_host: str) -> Address:
    """The address that ``"host:port"`` or ``"http[s]://[user:password@]host[:port][/prefix]"`` names.

    ``ws`` and ``wss`` stand for the same. What a server listens on when it listens everywhere
    (``0.0.0.0``, ``[::]``) is no address to connect to: it is taken for this machine's.

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
        info = user_info(parts)
        host = _host(parts)
    except ValueError as error:
        raise _not_an_address(api_host) from error
    secure = parts.scheme in ("wss", "https")
    if not (secure or parts.scheme in ("ws", "http")) or not host or port == 0:
        raise _not_an_address(api_host)
    if parts.query or parts.fragment or (port is None and "://" not in text):
        raise _not_an_address(api_host)
    access = DIRECT if info is None else Access((("Authorization", basic(*info)),))
    prefix = quote(parts.path.rstrip("/"), safe=_IN_A_PATH)
    found = given if isinstance(given, FoundServer) else None
    return Address(host, port or (443 if secure else 80), secure, prefix, access, found)


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = host.replace("%25", "%")  # how a URL writes the zone of a link-local address
    try:
        everywhere = ipaddress.ip_address(host)
    except ValueError:
        host.encode("idna")  # a name that has no such form cannot be looked up
        return host
    if not everywhere.is_unspecified:
        return host
    return "::1" if everywhere.version == 6 else "127.0.0.1"


def _not_an_address(api_host: object) -> LMStudioHostError:
    shown, hint = repr(api_host), ""
    if isinstance(api_host, str):
        if "@" in api_host or "?" in api_host:
            shown = "what was given (it may hold a password)"
        elif api_host.count(":") > 1 and not any(mark in api_host for mark in (".", "[", "/")):
            hint = " An IPv6 address stands in brackets: '[::1]:1234'."
    return LMStudioHostError(
        f"A server's address is 'host:port', such as '127.0.0.1:1234', not {shown}.{hint}"
    )
