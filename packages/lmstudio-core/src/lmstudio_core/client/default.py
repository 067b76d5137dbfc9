"""The default client: what the convenience functions use, one per process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..errors import LMStudioClientError, LMStudioConnectionError
from ..program.tracebacks import short
from ..timeouts import PluginLock

if TYPE_CHECKING:
    from ..protocol.liveness import PingSetting
    from . import Client
    from .network import SslSetting

__all__ = ["configure_default_client", "get_default_client", "reset_default_client"]

_HINTS: Final = {
    "PingSetting": "lmstudio_core.protocol.liveness:PingSetting",
    "SslSetting": "lmstudio_core.client.network:SslSetting",
}


def _busy() -> str | None:
    """Whose code runs while the default client is made."""
    loaded = sys.modules.get("lmstudio_core.plugins.registry")
    return None if loaded is None else loaded.plugins.busy


_lock = PluginLock(_busy)  # a plugin may use the default client while it is being loaded
_client: Client | None = None
_settings: dict[str, Any] = {}


@short
def configure_default_client(
    api_host: str | None = None,
    api_token: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    ssl: SslSetting = None,
    proxy: str | bool | None = None,
    ping_interval: PingSetting = ...,
    ping_timeout: PingSetting = ...,
) -> None:  # public
    """Say where the default client connects to; call it before the first convenience function.

    Args:
        api_host: ``"host:port"`` of the server; ``None`` looks for a local one.
        api_token: The server's API token.
        headers: Sent with every handshake; see ``Client``.
        ssl: How an ``https`` address is checked; see ``Client``.
        proxy: The URL of a proxy, or ``False`` for none; see ``Client``.
        ping_interval: Seconds of silence before a ping, as for ``Client``.
        ping_timeout: Seconds for its answer, as for ``Client``.

    Raises:
        LMStudioClientError: The default client exists already.
        LMStudioValueError: An argument is not of the form of one.

    Example:
        >>> configure_default_client(client.api_host)
        >>> get_default_client().api_host == client.api_host
        True
    """
    global _settings
    with _lock:
        if _client is not None:
            raise LMStudioClientError(
                "The default client exists already. One that is already created cannot be "
                "configured: do that before the first call, or make a Client of your own."
            )
        from . import Client

        settings: dict[str, Any] = {
            "api_host": api_host,
            "api_token": api_token,
            "headers": headers,
            "ssl": ssl,
            "proxy": proxy,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
        }
        Client(**settings).close()  # complains of what is wrong now, not later
        _settings = settings


@short
def get_default_client(api_host: str | None = None) -> Client:  # public, api
    """The default client; it is made now if this is the first use, and closed at exit.

    Args:
        api_host: Where to connect to, if it is not made yet.

    Raises:
        LMStudioClientError: ``api_host`` is given and the default client exists already, or no
            server answers where it is looked for.

    Example:
        >>> get_default_client().llm.model("pocket").identifier
        'pocket'
    """
    global _client
    if api_host is not None:
        configure_default_client(api_host)
    with _lock:
        made = _client is None
        if _client is None:
            from . import Client

            _client = Client(**_settings)
        client, given = _client, _settings.get("api_host")
    if made:
        # Not under the lock: a plugin that is asked for a server may use the default client.
        try:
            _check(client, given)
        except BaseException:
            _drop(client)
            raise
    return client


def _check(client: Client, given: str | None) -> None:
    """Raise unless there is a server: programs that make the default client ask for that."""
    host = client.api_host  # looked for now, if none was given
    if given is None:
        return
    from ..protocol.address import parse_api_host
    from .discovery import answers_greeting
    from .network import Network

    network = Network(*(_settings.get(name) for name in ("headers", "ssl", "proxy")))
    if not answers_greeting(network.to(parse_api_host(given), written=True)):
        raise LMStudioConnectionError(
            f"LM Studio is not reachable at {host}: no server answers there. Is LM Studio running, "
            "with its server on?",
            tried=(host,),
        )


def _drop(client: Client) -> None:
    """Forget a default client that reached nothing; where it looks stays as it was configured."""
    global _client
    with _lock:
        if _client is client:
            _client = None
    client.close()


@short
def reset_default_client() -> None:
    """Close the default client and forget its configuration; the next use makes a new one."""
    global _client, _settings
    with _lock:
        client, _client, _settings = _client, None, {}
    if client is not None:
        client.close()


def _renew_lock() -> None:
    """In a child process: another thread of the parent's may have held it, and is not here."""
    global _lock
    _lock = PluginLock(_busy)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
