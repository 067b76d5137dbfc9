"""Whom a scripted server lets in: functions of the client's authentication packet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lmstudio_core.protocol.auth import credentials

AuthRule = Callable[[Mapping[str, Any]], Any]  # public
"""Takes the packet, returns the reply: a dict goes out as JSON (and unless its ``success`` is true
the socket is closed after it), a string as it is, ``None`` answers nothing."""


def accept(packet: Mapping[str, Any]) -> Any:  # public
    """Let everybody in."""
    del packet
    return {"success": True}


def silent(packet: Mapping[str, Any]) -> Any:  # public
    """Never answer, as servers do to what they do not understand."""
    del packet


def refuse(reason: str) -> AuthRule:  # public
    """Let nobody in."""

    def rule(packet: Mapping[str, Any]) -> Any:
        del packet
        return {"success": False, "error": reason}

    return rule


def require_token(api_token: str) -> AuthRule:  # public
    """Let in whoever shows this API token (``"sk-lm-…:…"``)."""
    wanted = credentials(api_token, {})

    def rule(packet: Mapping[str, Any]) -> Any:
        shown = (packet.get("clientIdentifier"), packet.get("clientPasskey"))
        if shown == (wanted.identifier, wanted.passkey):
            return {"success": True}
        return {
            "success": False,
            "error": "Failed to validate client: Invalid client passkey for client "
            f'"{packet.get("clientIdentifier")}"',
        }

    return rule
