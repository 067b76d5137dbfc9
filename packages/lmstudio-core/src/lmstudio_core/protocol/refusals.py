"""What people are told when no connection comes about: the server's words, and what to do.

Both drivers raise these, so that they say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from ..errors import (
    LMStudioAuthenticationError,
    LMStudioConnectionError,
    LMStudioError,
    LMStudioWebsocketError,
)
from .access import Proxy
from .address import Address
from .replies import HttpReply, plain_line

__all__ = [
    "early_hint",
    "no_http",
    "path_hint",
    "proxy_failed",
    "proxy_refused",
    "refused",
    "tls_failed",
]

_NOT_LMSTUDIO: Final = "Is it an LM Studio server, and new enough?"
_NO_UPGRADE: Final = (
    "It answers HTTP but opens no WebSocket. Is it an LM Studio server? A proxy before it must pass "
    "on the headers Upgrade and Connection."
)
_NOT_BEHIND: Final = (
    "A proxy answers there, but not the server behind it. Is LM Studio running, with its server on?"
)
_UNREACHABLE: Final = (502, 503, 504)
_CREDENTIALS: Final = (401, 407)
_ADVICE: Final[Mapping[int, str]] = {
    403: "It, or a proxy before it, does not let this client in.",
    407: "A proxy on the way asks who this is: proxy='http://user:password@host:port'.",
    426: _NO_UPGRADE,
    **dict.fromkeys(_UNREACHABLE, _NOT_BEHIND),
}


def refused(
    address: Address, namespace: str, reply: HttpReply, secrets: tuple[str, ...]
) -> LMStudioError:
    """The exception for a server, or a proxy before it, that answers but opens no WebSocket."""
    hidden = (*secrets, *address.secrets)
    message = (
        f"{address} did not open the namespace {namespace!r}: {_stopped(reply.summary(hidden))} "
        f"{_advice(address, reply)}"
    )
    if reply.status in _UNREACHABLE:
        return LMStudioConnectionError(message, tried=(str(address),), status=reply.status)
    kind = LMStudioAuthenticationError if reply.status in _CREDENTIALS else LMStudioWebsocketError
    return kind(message, status=reply.status)


def no_http(address: Address, namespace: str, what: str) -> LMStudioWebsocketError:
    """The exception for a server that answers with something else."""
    message = f"{address} did not open the namespace {namespace!r}: {what}."
    if "TLS" in what:
        return LMStudioWebsocketError(f"{message} Write https://{_bare(address)}.")
    if "closed" in what:
        hint = early_hint(address)
        return LMStudioConnectionError(f"{message} {hint}".rstrip(), tried=(str(address),))
    return LMStudioWebsocketError(f"{message} Is it an LM Studio server, or another program?")


def _bare(address: Address) -> str:
    return f"{address.netloc}{address.prefix}"


def _stopped(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?", "…")) else f"{sentence}."


def _advice(address: Address, reply: HttpReply) -> str:
    status = reply.status
    if 300 <= status < 400:
        return _elsewhere(address, reply)
    if status == 401:
        return _who(address, reply)
    if status == 429:
        return f"It takes no more connections for now{_after(reply)}."
    if status == 400 and not address.secure and b"https" in reply.body.lower():
        return f"It expects TLS: write https://{_bare(address)}."
    if status in _ADVICE:
        return _ADVICE[status]
    if status >= 500:
        return "Its own log may say why."
    if hint := path_hint(address):
        return hint
    if status == 404 and address.prefix:
        return f"Is the path {address.prefix} right? {_NOT_LMSTUDIO}"
    return _NOT_LMSTUDIO if status >= 400 else _NO_UPGRADE


def path_hint(address: Address) -> str:
    """What to say of a path that people copy from the address of LM Studio's HTTP APIs."""
    if address.prefix.rpartition("/")[2] not in ("v0", "v1"):
        return ""
    scheme = "https" if address.secure else "http"
    return (
        f"Leave out {address.prefix}, which is the path of an HTTP API: the address for this "
        f"package is that of the server itself, {scheme}://{address.netloc}."
    )


def early_hint(address: Address) -> str:
    """What to say of a connection that is closed without a word of HTTP."""
    if hint := path_hint(address):
        return hint
    return "" if address.secure else f"Does it expect TLS? Then write https://{_bare(address)}."


def _after(reply: HttpReply) -> str:
    seconds = reply.headers.get("retry-after", "")
    return f"; try again in {seconds} s" if seconds.isdigit() else ""


def _elsewhere(address: Address, reply: HttpReply) -> str:
    """What to do about a redirection, which is not followed: credentials are for one server."""
    try:
        to = urlsplit(reply.headers.get("location", ""))
        host, port = to.hostname, to.port
    except ValueError:
        host = port = to = None
    if to is None or not host:
        path = plain_line(to.path) if to is not None else ""
        where = f" to {path}" if path else ""
        return f"It sends clients on{where}, perhaps to log in. Redirections are not followed."
    shown = f"[{host}]" if ":" in host else host
    where = plain_line(f"{to.scheme or 'http'}://{shown}{f':{port}' if port else ''}")
    if host.lower() == address.host.lower() and to.scheme == "https" and not address.secure:
        return f"It expects TLS: write {where}{address.prefix}."
    return (
        f"It sends clients to {where}. Redirections are not followed; if that is the server, write "
        "its address."
    )


