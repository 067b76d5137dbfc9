"""How a batch is run, and what its end is told as."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import BatchInputError
from ..pool.members import MemberStatus

__all__ = ["BatchReport", "OnError", "Order", "RunOptions"]

OnError = Literal["keep", "skip", "stop"]
"""What becomes of a row without an answer: its error is in the output, it is not, or all ends."""

Order = Literal["input", "done"]


@dataclass(frozen=True)
class BatchReport:  # public
    """How a batch went.

    Attributes:
        rows: Rows that have an end, in this run and before.
        failed: Those of them with an error.
        resumed: Those that were done before this run.
        tokens: What all answers took, prompts included.
        seconds: What this run took.
        out: The output; ``None`` if it was not written.
        errors: The list of the rows with an error; ``None`` if there is none.
        hosts: How each host did, where the engine knows it.

    Example:
        >>> spec = BatchSpec("pocket", config={"maxTokens": 8})
        >>> report = client.batch.run(["Hello", "Goodbye"], "out.jsonl", spec)
        >>> print(report.rows, report.failed, report.out)
        2 0 out.jsonl
    """

    rows: int
    failed: int
    resumed: int
    tokens: int
    seconds: float
    out: Path | None = None
    errors: Path | None = None
    hosts: tuple[MemberStatus, ...] = ()


@dataclass(frozen=True)
class RunOptions:
    """The settings of ``run`` that are not about hosts."""

    on_error: OnError = "keep"
    order: Order = "input"
    id: str | None = None
    limit: int | None = None
    max_tokens_total: int | None = None
    progress: bool | Callable[[int, int | None], object] | None = None
    restart: bool = False
    retry_failed: bool = False
    force: bool = False
    engine: str = "local"
    workers: int | None = None
    address: str | None = None
    stop: threading.Event | None = None

    def __post_init__(self) -> None:
        for name, known in (("on_error", get_args(OnError)), ("order", get_args(Order))):
            if getattr(self, name) not in known:
                allowed = ", ".join(map(repr, known))
                raise BatchInputError(f"{name} is one of {allowed}, not {getattr(self, name)!r}.")
        for name in ("limit", "max_tokens_total", "workers"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or value < 1
            ):
                raise BatchInputError(f"{name} must be an integer >= 1, got {value!r}.")
