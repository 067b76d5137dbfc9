"""The scheduler's hands: runs what it starts, tells it what came of it, and owns the tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, cast

from lmstudio_core.plugins.api import (
    LMStudioCancelledError,
    LMStudioError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
)

from ..errors import NoHostError
from ..scheduling import (
    Cancel,
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
from .faults import fault_of, is_final, reason
from .hosts import Host, Model
from .members import MemberStatus, Missing
from .tasks import Task

__all__ = ["Running"]


class Running:
    """Work on hosts, in one event loop.

    Args:
        hosts: The hosts.
        policy: The numbers.
        row_timeout: Seconds that a row may take as a whole.
        missing: What is done about a host without the model.
    """

    def __init__(
        self, hosts: Sequence[Host], policy: Policy, row_timeout: float | None, missing: Missing
    ) -> None:
        self.hosts: list[Host] = list(hosts)
        states = [MemberState(i, h.member.name, h.member.slots or 4) for i, h in enumerate(hosts)]
        self.scheduler: Scheduler = Scheduler(states, policy)
        self.agreed: Model | None = None
        self._agreed_on = ""
        self._dimension: int | None = None
        self._row_timeout = row_timeout
        self._missing: Missing = missing
        self._tasks: set[asyncio.Task[None]] = set()
        self._of: dict[Lease, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def submit(self, job: Job) -> None:
        """Take work; its task hears what comes of it."""
        self.scheduler.add(job)
        self.pump()

    def withdraw(self, job: Job) -> None:
        """Nobody wants it any more."""
        self.scheduler.withdraw(job)
        self.pump()

    def pump(self) -> None:
        """Do what the scheduler wants done now, and come back when it says so."""
        if self._closed:
            return
        now = time.monotonic()
        while (action := self.scheduler.next(now)) is not None:
            match action:
                case Start(lease):
                    self._of[lease] = self._spawn(self._work(lease))
                case Check(member):
                    self._spawn(self._check(member))
                case Cancel(lease):
                    self.scheduler.cancelled(lease)
                    self._of.pop(lease).cancel()
        if self.scheduler.waiting and self.scheduler.given_up(now):
            self._stop()
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # Nobody waits: hosts that are down are tried again when there is work for them.
        if self.scheduler.is_idle or (wake := self.scheduler.wake_at()) is None:
            return
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wake - now), self.pump)

    def _stop(self) -> None:
        reasons = [(m.name, m.why) for m in self.scheduler.members]
        waited = self.scheduler.policy.patience if self.scheduler.was_up else 0.0
        self._fail(NoHostError.of(reasons, waited), self.scheduler.drain())

    @staticmethod
    def _fail(error: Exception, jobs: Iterable[Job]) -> None:
        """Tell whoever waits for some jobs, once each."""
        tasks: dict[int, Task] = {id(job.task): job.task for job in jobs}
        for task in tasks.values():
            task.stop(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- work ------------------------------------------------------------------------------------

    async def _work(self, lease: Lease) -> None:
        job, host = lease.job, self.hosts[lease.member.index]
        task: Task = job.task
        answers: list[tuple[Any, Any]] = []
        connected = False
        error: BaseException | None = None
        began = time.monotonic()
        try:
            await host.connect()
            connected = True
            await task.run(host.handle, job.rows, lambda row, result: answers.append((row, result)))
        except asyncio.CancelledError:
            self._cancelled(lease)
            raise
        except Exception as raised:  # noqa: BLE001 - the row's or the host's, and told to either
            error = raised
        self._of.pop(lease, None)
        now = time.monotonic()
        if error is None:
            self._finished(lease, host, answers, now)
        else:
            fault = fault_of(
                error, connected=connected, took=now - began, row_timeout=self._row_timeout
            )
            self._failed(lease, fault, error, answers, now)
        self.pump()

    def _cancelled(self, lease: Lease) -> None:
        if self._of.pop(lease, None) is not None:
            self.scheduler.cancelled(lease)

    def _finished(
        self, lease: Lease, host: Host, answers: list[tuple[Any, Any]], now: float
    ) -> None:
        if (why := self._odd_dimension(answers)) is not None:
            self.scheduler.failed(lease, Fault.REFUSED, why, now, lease.job.rows)
            return
        first = self.scheduler.finished(lease, now)
        for row, result in answers:
            host.count(result, first=first)
            if first:
                self._deliver(lease, row, result)

    def _odd_dimension(self, answers: list[tuple[Any, Any]]) -> str | None:
        """How a host's vectors differ from those of the others; one alone is nobody's."""
        for _, vector in answers:
            if not isinstance(vector, list):
                continue
            length = len(cast("list[float]", vector))
            if self._dimension is None:
                self._dimension = length
            if length != self._dimension:
                return (
                    f"Its vectors have {length} numbers, and those of the others {self._dimension}; the hosts "
                    "have to agree."
                )
            return None  # a model's vectors are all of one length
        return None

    def _deliver(self, lease: Lease, row: Any, result: Any) -> None:
        """A row's end; an error in its place is one of several rows' that were asked together."""
        job = lease.job
        if isinstance(result, LMStudioServerError) and not is_final(result):
            single = Job([row], job.task)
            single.attempts = job.attempts
            if self.scheduler.again(single, lease) is Verdict.AGAIN:
                return
        job.task.deliver(row, result, lease.member.name, job.attempts + 1)

    def _failed(
        self,
        lease: Lease,
        fault: Fault,
        error: Exception | BaseException,
        answers: list[Any],
        now: float,
    ) -> None:
        job = lease.job
        whole = len(job.rows) == 1
        for row, result in [] if whole else answers:
            self.hosts[lease.member.index].count(result, first=True)
            self._deliver(lease, row, result)
        left = job.rows if whole else job.rows[len(answers) :]
        attempts = job.attempts + 1
        verdict = self.scheduler.failed(lease, fault, reason(error), now, left)
        if verdict is Verdict.FAILED:
            for row in left:
                job.task.deliver(row, error, lease.member.name, attempts)

    # -- health ----------------------------------------------------------------------------------

    async def _check(self, member: MemberState) -> None:
        host = self.hosts[member.index]
        why: str | None = None
        aside = False
        try:
            member.slots = await host.find()
            why = self._disagreement(host)
            aside = why is not None
        except LMStudioModelNotFoundError as error:
            why = reason(error)
            aside = self._missing != "load" or host.handle is None
            if self._missing == "error":
                self._fail(error, self.scheduler.drain())
        except Exception as error:  # noqa: BLE001 - whatever it is, the host is not well
            why = reason(error)
            fault = fault_of(error, connected=False, took=0.0, row_timeout=None)
            aside = fault in (Fault.REFUSED, Fault.VALUE) and isinstance(error, LMStudioError)
        self.scheduler.checked(member, why, time.monotonic(), aside=aside)
        self.pump()

    def _disagreement(self, host: Host) -> str | None:
        """How its model differs from the others', whose answers it would mix with its own."""
        if self.agreed is None:
            self.agreed, self._agreed_on = host.model, host.member.name
        if host.model == self.agreed:
            return None
        return f"It has {host.model}, and {self._agreed_on} has {self.agreed}; the hosts have to agree."

    # -- the rest --------------------------------------------------------------------------------

    def status(self) -> list[MemberStatus]:
        """How each host is doing."""
        return [
            MemberStatus(
                name=m.name,
                state=m.health,
                why=m.why,
                slots=m.slots,
                busy=m.busy,
                done=m.done,
                failed=m.failed,
                lost=m.lost,
                p50=m.durations.p50,
                p95=m.durations.p95,
                tokens=h.tokens,
                wasted=h.wasted,
            )
            for m, h in zip(self.scheduler.members, self.hosts, strict=True)
        ]

    async def aclose(self) -> None:
        """Cancel what is in flight, wait for its end, and close the connections."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        jobs = [*self.scheduler.drain(), *(lease.job for lease in self._of)]
        self._fail(LMStudioCancelledError("The pool was closed while this call waited."), jobs)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for host in self.hosts:
            await host.client.aclose()
