"""Which host gets which work, and what becomes of it. No I/O, no clock: moments are told."""

from __future__ import annotations

from .durations import Durations
from .members import MemberState
from .policy import Fault, Policy, Verdict
from .scheduler import Cancel, Check, Scheduler, Start
from .work import Job, Lease

__all__ = [
    "Cancel",
    "Check",
    "Durations",
    "Fault",
    "Job",
    "Lease",
    "MemberState",
    "Policy",
    "Scheduler",
    "Start",
    "Verdict",
]
