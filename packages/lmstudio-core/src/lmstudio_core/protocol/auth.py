"""Who this client is to the server, and the first two frames of every socket."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from ..errors import LMStudioAuthenticationError, LMStudioValueError, LMStudioWebsocketError
from .frames import decode_frame, encode_frame

__all__ = ["TOKEN_VARIABLES", "Credentials", "auth_request", "check_auth_reply", "credentials"]

AUTH_VERSION: Final = 1

TOKEN_VARIABLES: Final = ("LM_API_TOKEN", "LMSTUDIO_API_TOKEN")
"""Environment variables that may hold the API token, in order of precedence."""

_TOKEN = re.compile(r"sk-lm-([A-Za-z0-9]{8}):([A-Za-z0-9]{20})")


@dataclass(frozen=True)
class Credentials:
    """What a client shows the server; the same pair on every socket of one client."""

    identifier: str
    passkey: str = field(repr=False)
    from_token: bool = False


def credentials(api_token: str | None, environment: Mapping[str, str]) -> Credentials:
    """The credentials of an API token, given or in the environment; else those of a new guest.

    Raises:
        LMStudioValueError: The token is not of the form of one. The message does not repeat it.
    """
    source = "api_token"
    token = cast("object", api_token)  # not everybody checks types
    if not token:
        for source in TOKEN_VARIABLES:
            if token := environment.get(source):
                break
        else:
            return Credentials(f"guest:{secrets.token_urlsafe(18)}", secrets.token_urlsafe(18))
    if not isinstance(token, str) or (match := _TOKEN.fullmatch(token.strip())) is None:
        raise LMStudioValueError(
            f"The API token in {source} does not look like one: LM Studio's tokens are "
            "'sk-lm-', 8 letters or digits, a colon, and 20 letters or digits. "
            "Copy it again from LM Studio's developer settings."
        )
    return Credentials(match[1], match[2], from_token=True)


def auth_request(creds: Credentials) -> bytes:
    """The first frame that a client sends."""
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
    reply = decode_frame(data)
    if reply is None or "success" not in reply:
        raise LMStudioWebsocketError(
            f"{server} did not answer as LM Studio does; is another program listening there?"
        )
    if reply["success"] is True:
        return
    reason = str(reply.get("error") or "no reason given").replace(creds.passkey, "…")
    if creds.from_token:
        hint = "\nCheck the API token (api_token=, LM_API_TOKEN)."
    elif TOKEN_VARIABLES[0] in reason:  # the server says itself what to do
        hint = ""
    else:
        hint = "\nThe server may require an API token: pass api_token= or set LM_API_TOKEN."
    raise LMStudioAuthenticationError(f"{server} refused this client: {reason}{hint}")