def _who(address: Address, reply: HttpReply) -> str:
    way = reply.headers.get("www-authenticate", "").lower()
    given = any(name.lower() == "authorization" for name, _ in address.access.headers)
    bare = _bare(address)
    if given:
        return (
            "It does not accept the user name, password or token that the address or headers hold."
        )
    if way.startswith("basic"):
        scheme = "https" if address.secure else "http"
        return f"It asks for a user name and a password: write {scheme}://user:password@{bare}."
    return (
        "It asks who this is, before LM Studio's own token: write a user name and a password into "
        "the address (https://user:password@host), or give headers={'Authorization': 'Bearer …'}."
    )


# -- proxies ---------------------------------------------------------------------------------------


def proxy_refused(address: Address, proxy: Proxy, reply: HttpReply) -> LMStudioConnectionError:
    """The exception for a proxy that answers, but opens no way to the server."""
    said = _stopped(reply.summary((*proxy.secrets, *address.access.secrets)))
    if reply.status == 407:
        given = proxy.authorization is not None
        advice = (
            "It does not accept the user name and the password given."
            if given
            else f"Write them into its address: {proxy.scheme}://user:password@host:port."
        )
    else:
        advice = (
            f"If the server is reached without a proxy, say proxy=False or add {address.name} to "
            "NO_PROXY."
        )
    return LMStudioConnectionError(
        f"The proxy {proxy} opens no way to {address}: {said} {advice}",
        tried=(str(address),),
        status=reply.status,
    )


def proxy_failed(address: Address, proxy: Proxy, what: str) -> LMStudioConnectionError:
    """The exception for a proxy that does not answer, or not as one."""
    return LMStudioConnectionError(
        f"No way to {address}: the proxy {proxy} cannot be used ({what}). It comes from proxy= or "
        f"the environment; proxy=False, or {address.name} in NO_PROXY, goes without it.",
        tried=(str(address),),
    )


# -- TLS -------------------------------------------------------------------------------------------

_TRUST: Final = "give its CA's certificate: ssl='ca.pem' (LMSTUDIO_API_SSL, --ca)"
_VERIFY: Final[Mapping[int, str]] = {
    9: "the server's certificate is not valid yet. Are both clocks right?",
    10: "the server's certificate has expired. Renew it; until then, ssl=False connects unchecked.",
    18: f"the server's certificate is self-signed. If you trust it, {_TRUST}.",
    19: f"the server's certificate comes from a CA that is not known here. If you trust it, {_TRUST}.",
    20: f"the server's certificate comes from a CA that is not known here. If you trust it, {_TRUST}.",
    21: f"the server's certificate comes from a CA that is not known here. If you trust it, {_TRUST}.",
}
_ENDED: Final = (
    "the server ended the connection in the middle of the TLS handshake. Does it speak TLS?"
)
_CLIENT_CERTIFICATE: Final = (
    "asks for a certificate of this client: give ssl= an SSLContext with load_cert_chain()."
)
_OTHER_NAME: Final = (62, 64)
_PLAIN: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE",
                 "PACKET_LENGTH_TOO_LONG", "BAD_RECORD_TYPE")  # fmt: skip


def tls_failed(
    address: Address, error: BaseException, *, agreed: bool = False
) -> LMStudioConnectionError:
    """The exception for an encrypted connection that does not come about.

    Args:
        address: The server's address.
        error: What the TLS layer says.
        agreed: Whether it had come about on this side: servers refuse a client's certificate later.
    """
    reason = _tls_reason(address, error)
    if agreed and reason == _ENDED:
        reason = f"the server ended it at once. It may be that it {_CLIENT_CERTIFICATE}"
    return LMStudioConnectionError(
        f"No encrypted connection to {address}: {reason}", tried=(str(address),)
    )


def _tls_reason(address: Address, error: BaseException) -> str:
    # By name and number: the module ssl stays out of the protocol.
    code, reason = getattr(error, "verify_code", 0), getattr(error, "reason", None) or ""
    if code in _OTHER_NAME:
        return (
            f"the server's certificate is for another name than {address.name!r}. Write the name "
            "that it is for."
        )
    if code:
        said = plain_line(str(getattr(error, "verify_message", "") or error))
        return _VERIFY.get(code, f"the server's certificate cannot be checked ({said}).")
    if reason in _PLAIN:
        return f"the server speaks no TLS. Write http://{_bare(address)}."
    if "CERTIFICATE_REQUIRED" in reason:
        return f"the server {_CLIENT_CERTIFICATE}"
    if isinstance(error, TimeoutError) or "longer than" in str(error):
        return "the server does not go on with the TLS handshake. Does it speak TLS?"
    if "ALERT" in reason or "PROTOCOL" in reason:
        return f"the server and this program find no common way to encrypt ({reason})."
    if isinstance(error, (ConnectionError, EOFError)) or "EOF" in reason or "EOF" in str(error):
        return _ENDED
    return f"{plain_line(str(error)) or type(error).__name__}."
