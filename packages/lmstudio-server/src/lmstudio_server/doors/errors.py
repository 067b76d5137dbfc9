"""Failures of HTTP requests: the status, and the words. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.engines.base import ContextOverflowError, EngineCrashedError
from lmstudio_server.errors import ShuttingDownError, WireError, internal
from lmstudio_server.wire.session import InvalidParameterError

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["DoorError", "described", "invalid", "invalid_body", "model_unloaded", "not_implemented"]

_STATUS: Final = {
    "generic.pathNotFound": (404, "model_not_found"),
    "generic.noModelMatchingQuery": (404, "model_not_found"),
    "generic.specificModelUnloaded": (404, "model_not_found"),
    "generic.engineDoesNotSupportFeature": (400, "not_supported"),
}

_PLACES: Final = {"llm": "/v1/chat/completions", "embedding": "/v1/embeddings"}


@dataclass(eq=False)
class DoorError(Exception):
    """A request that is answered with an error."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    """The field of the request that is wrong."""
    retry: bool = False
    """The same request may work in a moment."""

    def __str__(self) -> str:
        return self.message

    @property
    def is_request(self) -> bool:
        """The request is at fault, not the server."""
        return self.status < 500


def invalid(message: str, param: str | None = None, code: str | None = None) -> DoorError:
    """A request that makes no sense here.

    Args:
        message: What is wrong, for people.
        param: The field that is wrong; ``None`` if it is none.
        code: OpenAI's word for it.
    """
    return DoorError(400, message, code, param)


def not_implemented(message: str, param: str | None = None) -> DoorError:
    """A part of the API that this server does not have."""
    return DoorError(501, message, "not_implemented", param)


def model_unloaded() -> DoorError:
    """The model was taken away from a prediction."""
    return DoorError(
        503,
        "The model was unloaded while it answered. Send the request again.",
        "model_unloaded",
        retry=True,
    )


def invalid_body(error: ValidationError) -> DoorError:
    """A body whose fields are missing or of the wrong type; names the first."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = _path(first["loc"])
    if first["type"] == "missing":
        return invalid(f'"{where}" is required.', where, "missing_required_parameter")
    return invalid(f'"{where}": {first["msg"]}.', where, "invalid_value")


def described(error: Exception) -> DoorError:
    """What a failed request is answered with."""
    if isinstance(error, DoorError):
        return error
    if isinstance(error, InvalidParameterError):
        return invalid(str(error))
    if not isinstance(error, WireError):
        return DoorError(500, _text(internal("an HTTP request", error)), "internal_error")
    if isinstance(error, ShuttingDownError):
        return DoorError(503, _text(error), "shutting_down")
    reason = error.__cause__
    if isinstance(reason, ContextOverflowError):
        return DoorError(400, _text(error), "context_length_exceeded")
    if isinstance(reason, EngineCrashedError):
        return DoorError(500, _text(error), "engine_crashed", retry=True)
    display = error.display or {}
    code: Any = display.get("code")
    if code == "generic.domainMismatch":
        # The error's own suggestion is for programs with the SDK.
        where = _PLACES[display["actualDomain"]]
        message = f"{error.title} Use it with {where}, or choose another model."
        return DoorError(400, message, "wrong_kind_of_model", "model")
    status, name = _STATUS.get(code, (400, None))
    return DoorError(status, _text(error), name)


def _text(error: WireError) -> str:
    parts = [part for part in (error.title, error.cause, error.suggestion) if part]
    return " ".join(part if part[-1] in ".!?:" else f"{part}." for part in parts)


def _path(parts: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".") or "body"
