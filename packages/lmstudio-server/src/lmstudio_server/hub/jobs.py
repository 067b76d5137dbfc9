"""Downloads that nobody has to wait for: started by one request, looked at by others."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lmstudio_server.presence import Presence

    from .offers import Offer
    from .service import HubService

__all__ = ["DownloadJob", "DownloadJobs"]

_log = logging.getLogger(__name__)

MAX_ENDED = 100
"""How many downloads that have ended are remembered."""


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _new_id() -> str:
    return f"job_{secrets.token_hex(5)}"


@dataclass(eq=False)
class DownloadJob:
    """One download."""

    offer: Offer
    job_id: str = field(default_factory=_new_id)
    status: Literal["downloading", "completed", "failed"] = "downloading"
    downloaded_bytes: int = 0
    bytes_per_second: float = 0.0
    started: datetime = field(default_factory=_now)
    ended: datetime | None = None
    error: Exception | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once something is known of it."""

    async def take(self, packet: Mapping[str, Any]) -> None:
        """A packet of the download."""
        if packet["type"] == "downloadProgress":
            update = packet["update"]
            self.downloaded_bytes = update["downloadedBytes"]
            self.bytes_per_second = update["speedBytesPerSecond"]
        self.begun.set()

    def end(self, error: Exception | None) -> None:
        """It is over."""
        self.status = "completed" if error is None else "failed"
        self.error, self.ended = error, _now()
        if error is None:
            self.downloaded_bytes = self.offer.size_bytes
        self.begun.set()


class DownloadJobs:
    """The downloads of one server that run by themselves. They end with the server.

    Args:
        hub: Does the work.
        presence: Told of them, so that a server does not end as idle while one runs.
    """

    def __init__(self, hub: HubService, presence: Presence) -> None:
        self._hub = hub
        self._presence = presence
        self._jobs: dict[str, DownloadJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def all(self) -> list[DownloadJob]:
        """Those that run and those that have ended lately, the oldest first."""
        return list(self._jobs.values())

    def find(self, job_id: str) -> DownloadJob | None:
        """The one with that identifier."""
        return self._jobs.get(job_id)

    def start(self, offer: Offer, commit: str) -> DownloadJob:
        """Begin to download, unless a job does so already."""
        for job in self._jobs.values():
            if job.status == "downloading" and job.offer.identifier == offer.identifier:
                return job
        job = DownloadJob(offer)
        self._jobs[job.job_id] = job
        self._forget()
        task = asyncio.get_running_loop().create_task(self._run(job, commit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def close(self) -> None:
        """Stop them all; what has arrived is kept."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, job: DownloadJob, commit: str) -> None:
        self._presence.entered()
        try:
            await self._hub.download(job.offer, commit, send=job.take, cancelled=asyncio.Event())
        except Exception as error:  # noqa: BLE001 - whatever it is, those who look must hear of it
            _log.warning("the download of %s failed: %s", job.offer.identifier, error)
            job.end(error)
        else:
            job.end(None)
        finally:
            self._presence.left()

    def _forget(self) -> None:
        ended = [job.job_id for job in self._jobs.values() if job.ended is not None]
        for job_id in ended[:-MAX_ENDED]:
            del self._jobs[job_id]
