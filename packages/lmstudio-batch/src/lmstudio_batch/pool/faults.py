"""What an error says of the host, and what of the row."""

from __future__ import annotations

from lmstudio_core.plugins.api import (
    LMStudioAuthenticationError,
    LMStudioConnectionError,
    LMStudioModelDomainError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
    LMStudioTimeoutError,
    LMStudioWebsocketError,
    error_text,
)
from lmstudio_embed import TextTooLongError

from ..scheduling import Fault

__all__ = ["fault_of", "is_final"]


def fault_of(
    error: BaseException, *, connected: bool, took: float, row_timeout: float | None
) -> Fault:
    """The kind of failure that an error is.

    Args:
        error: What was raised.
        connected: Whether the connection stood when the work began.
        took: Seconds since then.
        row_timeout: The seconds that it might take as a whole.
    """
    match error:
        case LMStudioAuthenticationError():
            return Fault.REFUSED
        case LMStudioConnectionError() | LMStudioWebsocketError():
            return Fault.LOST if connected else Fault.UNREACHED
        case LMStudioTimeoutError():
            whole = row_timeout is not None and took >= row_timeout
            return Fault.SLOW if whole else Fault.SILENT
        case LMStudioModelNotFoundError() | LMStudioModelDomainError():
            return Fault.MISSING
        case LMStudioServerError() if not is_final(error):
            return Fault.SERVER
        case _:
            return Fault.VALUE


def is_final(error: BaseException) -> bool:
    """Whether no other host could answer otherwise."""
    return isinstance(error, TextTooLongError) or not isinstance(error, LMStudioServerError)


def reason(error: BaseException) -> str:
    """An error in one line, for a host's state."""
    return error_text(error).splitlines()[0]
