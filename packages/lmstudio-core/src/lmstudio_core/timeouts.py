"""How long a call may take: the process's limit for synchronous calls, and limits per call."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, Final

from typing_extensions import TypedDict

from .errors import LMStudioTimeoutError, LMStudioValueError

__all__ = [
    "DEFAULT_SYNC_TIMEOUT",
    "CallLimits",
    "Limits",
    "PluginLock",
    "clock",
    "get_sync_api_timeout",
    "limits_of",
    "set_sync_api_timeout",
    "sync_limits",
    "using",
]

logger: Final = logging.getLogger("lmstudio")

DEFAULT_SYNC_TIMEOUT: Final = 60.0

LOCK_PATIENCE: Final = 3.0
"""Seconds after which a thread that waits for another one's plugins says so."""

_timeout: float | None = DEFAULT_SYNC_TIMEOUT


_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


clock: Final[Callable[[], float]] = (
    time.monotonic if _CLOCK is None else functools.partial(time.clock_gettime, _CLOCK)
)
"""Seconds that go on while the machine sleeps, where it has such a clock.

Only Linux has one of its own for that; ``time.monotonic`` stands still there and on macOS.
"""


def get_sync_api_timeout() -> float | None:  # public
    """The seconds that a synchronous call waits without any activity; ``None``: for ever.

    >>> get_sync_api_timeout()
    60.0

    Example:
        >>> set_sync_api_timeout(None)
        >>> get_sync_api_timeout() is None
        True
    """
    return _timeout


def set_sync_api_timeout(timeout: float | None) -> None:  # public
    """Set how long synchronous calls wait without any activity.

    It applies to every client of the process, from the next wait on. Calls that are given a
    ``timeout`` or an ``idle_timeout`` of their own go by these instead.

    Args:
        timeout: Seconds; 0 waits for nothing, so that every call fails; ``None`` waits for ever.

    Raises:
        LMStudioValueError: ``timeout`` is not such a number.

    Example:
        >>> set_sync_api_timeout(30)
        >>> get_sync_api_timeout()
        30.0
    """
    global _timeout
    given: Any = timeout  # what the caller wrote, whatever the annotation says
    nothing = not isinstance(given, bool) and given == 0
    _timeout = timeout if given is None or nothing else _seconds("timeout", given)


class CallLimits(TypedDict, total=False):  # api
    """The keyword arguments by which any call to the server may be limited, in seconds.

    ``timeout`` is for the whole call, from its start to its result. ``idle_timeout`` is for the
    silence between two signs of life from the server: fragments, progress, answers.
    ``math.inf`` is no limit. Without either, synchronous calls go by ``set_sync_api_timeout`` (an
    idle timeout of 60 seconds) and asynchronous ones wait for ever; with ``timeout`` alone, that
    is the only limit. When one is exceeded the server is told to stop,
    ``LMStudioTimeoutError`` is raised, and the connection can be used on.
    """

    timeout: float | None
    idle_timeout: float | None


