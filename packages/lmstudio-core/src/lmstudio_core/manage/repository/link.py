"""``client.repository.lm_link``: other devices whose models this server can use (LM Link)."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from ...data import ServerStruct
from ...errors import LMStudioValueError
from ...program.tracebacks import Short
from ...protocol.operations import VOID, Call, Endpoint
from ...protocol.runner import AsyncRunner, SyncRunner
from ...timeouts import CallLimits
from .operations import text

__all__ = ["AsyncLmLink", "LmLink", "LmLinkLastError", "LmLinkPeer", "LmLinkStatus"]


class LmLinkPeer(ServerStruct):
    """Another device; ``status`` is ``"connected"`` or ``"disconnected"``."""

    device_identifier: str = ""
    device_name: str = ""
    status: str = ""


class LmLinkLastError(ServerStruct):
    """What went wrong last, and when: ``timestamp`` in milliseconds since 1970."""

    message: str = ""
    timestamp: int = 0


class LmLinkStatus(ServerStruct):
    """The state of LM Link on the server.

    ``status`` is ``"offline"``, ``"starting"``, ``"online"`` or ``"stopping"``; ``issues`` says
    what is in the way, such as ``"notLoggedIn"``.
    """

    status: str = ""
    issues: tuple[str, ...] = ()
    peers: tuple[LmLinkPeer, ...] = ()
    device_identifier: str | None = None
    device_name: str = ""
    preferred_device_identifier: str | None = None
    reconnect_in_seconds: int | None = None
    last_error: LmLinkLastError | None = None


def _nothing(_: Any) -> None:
    return None


def _status() -> Call[LmLinkStatus]:
    return Call(Endpoint("repository", "lmLinkStatus"), VOID, LmLinkStatus.from_dict)


def _set_disabled(disabled: object) -> Call[None]:
    if not isinstance(disabled, bool):
        raise LMStudioValueError(f"disabled is True or False, not {disabled!r}.")
    return Call(Endpoint("repository", "lmLinkSetDisabled"), {"disabled": disabled}, _nothing)


def _update_device_name(device_name: str) -> Call[None]:
    parameter = {"deviceName": text("device_name", device_name)}
    return Call(Endpoint("repository", "lmLinkUpdateDeviceName"), parameter, _nothing)


def _set_preferred_device(device_identifier: str) -> Call[None]:
    parameter = {"deviceIdentifier": text("device_identifier", device_identifier)}
    return Call(Endpoint("repository", "lmLinkSetPreferredDevice"), parameter, _nothing)


class LmLink(Short):
    """Other devices whose models the server can use."""

    def __init__(self, client: SyncRunner) -> None:
        self._client = client

    def status(self, **limits: Unpack[CallLimits]) -> LmLinkStatus:
        """The state of LM Link, and the devices it knows."""
        return self._client.run(_status(), **limits)

    def set_disabled(self, disabled: bool, **limits: Unpack[CallLimits]) -> None:
        """Turn LM Link off (``True``) or on (``False``) on the server's machine."""
        self._client.run(_set_disabled(disabled), **limits)

    def update_device_name(self, device_name: str, **limits: Unpack[CallLimits]) -> None:
        """Say under which name the server's machine is shown to the others."""
        self._client.run(_update_device_name(device_name), **limits)

    def set_preferred_device(self, device_identifier: str, **limits: Unpack[CallLimits]) -> None:
        """Say which device is used when several have a model."""
        self._client.run(_set_preferred_device(device_identifier), **limits)


class AsyncLmLink(Short):
    """Other devices whose models the server can use, for asyncio."""

    def __init__(self, client: AsyncRunner) -> None:
        self._client = client

    async def status(self, **limits: Unpack[CallLimits]) -> LmLinkStatus:
        """The state of LM Link, and the devices it knows."""
        return await self._client.run(_status(), **limits)

    async def set_disabled(self, disabled: bool, **limits: Unpack[CallLimits]) -> None:
        """Turn LM Link off (``True``) or on (``False``) on the server's machine."""
        await self._client.run(_set_disabled(disabled), **limits)

    async def update_device_name(self, device_name: str, **limits: Unpack[CallLimits]) -> None:
        """Say under which name the server's machine is shown to the others."""
        await self._client.run(_update_device_name(device_name), **limits)

    async def set_preferred_device(
        self, device_identifier: str, **limits: Unpack[CallLimits]
    ) -> None:
        """Say which device is used when several have a model."""
        await self._client.run(_set_preferred_device(device_identifier), **limits)
