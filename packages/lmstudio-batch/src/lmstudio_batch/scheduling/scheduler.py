"""The scheduler: work goes in, and out come what to start, to cancel and to check, and when."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .durations import Durations
from .members import MemberState
from .policy import Fault, Policy, Verdict
from .work import Job, Lease

__all__ = ["Cancel", "Check", "Scheduler", "Start"]

_MOST_MISSED: Final = 10
"""How often a row may find its model gone: a host that unloads it each time would go on for ever."""

_ENOUGH: Final = 20
"""Durations from which a 95th percentile says something."""


@dataclass(frozen=True)
class Start:
    """Begin work."""

    lease: Lease


@dataclass(frozen=True)
class Cancel:
    """Stop work whose result came from elsewhere."""

    lease: Lease


@dataclass(frozen=True)
class Check:
    """Try whether a host is well; ``Scheduler.checked`` is to hear what came of it."""

    member: MemberState


class Scheduler:
    """Gives work to hosts.

    Whoever runs it calls ``next`` until it returns ``None`` after everything that happens, and again
    at ``wake_at``.

    Args:
        members: The hosts.
        policy: The numbers.
        seed: Of the random part of pauses.
    """

    def __init__(
        self, members: Sequence[MemberState], policy: Policy | None = None, seed: int | None = None
    ) -> None:
        self.members: list[MemberState] = list(members)
        self.policy: Policy = policy or Policy()
        self.durations: Durations = Durations()
        self.started: int = 0
        self.copies: int = 0
        self._jitter = random.Random(seed)  # noqa: S311 - nothing secret
        self._fresh: deque[Job] = deque()
        self._again: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._cancels: deque[Lease] = deque()
        self._reserved: MemberState | None = None
        self._running: dict[Lease, None] = {}  # a set that keeps its order
        self._none_since: float | None = None
        self.was_up: bool = False

    # -- what goes in ----------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """More work."""
        self._fresh.append(job)

    def withdraw(self, job: Job) -> None:
        """Nobody wants the result any more."""
        job.ended = True
        self._cancels.extend(job.leases)

    @property
    def waiting(self) -> int:
        """How many pieces of work no host has."""
        return len(self._fresh) + len(self._again) + len(self._suspects)

    @property
    def room(self) -> int:
        """How much more work could be given out now, and as much again to have it at hand."""
        slots = sum(m.slots + self.policy.queued for m in self.members if m.health != "aside")
        return max(0, 2 * slots - self.waiting - len(self._running))

    @property
    def is_idle(self) -> bool:
        """Whether there is no work at all."""
        return not self.waiting and not self._running

    def drain(self) -> list[Job]:
        """Take back all that no host has, and forget which hosts are down: others may ask anew."""
        jobs = [*self._fresh, *self._again, *self._suspects]
        for queue in (self._fresh, self._again, self._suspects):
            queue.clear()
        for job in jobs:
            job.ended = True
        for member in self.members:
            member.forget()
        self._none_since = None
        self.was_up = False
        return jobs

    # -- what comes out --------------------------------------------------------------------------

    def next(self, now: float) -> Start | Cancel | Check | None:
        """What to do now; ``None`` if there is nothing more."""
        while self._cancels:
            lease = self._cancels.popleft()
            if lease in self._running:
                return Cancel(lease)
        for member in self.members:
            if member.due is not None and member.due <= now and not member.checking:
                member.checking = True
                return Check(member)
        for choose in (self._next_suspect, self._next_again, self._next_fresh, self._next_copy):
            if (found := choose(now)) is not None:
                return Start(found)
        return None

    def wake_at(self) -> float | None:
        """When ``next`` may have something without anything happening; ``None``: never."""
        moments = [m.due for m in self.members if m.due is not None and not m.checking]
        if self._none_since is not None and not any(m.checking for m in self.members):
            moments.append(self._none_since + self.policy.patience)
        if (limit := self._long()) is not None:
            moments += [lease.started + limit for lease, _ in self._copyable()]
        return min(moments, default=None)

    def given_up(self, now: float) -> bool:
        """Whether no host will take the work: none was ever well, or none is for too long."""
        if any(m.is_up or m.checking for m in self.members):
            return False
        if not self.was_up or all(m.health == "aside" for m in self.members):
            return all(m.health != "new" for m in self.members)
        return self._none_since is not None and now - self._none_since >= self.policy.patience

    def _next_suspect(self, now: float) -> Lease | None:
        """A suspect gets a host of its own, so that it takes nobody along and is to blame alone."""
        self._drop_ended(self._suspects)
        reserved = self._reserved
        if reserved is not None and not reserved.is_up:
            self._reserved = reserved = None
        if not self._suspects:
            if reserved is not None and not reserved.busy:
                self._reserved = None
            return None
        if reserved is None:
            up = [m for m in self.members if m.is_up]
            if not up:
                return None
            self._reserved = reserved = min(up, key=lambda m: m.busy)
        if reserved.busy:
            return None
        return self._lease(reserved, self._suspects.popleft(), now, alone=True)

    def _next_again(self, now: float) -> Lease | None:
        """Work that a server had an error for goes to another host, if there is one."""
        self._drop_ended(self._again)
        for place, job in enumerate(self._again):
            untried = [m for m in self.members if m.index not in job.tried]
            others = {m.index for m in untried if m.is_up}
            if not others and any(m.health == "new" for m in untried):
                continue  # one that is being looked at may be well: the first is not asked twice
            if not job.ended and (member := self._best(others or None)) is not None:
                del self._again[place]
                return self._lease(member, job, now)
        return None

    def _next_fresh(self, now: float) -> Lease | None:
        self._drop_ended(self._fresh)
        if not self._fresh or (member := self._best()) is None:
            return None
        return self._lease(member, self._fresh.popleft(), now)

    def _next_copy(self, now: float) -> Lease | None:
        if (limit := self._long()) is None:
            return None
        for lease, others in self._copyable():
            if now - lease.started >= limit and (member := self._best(others)) is not None:
                lease.job.hedged = True
                self.copies += 1
                return self._lease(member, lease.job, now, copy=True)
        return None

    @staticmethod
    def _drop_ended(jobs: deque[Job]) -> None:
        while jobs and jobs[0].ended:
            jobs.popleft()

    def _best(self, among: set[int] | None = None) -> MemberState | None:
        """The host that has the least to do, of all or of some; ``None`` if none has room."""
        best: MemberState | None = None
        least = (float("inf"), 0.0)
        for member in self.members:
            if not member.is_up or member is self._reserved:
                continue
            load = member.load(self.policy.queued)
            if load is not None and load < least and (among is None or member.index in among):
                best, least = member, load
        return best

    def _lease(
        self, member: MemberState, job: Job, now: float, *, alone: bool = False, copy: bool = False
    ) -> Lease:
        lease = Lease(member, job, now, alone=alone, copy=copy)
        self._running[lease] = None
        self.started += not copy
        return lease

    # -- hedging ---------------------------------------------------------------------------------

    def _long(self) -> float | None:
        """Seconds from which a row takes long; ``None`` if that is not known yet."""
        if not self.policy.hedge or self.durations.count < _ENOUGH:
            return None
        return max(self.policy.hedge_least, self.policy.hedge_factor * (self.durations.p95 or 0.0))

    def _copyable(self) -> Iterator[tuple[Lease, set[int]]]:
        """What may be asked on a second host, and on which: only where nothing else waits for them."""
        if self.waiting or self.copies >= max(1.0, self.policy.hedge_share * self.started):
            return
        free = [m for m in self.members if m.is_up and m is not self._reserved and m.busy < m.slots]
        for lease in self._running:
            job = lease.job
            others = {m.index for m in free if m is not lease.member}
            if others and len(job.rows) == 1 and not (job.hedged or job.suspect or job.ended):
                yield lease, others

    # -- what happened ---------------------------------------------------------------------------

    def finished(self, lease: Lease, now: float, rows: int | None = None) -> bool:
        """A result is there; whether it is the first, so that it counts."""
        self._release(lease)
        member, job = lease.member, lease.job
        member.heard = now
        member.pause = 0.0
        seconds = now - lease.started
        member.durations.add(seconds)
        self.durations.add(seconds)
        if job.ended:
            return False
        job.ended = True
        member.done += len(job.rows) if rows is None else rows
        self._cancels.extend(job.leases)
        return True

    def cancelled(self, lease: Lease) -> None:
        """The work was stopped."""
        self._release(lease)

    def failed(
        self, lease: Lease, fault: Fault, why: str, now: float, left: Sequence[Any] | None = None
    ) -> Verdict:
        """There is no result.

        Args:
            lease: Whose.
            fault: The kind of failure.
            why: Its words, for the host's state.
            now: The moment.
            left: The rows that have no result, if some of several have one.

        Returns:
            What becomes of the rows that are left.
        """
        self._release(lease)
        self._note_health(lease, fault, why, now)
        job = lease.job
        if job.ended or job.leases:
            job.suspect = job.suspect or fault in (Fault.LOST, Fault.SILENT)
            return Verdict.ELSEWHERE
        if left is not None and len(job.rows) > 1:
            job.rows = left
        if fault in (Fault.LOST, Fault.SILENT):
            return self._suspect(lease)
        if fault in (Fault.UNREACHED, Fault.REFUSED, Fault.MISSING):
            return self._unasked(job)
        job.attempts += 1
        job.tried.add(lease.member.index)
        if fault is Fault.VALUE or job.attempts > self.policy.retries:
            return self._give_up(job)
        (self._suspects if job.suspect else self._again).append(job)
        return Verdict.AGAIN

    def again(self, job: Job, lease: Lease) -> Verdict:
        """One of several rows has an error, and the others have not: it is asked again by itself."""
        lease.member.failed += 1
        lease.member.done -= 1  # it was counted with the others
        job.attempts += 1
        job.tried.add(lease.member.index)
        if job.attempts > self.policy.retries:
            return self._give_up(job)
        self._again.append(job)
        return Verdict.AGAIN

    def _suspect(self, lease: Lease) -> Verdict:
        if lease.alone:
            return self._give_up(lease.job)
        for single in lease.job.singles(lease.job.rows):
            single.suspect = True
            self._suspects.append(single)
        return Verdict.AGAIN

    def _unasked(self, job: Job) -> Verdict:
        """Nobody has seen it, so nothing can be its fault."""
        job.missed += 1
        if job.missed > _MOST_MISSED + 2 * len(self.members):
            return self._give_up(job)
        (self._suspects if job.suspect else self._again).appendleft(job)
        return Verdict.AGAIN

    @staticmethod
    def _give_up(job: Job) -> Verdict:
        job.ended = True
        return Verdict.FAILED

    def _release(self, lease: Lease) -> None:
        lease.release()
        self._running.pop(lease, None)

    def _note_health(self, lease: Lease, fault: Fault, why: str, now: float) -> None:
        member = lease.member
        if fault in (Fault.VALUE, Fault.SERVER):
            member.heard = now
            member.failed += 1
        elif fault in (Fault.LOST, Fault.SILENT):
            member.lost += 1
        silence = self.policy.idle_timeout or 0.0
        if fault is Fault.SILENT and member.heard > now - silence:
            return  # it answers others: slow with this row is not dead
        if fault is Fault.REFUSED:
            member.set_aside(why)
        elif fault in (Fault.LOST, Fault.SILENT, Fault.UNREACHED, Fault.MISSING) and member.is_up:
            member.fall(why, now, self.policy, self._jitter)
        self._note_none(now)

    # -- health ----------------------------------------------------------------------------------

    def checked(
        self, member: MemberState, why: str | None, now: float, *, aside: bool = False
    ) -> None:
        """A host was tried.

        Args:
            member: Which.
            why: What is wrong with it; ``None`` if it is well.
            now: The moment.
            aside: Whether it is not to be tried again.
        """
        if why is None:
            member.rise()
            self.was_up = True
        elif aside:
            member.set_aside(why)
        else:
            member.fall(why, now, self.policy, self._jitter)
        self._note_none(now)

    def _note_none(self, now: float) -> None:
        if any(m.is_up for m in self.members):
            self._none_since = None
        elif self._none_since is None:
            self._none_since = now
