"""What is set for a pool, checked before any host is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, get_args

from ..errors import BatchInputError
from ..scheduling import Policy
from .members import Kind, Missing

__all__ = ["PoolSettings"]


@dataclass(frozen=True)
class PoolSettings:
    """The settings of a pool; plain data that travels to workers.

    Args:
        model: The key or identifier of the model on every host; by default the first one loaded.
        kind: ``"llm"`` or ``"embedding"``.
        retries: How often a row is asked again after a server's error, on another host if possible.
        row_timeout: Seconds that a row may take as a whole; ``None`` for no limit.
        idle_timeout: Seconds of silence after which a host is taken for dead; ``None`` for never.
        hedge: Whether rows that take long are asked on a second host.
        missing: What is done about a host without the model: ``"load"`` it, ``"skip"`` the host, or
            ``"error"``.
        patience: Seconds that work waits when every host is down.
        share: Of how many workers this is one: each takes its part of a host's slots.
    """

    model: str | None = None
    kind: Kind = "llm"
    retries: int = 1
    row_timeout: float | None = None
    idle_timeout: float | None = 60.0
    hedge: bool = True
    missing: Missing = "load"
    patience: float = 300.0
    share: int = 1

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BatchInputError(f"kind is 'llm' or 'embedding', not {self.kind!r}.")
        if self.missing not in get_args(Missing):
            raise BatchInputError(f"missing is 'load', 'skip' or 'error', not {self.missing!r}.")
        _check_count("retries", self.retries, 0)
        _check_count("share", self.share, 1)
        for name in ("row_timeout", "idle_timeout"):
            if getattr(self, name) is not None:
                _check_seconds(name, getattr(self, name))
        _check_seconds("patience", self.patience)

    @property
    def policy(self) -> Policy:
        """The scheduler's numbers."""
        return Policy(
            retries=self.retries,
            hedge=self.hedge,
            idle_timeout=self.idle_timeout,
            patience=self.patience,
        )

    @property
    def limits(self) -> dict[str, Any]:
        """The limits of one row's request."""
        return {"timeout": self.row_timeout, "idle_timeout": self.idle_timeout}


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BatchInputError(f"{name} must be an integer >= {least}, got {value!r}.")


def _check_seconds(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise BatchInputError(f"{name} must be a positive number of seconds, got {value!r}.")
