"""A piece of work: rows that one request, or one stream of requests, is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .members import MemberState

__all__ = ["Job", "Lease"]


class Job:
    """Rows that are asked together; one in most cases, some hundreds for embeddings.

    Args:
        rows: The rows; the scheduler does not look into them.
        task: What is to be done with them, for whoever runs it.

    Attributes:
        attempts: How often a server answered with an error.
        suspect: Whether a host was lost while it worked on it, so that it has to be alone.
        tried: The hosts that answered with an error.
        leases: Where it is being worked on; two if it is hedged.
        ended: Whether it has its result.
    """

    __slots__ = (
        "attempts",
        "ended",
        "hedged",
        "leases",
        "missed",
        "rows",
        "suspect",
        "task",
        "tried",
    )

    def __init__(self, rows: Sequence[Any], task: Any = None) -> None:
        self.rows: Sequence[Any] = rows
        self.task: Any = task
        self.attempts: int = 0
        self.missed: int = 0
        self.suspect: bool = False
        self.hedged: bool = False
        self.ended: bool = False
        self.tried: set[int] = set()
        self.leases: list[Lease] = []

    def singles(self, rows: Sequence[Any]) -> Iterator[Job]:
        """A job for each of some of the rows: of several, only one may be to blame."""
        if len(self.rows) == 1:
            yield self
            return
        self.ended = True
        for row in rows:
            single = Job([row], self.task)
            single.attempts = self.attempts
            single.tried = set(self.tried)
            yield single


class Lease:
    """A slot of a host that a job has; it is given back once, however often it is released."""

    __slots__ = ("_held", "alone", "copy", "job", "member", "started")

    def __init__(
        self, member: MemberState, job: Job, now: float, *, alone: bool, copy: bool
    ) -> None:
        self.member: MemberState = member
        self.job: Job = job
        self.started: float = now
        self.alone: bool = alone
        self.copy: bool = copy
        self._held = True
        member.busy += 1
        job.leases.append(self)

    def release(self) -> None:
        """Give the slot back."""
        if self._held:
            self._held = False
            self.member.busy -= 1
            self.job.leases.remove(self)