class Limits:  # api
    """The limits of one call that has begun.

    Args:
        timeout: Seconds for the whole call.
        idle_timeout: Seconds of silence.
        default: Tells the seconds of silence where neither is given.
    """

    __slots__ = ("_default", "_ends", "_idle", "_total")

    def __init__(
        self,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        *,
        default: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._total = None if timeout is None else _seconds("timeout", timeout)
        self._idle = None if idle_timeout is None else _seconds("idle_timeout", idle_timeout)
        self._default = default
        self._ends = None if self._total is None else time.monotonic() + self._total

    @property
    def idle(self) -> float | None:
        """The seconds of silence that are allowed; ``None`` for any number."""
        if self._idle is not None:
            return None if math.isinf(self._idle) else self._idle
        return self._default() if self._total is None else None

    @property
    def left(self) -> float | None:
        """The seconds that the whole call may still take; ``None`` for any number."""
        if self._ends is None or math.isinf(self._ends):
            return None
        return max(0.0, self._ends - time.monotonic())

    @property
    def longest_wait(self) -> float | None:
        """How long may be waited for one thing now; ``None`` for ever."""
        if self._total is None:  # every wait of a synchronous call asks
            return self.idle
        known = [seconds for seconds in (self.idle, self.left) if seconds is not None]
        return min(known, default=None)

    def remaining(self, since: float) -> float | None:
        """How long may be waited from now for what was last heard of at ``since``.

        Args:
            since: A moment of ``time.monotonic``.

        Returns:
            Seconds, 0 if it took too long already; ``None`` for ever.
        """
        idle = self.idle
        quiet = None if idle is None else max(0.0, since + idle - time.monotonic())
        return min((seconds for seconds in (quiet, self.left) if seconds is not None), default=None)

    def check(self, endpoint: object = None) -> None:
        """Raise ``LMStudioTimeoutError`` if the time for the whole call is over."""
        if self.left == 0:
            raise self.error(endpoint)

    def error(self, endpoint: object = None, waited: float | None = None) -> LMStudioTimeoutError:
        """The error for a wait that took too long.

        Args:
            endpoint: What was waited for.
            waited: How long, if the limit may have been set anew since the wait began.
        """
        idle = self.idle if waited is None else waited
        what = "the call" if endpoint is None else str(endpoint)
        name = None if endpoint is None else str(endpoint)
        # A loop that counts in whole milliseconds ends a wait up to one early.
        over = self.left is not None and self.left < 0.002
        if self._total is not None and (over or idle is None):
            return LMStudioTimeoutError(
                f"{what} was not finished in the {self._total:g} seconds that timeout= allows. "
                "It was given up; allow more, or None for no such limit.",
                seconds=self._total,
                endpoint=name,
            )
        advice = "idle_timeout= sets the limit of one call (math.inf: no limit)"
        if self._idle is None:
            advice = "lmstudio.set_sync_api_timeout() sets the limit (None: no limit)"
        return LMStudioTimeoutError(
            f"Nothing came from the server for {what} in {idle or 0:g} seconds. {advice}.",
            seconds=idle,
            endpoint=name,
        )


def limits_of(
    limits: CallLimits, default: Callable[[], float | None] = lambda: None
) -> Limits | None:  # api
    """The limits that keyword arguments ask for; ``None`` if they ask for nothing.

    Raises:
        LMStudioValueError: A limit is no positive number.
        TypeError: There is an argument of another name, as for any function.
    """
    if not limits:
        return None
    for name in limits:
        if name not in CallLimits.__annotations__:
            like = difflib.get_close_matches(name, CallLimits.__annotations__, n=1)
            hint = f"did you mean {like[0]!r}?" if like else _SETTINGS
            raise TypeError(f"got an unexpected keyword argument {name!r}; {hint}")
    if all(value is None for value in limits.values()):
        return None
    return Limits(**limits, default=default)


_SETTINGS: Final = "settings of a prediction or of loading go into config={...}"
_NO_LIMITS: Final = Limits(default=get_sync_api_timeout)
_current: ContextVar[Limits | None] = ContextVar("lmstudio_limits", default=None)


def sync_limits() -> Limits:
    """The limits that hold for a synchronous wait now."""
    return _current.get() or _NO_LIMITS


@contextlib.contextmanager
def _using(limits: Limits) -> Generator[None, None, None]:
    token = _current.set(limits)
    try:
        yield
    finally:
        _current.reset(token)


class PluginLock:
    """A lock whose holder runs the code of plugins, which may wait for a thread that waits for the lock.

    A plugin that starts a thread when it is imported, has it use the SDK and waits for it, would
    hang the program without a word. So a wait ends with the limits of synchronous calls, and after
    a few seconds a line in the log says whose code it is that is waited for.

    Args:
        busy: Says whose code the holder runs now.
    """

    def __init__(self, busy: Callable[[], str | None]) -> None:
        self._lock = threading.RLock()  # a plugin may use the SDK in its own thread, too
        self._busy = busy

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._wait()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def _wait(self) -> None:
        limit = sync_limits().longest_wait
        patience = LOCK_PATIENCE if limit is None else min(limit, LOCK_PATIENCE)
        if self._lock.acquire(timeout=patience):
            return
        who = self._busy() or "another thread, which loads plugins"
        logger.warning("waiting for %s; does that wait for a thread that uses lmstudio?", who)
        if not self._lock.acquire(timeout=-1 if limit is None else limit - patience):
            raise LMStudioTimeoutError(
                f"This thread waited {limit:g} seconds for {who}. Plugins must not wait for threads "
                "that use lmstudio: uninstall it, or turn it off by LMSTUDIO_DISABLE_PLUGINS.",
                seconds=limit,
            )


_UNLIMITED: Final = contextlib.nullcontext()


def using(limits: Limits | None) -> contextlib.AbstractContextManager[None]:
    """Let ``limits`` hold for the waits inside; drivers wrap their own I/O alone in it.

    So what a callback or a tool of the user's asks the server for has limits of its own.
    """
    return _UNLIMITED if limits is None else _using(limits)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise LMStudioValueError(f"{name} is a positive number of seconds or None, not {value!r}.")
    return float(value)
