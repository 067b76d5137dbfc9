"""A recorded session as a script: the same requests get the same answers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Final

from lmstudio_core.protocol.operations import VOID

from .fake_socket import FakeCall, FakeChannel, FakeRequest
from .recordings import RecordedRequest, Recording, Scrubber, differences

__all__ = ["Replay", "ReplayMismatchError"]

_PATIENCE: Final = 5.0
"""Seconds to wait for what the recorded program sent on a channel."""

_SHOWN: Final = 6


class ReplayMismatchError(AssertionError):  # public
    """A program asked for something that the recording has no answer to; the message says what."""


class Replay:
    """Answers requests from a recording, each recorded request once."""

    def __init__(self, recording: Recording) -> None:
        self._waiting = list(recording.requests)
        self._all = tuple(recording.requests)
        self._scrubber = Scrubber(rename=False)
        self._lock = threading.Lock()

    @property
    def unused(self) -> list[str]:
        """The recorded requests that nobody made."""
        return [str(request) for request in self._waiting]

    def take(self, request: FakeRequest) -> RecordedRequest:
        """The recorded request that is the same as this one.

        Raises:
            ReplayMismatchError: There is none.
        """
        asked = request.parameter
        clean = VOID if asked is VOID else self._scrubber.clean(asked)
        with self._lock:
            alike = [one for one in self._waiting if one.endpoint == request.endpoint]
            for one in alike:
                if not differences(one.parameter, clean):
                    self._waiting.remove(one)
                    return one
        raise ReplayMismatchError(self._explained(request.endpoint, clean, alike))

    def _explained(self, endpoint: str, asked: Any, alike: list[RecordedRequest]) -> str:
        if alike:
            found = differences(alike[0].parameter, asked)
            more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
            lines = "\n  ".join([*found[:_SHOWN], *more])
            return (
                f"This request to {endpoint} is not the recorded one. It differs in:\n  {lines}\n"
                "Record the session again if the program is meant to ask this."
            )
        times = sum(one.endpoint == endpoint for one in self._all)
        if times:
            return (
                f"{endpoint} is asked once more than in the recording, where it was asked "
                f"{times} times."
            )
        known = ", ".join(sorted({one.endpoint for one in self._all})) or "nothing"
        return f"{endpoint} was never asked in the recording, which has: {known}."

    def answer(self, call: FakeCall) -> None:
        """Answer a call as the recorded one was."""
        for step in self.take(call).steps:
            match step:
                case {"result": value}:
                    call.reply(value)
                case {"void": True}:
                    call.reply()
                case _:
                    self._other(call, step)

    async def run(self, channel: FakeChannel) -> None:
        """Send the recorded packets; what the program sends is waited for where it was recorded."""
        for step in self.take(channel).steps:
            match step:
                case {"packet": packet}:
                    channel.send(packet)
                case {"closed": True}:
                    channel.close()
                case {"sent": message}:
                    await self._expect(channel, message)
                case _:
                    self._other(channel, step)

    async def _expect(self, channel: FakeChannel, message: Any) -> None:
        try:
            came = await asyncio.wait_for(channel.next_message(), _PATIENCE)
        except asyncio.TimeoutError:  # in Python 3.10 not the builtin one
            raise ReplayMismatchError(
                f"In the recording the program sends {message!r} on {channel.endpoint} here; "
                f"nothing came within {_PATIENCE:g} seconds."
            ) from None
        found = differences(message, self._scrubber.clean(came), "message")
        if found:
            raise ReplayMismatchError(
                f"The program sends something else on {channel.endpoint} than was recorded: "
                + "; ".join(found[:_SHOWN])
            )

    @staticmethod
    def _other(request: FakeCall | FakeChannel, step: dict[str, Any]) -> None:
        match step:
            case {"error": error}:
                request.fail(error or {})
            case {"warning": text}:
                request.socket.warn(text, step.get("kind"))
            case {"lost": True}:
                request.socket.drop()
            case _:
                raise ReplayMismatchError(f"The recording has an unknown step: {step!r}")
