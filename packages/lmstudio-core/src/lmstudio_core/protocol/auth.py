"""Who this client is to the server, and the first two frames of every socket."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from ..errors import LMStudioAuthenticationError, LMStudioValueError, LMStudioWebsocketError
from ..lenient import as_words
from .address import Address

__all__ = [
    "PLUGIN_URL_VARIABLE",
    "PLUGIN_VARIABLES",
    "TOKEN_VARIABLES",
    "Credentials",
    "auth_request",
    "check_auth_reply",
    "credentials",
    "credentials_for",
]

AUTH_VERSION: Final = 1

TOKEN_VARIABLES: Final = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")
"""Environment variables that may hold the API token, in order of precedence."""

PLUGIN_VARIABLES: Final = ("LMS_PLUGIN_CLIENT_IDENTIFIER", "LMS_PLUGIN_CLIENT_PASSKEY")
"""How LM Studio tells a plugin's process who it is."""

PLUGIN_URL_VARIABLE: Final = "LMS_PLUGIN_BASE_URL"
"""How LM Studio tells a plugin's process where the server is."""

_WAYS: Final = "LM_API_TOKEN in the environment, api_token= in Python, --api-token of a command"
"""Where people give the token."""

_MAX_LENGTH: Final = 256
_TOKEN = re.compile(r"sk-lm-([A-Za-z0-9]{8}):([A-Za-z0-9]{20})")


@dataclass(frozen=True)
class Credentials:
    """What a client shows the server; the same pair on every socket of one client."""

    identifier: str
    passkey: str = field(repr=False)
    from_token: bool = False
    from_plugin: bool = False
    """They are a plugin's, as LM Studio sets them in the environment of its process."""
    is_pair: bool = False
    """They were given as they are."""


def credentials(
    api_token: str | None,
    environment: Mapping[str, str],
    client_identifier: str | None = None,
    client_passkey: str | None = None,
) -> Credentials:
    """Who a client is: by what is given, by a plugin's variables, by a token, or a new guest.

    Raises:
        LMStudioValueError: The token or the pair is not of the form of one. The message does not
            repeat it.
    """
    if client_identifier is not None or client_passkey is not None:
        return _pair(client_identifier, client_passkey, api_token)
    plugin = [environment.get(name, "") for name in PLUGIN_VARIABLES]
    if all(plugin) and not api_token:
        return Credentials(plugin[0], plugin[1], from_plugin=True)
    source = ""
    token = cast("object", api_token)  # not everybody checks types
    if not token:
        for source in TOKEN_VARIABLES:
            if token := environment.get(source):
                break
        else:
            return Credentials(f"guest:{secrets.token_urlsafe(18)}", secrets.token_urlsafe(18))
    if not isinstance(token, str) or (match := _TOKEN.fullmatch(token.strip())) is None:
        where = f" in {source}" if source else ""
        raise LMStudioValueError(
            f"The API token{where} does not look like one: LM Studio's tokens are "
            "'sk-lm-', 8 letters or digits, a colon, and 20 letters or digits. "
            "Copy it again from LM Studio's developer settings."
        )
    return Credentials(match[1], match[2], from_token=True)


def credentials_for(address: Address, creds: Credentials) -> Credentials:
    """Who a client is to a server: a token that came with its address is meant for it alone, as one of
    the environment is for another.
    """
    found = address.found
    if found is None or creds.from_plugin or creds.is_pair or not found.is_alive:
        return creds
    return credentials(found.api_token, {})


def _pair(identifier: object, passkey: object, api_token: object) -> Credentials:
    if api_token:
        raise LMStudioValueError(
            "An API token says who the client is: leave out client_identifier and client_passkey, "
            "or api_token."
        )
    for name, value in (("client_identifier", identifier), ("client_passkey", passkey)):
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_LENGTH:
            raise LMStudioValueError(
                f"{name} must be a string of 1 to {_MAX_LENGTH} characters; client_identifier and "
                "client_passkey go together."
            )
    return Credentials(str(identifier), str(passkey), is_pair=True)


def auth_request(creds: Credentials) -> bytes:
    """The first frame that a client sends."""
    from .frames import encode_frame  # pydantic_core, which making a client need not wait for

    return encode_frame(
        {
            "authVersion": AUTH_VERSION,
            "clientIdentifier": creds.identifier,
            "clientPasskey": creds.passkey,
        }
    )


def check_auth_reply(data: bytes | str, creds: Credentials, server: str) -> None:
    """Take the server's answer to ``auth_request``.

    Raises:
        LMStudioAuthenticationError: The server refused; without the credentials in the message.
        LMStudioWebsocketError: The answer is none.
    """
    from .frames import decode_frame

    reply = decode_frame(data)
    if reply is None or "success" not in reply:
        raise LMStudioWebsocketError(
            f"{server} did not answer as LM Studio does; is another program listening there?"
        )
    if reply["success"] is True:
        return
    said = as_words(str(reply.get("error") or ""))
    reason = (said or "no reason given").replace(creds.passkey, "…")
    if creds.from_token:
        hint = f"\nCheck the API token ({_WAYS})."
    elif TOKEN_VARIABLES[0] in reason:  # the server says itself what to do
        hint = ""
    else:
        hint = f"\nThe server may require an API token: {_WAYS}."
    raise LMStudioAuthenticationError(f"{server} refused this client: {reason}{hint}")
