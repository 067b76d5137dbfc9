"""How a server is reached beside its address: headers, certificates, a proxy. Nothing here is shown.

An ``Address`` carries it, so that whatever speaks to the server does it in the same way: sockets,
and the questions by which a server is found.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

from ..errors import LMStudioValueError

if TYPE_CHECKING:
    import ssl

__all__ = ["DIRECT", "Access", "Proxy", "basic", "check_headers", "parse_proxy", "user_info"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS: Final = ("connection", "upgrade", "content-length", "transfer-encoding")
_SOCKS: Final = ("socks5h", "socks5", "socks4a", "socks4")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy that connects to the server; ``user`` and ``password`` are not shown."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of ``Proxy-Authorization``."""
        return basic(self.user, self.password) if self.user or self.password else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return tuple(_secrets_in(self.authorization or ""))


@dataclass(frozen=True)
class Access:
    """What a client shows and goes through on its way to a server."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    proxy: Proxy | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated, although a server may say it."""
        found = [secret for _, value in self.headers for secret in _secrets_in(value)]
        return (*found, *(self.proxy.secrets if self.proxy is not None else ()))

    def __reduce__(self) -> str:  # a name is a way of pickling
        if self == DIRECT:
            return "DIRECT"
        raise TypeError("How a server is reached may hold passwords, so it cannot be pickled.")


DIRECT: Final = Access()


def basic(user: str, password: str) -> str:
    """The value of an ``Authorization`` header for a user name and a password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _secrets_in(value: str) -> Iterator[str]:
    """A header's value, and the parts of it that a server may repeat."""
    if value:
        yield value
    words = value.split()
    if len(words) == 2 and words[0].lower() == "basic":
        with contextlib.suppress(ValueError):
            yield base64.b64decode(words[1]).decode().partition(":")[2]
    # Short words, such as the name of the scheme, would take harmless text out.
    yield from (word for word in words if len(word) >= 7)


def user_info(parts: SplitResult) -> tuple[str, str] | None:
    """The user name and the password in a URL."""
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def check_headers(headers: object) -> tuple[tuple[str, str], ...]:
    """The pairs of a mapping of header names to values.

    Raises:
        LMStudioValueError: It is none, or one of them cannot be sent. Values are not repeated.
    """
    if not isinstance(headers, Mapping):
        raise LMStudioValueError(
            f"headers must be a dict of names to values, not {type(headers).__name__}."
        )
    pairs: list[tuple[str, str]] = []
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise LMStudioValueError(f"headers: {name!r:.80} cannot be the name of a header.")
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise LMStudioValueError(f"headers: {name} is set by the connection itself.")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise LMStudioValueError(
                f"headers: the value of {name} must be one line of text in Latin-1."
            )
        pairs.append((name, value.strip()))
    return tuple(pairs)


def parse_proxy(url: object) -> Proxy:
    """The proxy that a URL names; without a scheme it is an ``http`` one.

    Raises:
        LMStudioValueError: It names none that can be used. The URL is not repeated.
    """
    text = url.strip() if isinstance(url, str) else ""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
        info = user_info(parts) or ("", "")
    except ValueError as error:
        raise _no_proxy() from error
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment or port == 0:
        raise _no_proxy()
    if parts.scheme not in ("http", "https", *_SOCKS):
        raise LMStudioValueError(
            f"A proxy of the kind {parts.scheme!r:.40} cannot be used; 'http://host:port' and "
            "'socks5://host:port' can."
        )
    port = port or _PORTS.get(parts.scheme, 1080)
    return Proxy(parts.scheme, parts.hostname, port, *info)


def _no_proxy() -> LMStudioValueError:
    return LMStudioValueError(
        "A proxy is 'http://host:port', or 'http://user:password@host:port'; what was given is not."
    )
