"""Fleets of hosts that are not there: a clock that is told what time it is, and hosts that fail."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from lmstudio_batch.scheduling import (
    Check,
    Fault,
    Job,
    Lease,
    MemberState,
    Policy,
    Scheduler,
    Start,
    Verdict,
)

_MOST_STEPS = 20_000


@dataclass(frozen=True)
class Host:
    """How a host behaves: its latency in seconds, and how often (0 to 1) what goes wrong."""

    slots: int = 4
    latency: float = 0.1
    server_error: float = 0.0
    lost: float = 0.0
    silent: float = 0.0
    missing: float = 0.0
    unwell: float = 0.0
    straggler: float = 0.0
    dies_at: float = float("inf")
    refuses: bool = False


class Fleet:
    """Runs a scheduler to its end, moment by moment.

    Attributes:
        results: What each row ended with, every time that it did: a host's name or a fault.
        asked: How often a host got each row.
        killed: How often the killer took a host down, and by how many rows each time.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        policy: Policy | None = None,
        *,
        seed: int = 0,
        killers: Sequence[int] = (),
        poison: Sequence[int] = (),
    ) -> None:
        members = [MemberState(i, f"host{i}", host.slots) for i, host in enumerate(hosts)]
        self.scheduler = Scheduler(members, policy, seed)
        self.hosts = hosts
        self.killers, self.poison = set(killers), set(poison)
        self.now = 0.0
        self.results: dict[int, list[str]] = {}
        self.asked: dict[int, int] = {}
        self.killed: list[int] = []
        self.most_busy = 0
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, object, object]] = []
        self._numbers = itertools.count()
        self._running: dict[Lease, None] = {}

    def run(self, rows: int, chunk: int = 1) -> bool:
        """Feed rows until all have ended; whether they did, and were not given up."""
        left = iter(range(rows))
        pending = 0
        ended = False
        for _ in range(_MOST_STEPS):
            while not ended and pending < self.scheduler.room + 1:
                taken = list(itertools.islice(left, chunk))
                ended = not taken
                if taken:
                    self.scheduler.add(Job(taken))
                    pending += 1
                if self.scheduler.room == 0:
                    break
            pending = 0
            self._act()
            self._check()
            if self.scheduler.given_up(self.now):
                return False
            if ended and not self._running and not self.scheduler.waiting:
                return True
            self._advance()
        raise AssertionError("it goes on for ever")

    def _act(self) -> None:
        while (action := self.scheduler.next(self.now)) is not None:
            if isinstance(action, Start):
                self._start(action.lease)
            elif isinstance(action, Check):
                self._at(0.01, "check", action.member)
            else:
                self._running.pop(action.lease, None)
                self.scheduler.cancelled(action.lease)

    def _start(self, lease: Lease) -> None:
        host = self.hosts[lease.member.index]
        assert lease.member.is_up
        self._running[lease] = None
        for row in lease.job.rows:
            self.asked[row] = self.asked.get(row, 0) + 1
        chance = self._random.random
        took = host.latency * (0.5 + chance()) * (50 if chance() < host.straggler else 1)
        killer = self.killers & set(lease.job.rows)
        outcome: Fault | None = None
        if self.now >= host.dies_at:
            outcome, took = Fault.UNREACHED, 0.001
        elif killer:
            outcome = Fault.LOST
        else:
            for fault, share in (
                (Fault.SERVER, host.server_error),
                (Fault.LOST, host.lost),
                (Fault.SILENT, host.silent),
                (Fault.MISSING, host.missing),
            ):
                if chance() < share:
                    outcome = fault
                    break
            else:
                outcome = Fault.SERVER if self.poison & set(lease.job.rows) else None
        self._at(took, "end", (lease, outcome))

    def _at(self, seconds: float, kind: str, what: object) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), kind, what))

    def _advance(self) -> None:
        wake = self.scheduler.wake_at()
        at = self._events[0][0] if self._events else float("inf")
        assert wake is not None or self._events, "it waits for nothing"
        if wake is not None and wake < at:
            self.now = max(self.now, wake) + 1e-9
            return
        self.now, _, kind, what = heapq.heappop(self._events)
        if kind == "check":
            self._checked(what)
        else:
            self._ended(*what)  # type: ignore[misc]

    def _checked(self, member) -> None:
        host = self.hosts[member.index]
        if host.refuses:
            self.scheduler.checked(member, "refused", self.now, aside=True)
        elif self.now >= host.dies_at or self._random.random() < host.unwell:
            self.scheduler.checked(member, "nobody there", self.now)
        else:
            self.scheduler.checked(member, None, self.now)

    def _ended(self, lease: Lease, fault: Fault | None) -> None:
        if lease not in self._running:
            return
        if fault is Fault.LOST:  # all that the host had is lost with it
            there = [one for one in self._running if one.member is lease.member]
            self.killed.append(len(there))
        else:
            there = [lease]
        for one in there:
            del self._running[one]
            if fault is None:
                if self.scheduler.finished(one, self.now):
                    self._end(one.job.rows, one.member.name)
            else:
                rows = one.job.rows
                if self.scheduler.failed(one, fault, fault.value, self.now) is Verdict.FAILED:
                    self._end(rows, fault.value)

    def _end(self, rows: Sequence[int], how: str) -> None:
        for row in rows:
            self.results.setdefault(row, []).append(how)

    def _check(self) -> None:
        busy = {member.index: 0 for member in self.scheduler.members}
        for lease in self._running:
            busy[lease.member.index] += 1
        for member in self.scheduler.members:
            assert member.busy == busy[member.index] >= 0
            assert member.busy <= member.slots + self.scheduler.policy.queued
            assert min(member.done, member.failed, member.lost) >= 0
