"""Who a client is: the first frame of every socket, and the rules for letting it in."""

from __future__ import annotations

import hmac
import re
import secrets
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lmstudio_core.lenient import error_text

from .frames import load_object

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CONTROL_IDENTIFIER",
    "Admission",
    "Authenticator",
    "Credentials",
    "new_token",
    "parse_credentials",
]

MAX_LENGTH: Final = 256
CONTROL_IDENTIFIER: Final = "lmstudio-server-control"
"""The identifier of the person who started the server; its passkey is in the state file."""

_TOKEN: Final = re.compile(r"sk-lm-([A-Za-z0-9]{8}):([A-Za-z0-9]{20})")


@dataclass(frozen=True)
class Credentials:
    """What a client says it is. ``repr`` leaves the passkey out, so that no log can show it."""

    identifier: str
    passkey: str

    def __repr__(self) -> str:
        return f"Credentials(identifier={self.identifier!r})"


@dataclass(frozen=True)
class Admission:
    """The verdict: ``error`` is ``None`` for a client that may enter."""

    identifier: str
    error: str | None = None
    trusted: bool = False
    """The client knows a secret of this server (an API token or the control key)."""


def parse_credentials(text: str) -> Credentials | None:
    """Read an authentication frame; ``None`` (which gets no answer) if it is not one."""
    frame = load_object(text)
    if frame is None:
        return None
    version: object = frame.get("authVersion")
    if isinstance(version, bool) or version != 1:
        return None
    identifier, passkey = frame.get("clientIdentifier"), frame.get("clientPasskey")
    if not isinstance(identifier, str) or not isinstance(passkey, str):
        return None
    if len(identifier) > MAX_LENGTH or len(passkey) > MAX_LENGTH:
        return None
    return Credentials(identifier, passkey)


def parse_token(token: str) -> Credentials:
    """Split an API token into its two halves.

    Raises:
        ValueError: The token has not the form of LM Studio's API tokens. The message does not
            repeat it.
    """
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        raise ValueError(
            f"An API token of {len(token.strip())} characters does not have the form "
            "sk-lm-XXXXXXXX:YYYYYYYYYYYYYYYYYYYY (8 and 20 letters or digits). Check that it was "
            "copied whole."
        )
    return Credentials(match[1], match[2])


def new_token() -> str:
    """An API token of LM Studio's form that nobody can guess."""
    letters = string.ascii_letters + string.digits
    name, key = ("".join(secrets.choice(letters) for _ in range(n)) for n in (8, 20))
    return f"sk-lm-{name}:{key}"


class Authenticator:
    """Remembers who is connected.

    Without API tokens everyone may enter, and an identifier belongs to whoever came first with
    it for as long as a socket of that client is open. With tokens, only their owners enter.
    """

    def __init__(self, api_tokens: Iterable[str] = (), control_key: str | None = None) -> None:
        self._tokens = {c.identifier: c.passkey for c in map(parse_token, api_tokens)}
        self._control_key = control_key
        self._owners: dict[str, tuple[str, int]] = {}
        self._granted: dict[str, tuple[str, bool]] = {}

    @property
    def requires_token(self) -> bool:
        return bool(self._tokens)

    def admit(self, credentials: Credentials) -> Admission:
        """Decide about one socket. Every admission needs one ``release`` later."""
        identifier, passkey = credentials.identifier, credentials.passkey
        trusted = self._knows_secret(credentials)
        if identifier in self._granted:
            granted, trusted = self._granted[identifier]
            if not _same(granted, passkey):
                return Admission(identifier, "The credentials of this plugin are not valid.")
        elif not trusted and (self.requires_token or identifier == CONTROL_IDENTIFIER):
            return Admission(identifier, self._refusal(identifier))
        owner, sockets = self._owners.get(identifier, (passkey, 0))
        if not _same(owner, passkey):
            return Admission(
                identifier,
                f'Failed to validate client: another program is connected as "{identifier}" with '
                "a different passkey. Choose another clientIdentifier.",
            )
        self._owners[identifier] = (owner, sockets + 1)
        return Admission(identifier, trusted=trusted)

    def refuse_bearer(self, header: str | None) -> str | None:
        """Why a request with this ``Authorization`` header may not enter; ``None``: it may.

        Without API tokens every header is welcome: OpenAI's clients always send one.
        """
        if not self.requires_token:
            return None
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return (
                "This server requires an API token: send it as `Authorization: Bearer sk-lm-...`."
            )
        try:
            given = parse_token(token)
        except ValueError as error:
            return error_text(error)
        known = self._tokens.get(given.identifier)
        if known is not None and _same(known, given.passkey):
            return None
        return "The API token is not valid for this server. Check it, or ask whoever runs it."

    def grant(self, credentials: Credentials, *, trusted: bool) -> None:
        """Let a client in that this server gave credentials to, until ``revoke``."""
        self._granted[credentials.identifier] = (credentials.passkey, trusted)

    def revoke(self, credentials: Credentials) -> None:
        """Let that client in no more."""
        self._granted.pop(credentials.identifier, None)

    def release(self, identifier: str) -> bool:
        """A socket of the client closed. True when it was the last one."""
        owner, sockets = self._owners[identifier]
        if sockets > 1:
            self._owners[identifier] = (owner, sockets - 1)
            return False
        del self._owners[identifier]
        return True

    def _knows_secret(self, credentials: Credentials) -> bool:
        if credentials.identifier == CONTROL_IDENTIFIER:
            return self._control_key is not None and _same(self._control_key, credentials.passkey)
        known = self._tokens.get(credentials.identifier)
        return known is not None and _same(known, credentials.passkey)

    def _refusal(self, identifier: str) -> str:
        if identifier == CONTROL_IDENTIFIER or identifier in self._tokens:
            return "The credentials of this client are not valid for this server."
        if identifier.startswith("guest:"):
            return (
                "This server requires an API token and the client sent none. Set the environment "
                "variable LM_API_TOKEN, or pass it: api_token= in Python, --api-token to a command."
            )
        return "The API token is not valid for this server. Check it, or ask whoever runs it."


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
