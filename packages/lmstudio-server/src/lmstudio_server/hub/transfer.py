"""Bringing files to the disk: each is written beside its place, checked, and then moved there."""

from __future__ import annotations

import asyncio
import errno
import glob
import hashlib
import logging
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lmstudio_server.daemon.lock import LockTimeoutError, file_lock

from .errors import (
    HubError,
    busy,
    cannot_write,
    damaged,
    disk_full,
    size_text,
    too_long,
    unreachable,
)

if TYPE_CHECKING:
    from .answers import InterruptedTransferError
    from .offers import RemoteFile
    from .remote import Hub

__all__ = ["LONGEST_WAIT", "RETRY_SECONDS", "Piece", "Places", "Transfer", "digest_of"]

_log = logging.getLogger(__name__)

RETRY_SECONDS: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
"""How long to wait before each new attempt; data that arrives starts the row anew."""
LONGEST_WAIT = 600.0
"""How many seconds at most are waited where the hub asks for it (``Retry-After``)."""
_pause = asyncio.sleep
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_WRITE_BYTES = 1 << 20
_WRITE_SECONDS = 0.25
_HASH_BYTES = 1 << 22
_SPARE_BYTES = 16 * 1024 * 1024
"""What has to stay free on the disk."""


@dataclass(frozen=True)
class Piece:
    """A file of the hub and its place on the disk."""

    file: RemoteFile
    target: Path

    @property
    def partial(self) -> Path:
        """What has arrived so far. Hidden, so that it is not taken for a model; its name holds the
        digest, so that another version of the file is not continued from it.
        """
        return self.target.with_name(f".{self.target.name}.{self.file.digest[:12]}.part")

    def partial_bytes(self) -> int:
        """How much of it has arrived."""
        try:
            size = self.partial.stat().st_size
        except OSError:
            return 0
        return size if size <= self.file.size_bytes else 0

    def remove_outdated(self) -> None:
        """Remove what has arrived of other versions: nothing will go on from it."""
        for path in self.target.parent.glob(f".{glob.escape(self.target.name)}.*.part"):
            if path != self.partial:
                with suppress(OSError):
                    path.unlink()


class Places:
    """Who writes where: downloads of this server wait for each other, other servers' are refused."""

    def __init__(self) -> None:
        self._locks: dict[Path, asyncio.Lock] = {}
        self._folders: dict[Path, tuple[int, ExitStack]] = {}

    def lock(self, target: Path) -> asyncio.Lock:
        """The lock of one file, among the downloads of this server."""
        return self._locks.setdefault(target, asyncio.Lock())

    @contextmanager
    def hold(self, folder: Path) -> Generator[None, None, None]:
        """Keep other servers out of a folder.

        Raises:
            LockTimeoutError: Another one is in it.
        """
        count, stack = self._folders.get(folder, (0, ExitStack()))
        if count == 0:
            stack.enter_context(file_lock(folder / ".download.lock", 0.0))
        self._folders[folder] = (count + 1, stack)
        try:
            yield
        finally:
            count, stack = self._folders.pop(folder)
            if count > 1:
                self._folders[folder] = (count - 1, stack)
            else:
                stack.close()


