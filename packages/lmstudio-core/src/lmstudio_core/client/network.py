"""The ways to a server that people set: headers, certificates, proxies. Both clients use them alike.

What a program gives comes first, then the options of the command, then the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, cast

from ..errors import LMStudioValueError
from ..lazy import Instance
from ..lenient import error_text
from ..program.places import expanded
from ..program.tracebacks import warn_caller
from ..protocol.access import DIRECT, Access, Proxy, check_headers, parse_proxy
from ..protocol.address import Address

__all__ = [
    "HEADERS_VARIABLE",
    "PROXY_VARIABLE",
    "SSL_VARIABLE",
    "Network",
    "SslSetting",
    "command_options",
    "read_headers",
    "read_switch",
]

SslSetting = Annotated[ssl.SSLContext, Instance()] | str | os.PathLike[str] | bool | None
"""What may be said of certificates."""

HEADERS_VARIABLE: Final = "LMSTUDIO_API_HEADERS"
SSL_VARIABLE: Final = "LMSTUDIO_API_SSL"
PROXY_VARIABLE: Final = "LMSTUDIO_API_PROXY"

_OFF: Final = ("0", "false", "no", "off", "none")
_ON: Final = ("1", "true", "yes", "on")

_SCHEMES: Final = {True: ("wss", "https", "all"), False: ("ws", "http", "https", "all")}
"""Whose proxy is taken for an encrypted address and for a plain one: a WebSocket always needs a way
through, which proxies for https give."""

_command_line: dict[str, Any] = {}


@contextlib.contextmanager
def command_options(**given: Any) -> Generator[None, None, None]:
    """Inside, clients of this process use these where their program says nothing.

    Not by way of the environment, which programs that a command starts would get to see.
    """
    before = dict(_command_line)
    _command_line.update(given)
    try:
        yield
    finally:
        _command_line.clear()
        _command_line.update(before)


class Network:
    """How one client reaches servers.

    Args:
        headers: Sent with every handshake, beside the usual ones.
        ssl: An ``SSLContext``, the path of a file or folder with the certificates of CAs to trust,
            ``False`` to connect without checking, ``None`` or ``True`` for this machine's CAs.
        proxy: The URL of a proxy; ``False`` for none; ``None`` or ``True`` for that of the
            environment, which is not used for this machine itself.

    Raises:
        LMStudioValueError: One of them cannot be right. Secrets are not repeated.
    """

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        ssl: SslSetting = None,
        proxy: str | bool | None = None,
    ) -> None:
        self._ssl_given = ssl is not None
        own = check_headers(_first(headers, "headers", HEADERS_VARIABLE, read_headers) or {})
        self._headers = own
        self._ssl: Any = _first(ssl, "ssl", SSL_VARIABLE, read_switch)
        setting = _first(proxy, "proxy", PROXY_VARIABLE, read_switch)
        self._proxy = setting if setting in (None, True, False) else parse_proxy(setting)
        self._context: Any = None
        if self._ssl not in (None, True):
            self._context = _context(self._ssl)

    def to(self, address: Address, *, written: bool = False) -> Address:
        """The address, and how to reach it.

        Args:
            address: Where the server is.
            written: Whether somebody wrote it, and ``ssl`` was meant for it.
        """
        if written and self._ssl_given and self._ssl is not True and not address.secure:
            raise LMStudioValueError(
                f"ssl is given, but {address} is not encrypted: write https://{address.netloc}"
                f"{address.prefix}."
            )
        own = address.access.headers  # a user name and a password in the address itself
        names = {name.lower() for name, _ in own}
        if any(name.lower() in names for name, _ in self._headers):
            raise LMStudioValueError(
                "The address holds a user name and a password, and headers hold Authorization: "
                "leave out one of them."
            )
        access = Access((*own, *self._headers), self._tls(address), self._proxy_for(address))
        return address if access == DIRECT else replace(address, access=access)

    def _tls(self, address: Address) -> Any:
        if not address.secure:
            return None
        if self._context is None:  # kept, since reading the certificates takes a while
            self._context = _context(True)
        return self._context

    def _proxy_for(self, address: Address) -> Proxy | None:
        if self._proxy is False:
            return None
        if isinstance(self._proxy, Proxy):
            return self._proxy
        return None if _is_here(address) else _from_environment(address)


def _first(given: Any, name: str, variable: str, read: Any) -> Any:
    """What a program gives, else what the command was given, else what the environment says."""
    if given is not None:
        return given
    if name in _command_line:
        return _command_line[name]
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        return read(text)
    except LMStudioValueError as error:
        raise LMStudioValueError(f"{variable}: {error}") from None


def read_headers(text: str) -> Mapping[str, str]:
    """Headers as a JSON object, or as lines of ``Name: value``."""
    if text.startswith("{"):
        try:
            return cast("Mapping[str, str]", json.loads(text))
        except (ValueError, RecursionError):
            raise LMStudioValueError("this is no JSON object of headers.") from None
    pairs = [line.partition(":") for line in text.splitlines() if line.strip()]
    if not all(colon for _, colon, _ in pairs):
        raise LMStudioValueError("headers are lines of 'Name: value', or a JSON object.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_switch(text: str) -> str | bool:
    """A setting that may be turned on or off by a word."""
    lowered = text.lower()
    return text if lowered not in (*_OFF, *_ON) else lowered in _ON


def _context(setting: Any) -> ssl.SSLContext:
    if isinstance(setting, ssl.SSLContext):
        return setting
    if setting is True:
        return ssl.create_default_context()
    if setting is False:
        warn_caller(
            "ssl=False: the server's certificate is not checked, so anybody on the way can read "
            "and change what is sent. Give the certificate of its CA instead: ssl='ca.pem'."
        )
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname = False
        unchecked.verify_mode = ssl.CERT_NONE
        return unchecked
    if not isinstance(setting, (str, os.PathLike)):
        raise LMStudioValueError(
            "ssl must be an SSLContext, the path of a CA's certificates, True or False, not "
            f"{type(setting).__name__}."
        )
    path = expanded(cast("str", setting))
    folder = path.is_dir()
    try:
        return ssl.create_default_context(
            cafile=None if folder else str(path), capath=str(path) if folder else None
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error_text(error)
        if isinstance(error, ssl.SSLError):
            reason = "it holds no certificates in PEM form"
        raise LMStudioValueError(f"ssl: {str(path)!r} cannot be used: {reason}.") from error


def _is_here(address: Address) -> bool:
    """Whether the server is on this machine, to which no proxy leads."""
    return address.local or address.name.lower() == socket.gethostname().lower()


def _from_environment(address: Address) -> Proxy | None:
    from urllib.request import getproxies, proxy_bypass

    if proxy_bypass(f"{address.name}:{address.port}") or proxy_bypass(address.name):
        return None
    found = getproxies()
    for scheme in _SCHEMES[address.secure]:
        if url := found.get(scheme):
            try:
                return parse_proxy(url)
            except LMStudioValueError as error:
                raise LMStudioValueError(f"{scheme}_proxy in the environment: {error}") from error
    return None
