"""The default client: what the convenience functions use, one per process."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from .errors import LMStudioClientError
from .tracebacks import short

if TYPE_CHECKING:
    from .client import Client

__all__ = ["configure_default_client", "get_default_client", "reset_default_client"]

_lock = threading.RLock()  # a plugin may use the default client while it is being loaded
_client: Client | None = None
_api_host: str | None = None
_api_token: str | None = None


@short
def configure_default_client(api_host: str | None = None, api_token: str | None = None) -> None:
    """Say where the default client connects to; call it before the first convenience function.

    Args:
        api_host: ``"host:port"`` of the server; ``None`` looks for a local one.
        api_token: The server's API token.

    Raises:
        LMStudioClientError: The default client exists already.
        LMStudioValueError: The host or the token is not of the form of one.
    """
    global _api_host, _api_token
    with _lock:
        if _client is not None:
            raise LMStudioClientError(
                "The default client exists already; configure it before the first call that uses "
                "it, or make a Client of your own."
            )
        from .client import Client

        Client(api_host, api_token).close()  # complains of what is wrong now, not later
        _api_host, _api_token = api_host, api_token


@short
def get_default_client(api_host: str | None = None) -> Client:
    """The default client; it is made now if this is the first use, and closed at exit.

    Args:
        api_host: Where to connect to, if it is not made yet.

    Raises:
        LMStudioClientError: ``api_host`` is given and the default client exists already.
    """
    global _client
    if api_host is not None:
        configure_default_client(api_host)
    with _lock:
        if _client is None:
            from .client import Client

            _client = Client(_api_host, _api_token)
            atexit.register(_leave)
        return _client


@short
def reset_default_client() -> None:
    """Close the default client and forget its configuration; the next use makes a new one."""
    global _client, _api_host, _api_token
    with _lock:
        client, _client, _api_host, _api_token = _client, None, None, None
    if client is not None:
        atexit.unregister(_leave)
        client.close()


def _leave() -> None:
    """At the interpreter's exit: say goodbye where nobody is in the middle of something.

    That could only be a daemon thread. It is about to be gone without a word, and so is its socket;
    an error in it would be printed on the way out.
    """
    if _client is not None:
        _client.close_idle()


def _renew_lock() -> None:
    """In a child process: another thread of the parent's may have held it, and is not here."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
