"""How long a synchronous call waits while nothing comes for it."""

from __future__ import annotations

from typing import Final

from .errors import LMStudioValueError

__all__ = ["DEFAULT_SYNC_TIMEOUT", "get_sync_api_timeout", "set_sync_api_timeout"]

DEFAULT_SYNC_TIMEOUT: Final = 60.0

_timeout: float | None = DEFAULT_SYNC_TIMEOUT


def get_sync_api_timeout() -> float | None:
    """The seconds that a synchronous call waits without any activity; ``None``: for ever.

    >>> get_sync_api_timeout()
    60.0
    """
    return _timeout


def set_sync_api_timeout(timeout: float | None) -> None:
    """Set how long synchronous calls wait without any activity.

    It applies to every client of the process, from the next wait on.

    Args:
        timeout: Seconds, more than 0; ``None`` waits for ever.

    Raises:
        LMStudioValueError: ``timeout`` is not such a number.
    """
    global _timeout  # noqa: PLW0603 - one setting for the process is what the API promises
    if timeout is not None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
            raise LMStudioValueError(f"timeout is a positive number of seconds or None, not {timeout!r}.")
        timeout = float(timeout)
    _timeout = timeout
