"""Downloads under way. Clients who want the same model at the same time share one download."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .transfer import Piece, Places, Transfer

if TYPE_CHECKING:
    from .offers import Offer
    from .remote import Hub

__all__ = ["Downloads", "pieces_of"]

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_REPORT_SECONDS = 0.1
HEARTBEAT_SECONDS = 5.0
"""How often a client is told of a download of which there is nothing new: checking a large file takes
longer than clients wait for a sign of life."""
_SPEED_SECONDS = 5.0
"""The time over which the speed is averaged."""


def pieces_of(offer: Offer, folder: Path) -> list[Piece]:
    """An offer's files with their places below the models folder."""
    return [Piece(file, folder / offer.place(file)) for file in offer.all_files]


class _Job:
    """One download, and what there is to tell of it."""

    def __init__(self, hub: Hub, offer: Offer, commit: str, folder: Path, places: Places) -> None:
        self.total = offer.size_bytes
        self.finalizing = False
        self.followers = 0
        self.stopping = False
        self._watchers: set[asyncio.Event] = set()
        self._recent: deque[tuple[float, int]] = deque()
        self._reporting: asyncio.TimerHandle | None = None
        transfer = Transfer(
            hub,
            offer.repository,
            commit,
            pieces_of(offer, folder),
            places,
            on_bytes=self._on_bytes,
            on_finalizing=self._on_finalizing,
        )
        self.downloaded = transfer.arrived_bytes
        self.task = asyncio.get_running_loop().create_task(transfer.run())
        self.task.add_done_callback(lambda _task: self._wake())

    def watch(self) -> asyncio.Event:
        event = asyncio.Event()
        event.set()
        self._watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        self._watchers.discard(event)

    def update(self) -> dict[str, Any]:
        """The protocol's ``downloadProgressUpdate``."""
        return {
            "downloadedBytes": self.downloaded,
            "totalBytes": self.total,
            "speedBytesPerSecond": self._speed(),
        }

    def _speed(self) -> float:
        if len(self._recent) < 2:
            return 0.0
        (start, first), (end, last) = self._recent[0], self._recent[-1]
        return round((last - first) / (end - start), 1) if end > start else 0.0

    def _on_bytes(self, downloaded: int) -> None:
        now = time.monotonic()
        self.downloaded = downloaded
        self._recent.append((now, downloaded))
        while now - self._recent[0][0] > _SPEED_SECONDS:
            self._recent.popleft()
        if self._reporting is None:
            self._wake()
            self._reporting = asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._report)

    def _report(self) -> None:
        """Tell of what came since; the next bytes are told of at once again."""
        self._reporting = None
        self._wake()

    def _on_finalizing(self) -> None:
        self.finalizing = True
        self._wake()

    def _wake(self) -> None:
        for event in self._watchers:
            event.set()


class Downloads:
    """Runs downloads in tasks of their own, so that one of several clients can leave alone."""

    def __init__(self) -> None:
        self._jobs: dict[Path, _Job] = {}
        self._places = Places()

    def is_running(self, offer: Offer, folder: Path) -> bool:
        """Whether somebody downloads this already."""
        return folder / offer.model_path in self._jobs

    async def run(
        self,
        hub: Hub,
        offer: Offer,
        commit: str,
        folder: Path,
        *,
        send: Send,
        cancelled: asyncio.Event,
    ) -> bool:
        """Download, or join the download of the same model; false when ``cancelled`` was set.

        ``send`` is given the packets ``downloadProgress`` and ``startFinalizing``. When the last
        client leaves, the download stops; what has arrived is kept.

        Args:
            hub: Where from.
            offer: Which files.
            commit: Of which version of the repository.
            folder: Where to.
            send: Called with the progress.
            cancelled: Set when the client gives up.

        Raises:
            HubError: The download failed.
        """
        key = folder / offer.model_path
        while (job := self._jobs.get(key)) is not None and job.stopping:
            await asyncio.wait({job.task})
        if job is None:
            job = self._jobs[key] = _Job(hub, offer, commit, folder, self._places)
            job.task.add_done_callback(lambda _task: self._jobs.pop(key, None))
        job.followers += 1
        try:
            return await self._follow(job, send, cancelled)
        finally:
            job.followers -= 1
            if job.followers == 0 and not job.task.done():
                job.stopping = True
                job.task.cancel()
                await asyncio.wait({job.task})

    async def _follow(self, job: _Job, send: Send, cancelled: asyncio.Event) -> bool:
        changed = job.watch()
        stop = asyncio.get_running_loop().create_task(cancelled.wait())
        stop.add_done_callback(lambda _task: changed.set())
        shown, finalizing = -1, False
        try:
            while True:
                try:
                    await asyncio.wait_for(changed.wait(), HEARTBEAT_SECONDS)
                except asyncio.TimeoutError:
                    shown = -1
                changed.clear()
                if cancelled.is_set():
                    return False
                done = job.task.done()
                if done:
                    job.task.result()
                if job.downloaded > shown or (shown < 0 and not done):
                    shown = job.downloaded
                    await send({"type": "downloadProgress", "update": job.update()})
                if job.finalizing and not finalizing:
                    finalizing = True
                    await send({"type": "startFinalizing"})
                if done:
                    return True
        finally:
            stop.cancel()
            job.unwatch(changed)