class Transfer:
    """Fetches the files of one model.

    Args:
        hub: Where from.
        repository: Its identifier there.
        commit: Which version.
        pieces: What to fetch.
        places: Who writes where.
        on_bytes: Called with the bytes that are there so far.
        on_finalizing: Called when everything has arrived and is checked.
    """

    def __init__(
        self,
        hub: Hub,
        repository: str,
        commit: str,
        pieces: Sequence[Piece],
        places: Places,
        *,
        on_bytes: Callable[[int], None],
        on_finalizing: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._repository = repository
        self._commit = commit
        self._pieces = pieces
        self._places = places
        self._on_bytes = on_bytes
        self._on_finalizing = on_finalizing
        self._abandoned = threading.Event()
        self._arrived = {piece: piece.partial_bytes() for piece in pieces}

    @property
    def arrived_bytes(self) -> int:
        """What is there of all files; a file that was there whole counts once it is checked."""
        return sum(self._arrived.values())

    async def run(self) -> None:
        """Fetch what is missing. Whatever ends this, what has arrived is kept for the next time.

        Raises:
            HubError: The hub cannot be reached or refuses, the disk is full, a file is damaged, or
                another server is at it.
        """
        folder = self._pieces[0].target.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            async with AsyncExitStack() as held:
                held.enter_context(self._places.hold(folder))
                # Two models of a repository share a projector: who comes second waits. All take
                # the locks in one order, so nobody waits in a circle.
                for target in sorted({piece.target for piece in self._pieces}):
                    await held.enter_async_context(self._places.lock(target))
                await self._run()
        except LockTimeoutError as error:
            raise HubError(
                f"Another server downloads {self._repository} at this moment.",
                cause=f"It puts it into {folder}.",
                suggestion="Wait until it is done, or stop that download.",
            ) from error
        except OSError as error:
            if error.errno in _FULL:
                free = shutil.disk_usage(folder).free
                raise disk_full(
                    self._repository, str(folder), self._missing_bytes(), free
                ) from error
            raise cannot_write(str(folder), error) from error
        finally:
            self._abandoned.set()

    def _missing_bytes(self) -> int:
        return sum(piece.file.size_bytes for piece in self._pieces) - self.arrived_bytes

    async def _run(self) -> None:
        wanted: list[Piece] = []
        for piece in self._pieces:
            if await self._is_there(piece):
                self._has(piece, piece.file.size_bytes)
            else:
                wanted.append(piece)
        for piece in wanted:
            piece.remove_outdated()
        self._check_room(wanted)
        if wanted:
            size = size_text(self._missing_bytes())
            _log.info("downloading %s of %s", size, self._repository)
        for piece in wanted:
            await self._fetch(piece)
        self._on_finalizing()
        for piece in wanted:
            await self._check(piece)
        for piece in wanted:
            piece.partial.replace(piece.target)
            _log.info("downloaded %s", piece.target)

    def _has(self, piece: Piece, arrived: int) -> None:
        self._arrived[piece] = arrived
        self._on_bytes(self.arrived_bytes)

    async def _is_there(self, piece: Piece) -> bool:
        try:
            if piece.target.stat().st_size != piece.file.size_bytes:
                return False
        except OSError:
            return False
        expected, actual = await self._digests(piece.file, piece.target)
        return expected == actual

    def _check_room(self, wanted: Sequence[Piece]) -> None:
        needed = sum(piece.file.size_bytes - piece.partial_bytes() for piece in wanted)
        folder = self._pieces[0].target.parent
        free = shutil.disk_usage(folder).free
        if needed and needed + _SPARE_BYTES > free:
            raise disk_full(self._repository, str(folder), needed + _SPARE_BYTES, free)

    async def _fetch(self, piece: Piece) -> None:
        from .answers import InterruptedTransferError

        waits = iter(RETRY_SECONDS)
        most = offset = piece.partial_bytes()
        while offset < piece.file.size_bytes:
            self._has(piece, offset)
            try:
                await self._append(piece, offset)
                offset = piece.partial_bytes()
            except InterruptedTransferError as error:
                arrived = piece.partial_bytes()
                if arrived > most:  # more than ever, or a file begun anew would be so for ever
                    most, waits = arrived, iter(RETRY_SECONDS)
                wait = next(waits, None)
                asked = error.wait or 0.0
                if wait is None or asked > LONGEST_WAIT:
                    self._has(piece, arrived)
                    kept = size_text(self.arrived_bytes)
                    raise self._stays_away(error, kept) from error
                wait = max(wait, asked)
                _log.warning("%s: %s; trying again in %g s", piece.file.name, error, wait)
                await _pause(wait)
                offset = 0 if error.anew else arrived

    def _stays_away(self, error: InterruptedTransferError, kept: str) -> HubError:
        if error.wait is not None:
            return busy(self._hub.endpoint, str(error), error.wait, kept)
        return unreachable(self._hub.endpoint, str(error), kept=kept)

    async def _append(self, piece: Piece, offset: int) -> None:
        from .answers import InterruptedTransferError

        if offset:
            _log.info("%s goes on from %s", piece.file.name, size_text(offset))
        async with self._hub.content(self._repository, self._commit, piece.file, offset) as (
            start,
            blocks,
        ):
            # A file that is longer than it should be was taken for nothing: it is begun anew.
            with piece.partial.open("ab" if start else "wb") as stream:
                await self._write(piece, stream, start, blocks)
        self._has(piece, piece.partial_bytes())
        if self._arrived[piece] < piece.file.size_bytes:
            raise InterruptedTransferError("The hub ended the connection too early.")

    async def _write(
        self, piece: Piece, stream: BinaryIO, written: int, blocks: AsyncGenerator[bytes, None]
    ) -> None:
        """Write in large steps, in a thread: a slow disk must not hold up the server."""
        pending = bytearray()
        since = float("-inf")  # the first block is written, and told of, at once
        try:
            async with aclosing(blocks):
                async for block in blocks:
                    pending += block
                    if written + len(pending) > piece.file.size_bytes:
                        raise too_long(piece.file.name, piece.file.size_bytes)
                    now = time.monotonic()
                    if len(pending) >= _WRITE_BYTES or now - since >= _WRITE_SECONDS:
                        step, pending, since = bytes(pending), bytearray(), now
                        await _finished(asyncio.to_thread(_put, stream, step))
                        written += len(step)
                        self._has(piece, written)
        finally:
            # What has arrived is worth keeping, however this ends.
            stream.write(pending)

    async def _check(self, piece: Piece) -> None:
        expected, actual = await self._digests(piece.file, piece.partial)
        if expected != actual:
            with suppress(OSError):
                piece.partial.unlink()
            raise damaged(piece.file.name, expected, actual)

    async def _digests(self, file: RemoteFile, path: Path) -> tuple[str, str]:
        """What the digest of a file should be, and what it is."""
        if file.sha256 is None and file.blob_id is None:
            _log.warning("the hub has no checksum for %s: only its size is checked", file.name)
            return "", ""
        actual = await asyncio.to_thread(digest_of, file, path, self._abandoned)
        return file.sha256 or str(file.blob_id), actual


def _put(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
    stream.flush()


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Await it; when cancelled, wait until it is done, since its thread still has the file."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def digest_of(file: RemoteFile, path: Path, abandoned: threading.Event) -> str:
    """The SHA-256 of a file, or git's digest where the hub has only that.

    Args:
        file: What the hub tells of the file.
        path: The file on the disk.
        abandoned: Tells whether to stop.
    """
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(usedforsecurity=False)
    if not file.sha256:
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while not abandoned.is_set() and (block := stream.read(_HASH_BYTES)):
            digest.update(block)
    return digest.hexdigest()
