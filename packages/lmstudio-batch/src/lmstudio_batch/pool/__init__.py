"""Several hosts as one model."""

from __future__ import annotations

from .aio import AsyncPool
from .members import Member, MemberStatus
from .sync import Pool

__all__ = ["AsyncPool", "Member", "MemberStatus", "Pool"]
