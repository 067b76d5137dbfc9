"""What a batch has done, kept beside its output until that is whole.

A folder ``OUT.partial`` with ``spec.json`` (what decides the answers), ``lock``, and the parts: files
that are only appended to, one for each run, a line for each row::

    position digest ok|error host attempts tokens {the record as JSON}

A process that is killed leaves at worst half a line at the end of its part, which is cut off. Where a
row's line stands, and its digest, is kept in a file, so that memory does not grow with the rows; that
file is made anew from the parts each time.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple
from urllib.parse import quote

from typing_extensions import Self

from lmstudio_core.plugins.api import LMStudioRuntimeError

from ..errors import JournalError
from .rows import Outcome

__all__ = ["Done", "Journal", "read_state"]

_FORMAT: Final = 1
_FLUSH_SECONDS: Final = 1.0
"""What a process that is killed may lose; a disk takes one write a second easily."""
_PLACE: Final = struct.Struct("<QQ")
"""Where a row stands (part << 44 | offset, plus 1; 0 for nowhere), and its digest."""
_PART_SHIFT: Final = 44
_BLOCK: Final = 4096
_BUFFER: Final = 256 * 1024
"""Bytes that are written together: vectors fill a usual buffer every few rows."""


class Done(NamedTuple):
    """A row's line in the journal."""

    position: int
    digest: str
    ok: bool
    tokens: int
    record: bytes


class Journal:
    """The journal of one output. As a context manager it is open, and no other run's.

    Args:
        path: Its folder.
        decides: What decides the answers; it has to be the same again.

    Attributes:
        count, failed, tokens: Rows that have an end, those of them with an error, and what all took.
        end: The number of rows that its input has at least.
    """

    def __init__(self, path: Path, decides: Mapping[str, Any]) -> None:
        self.path = path
        self.count: int = 0
        self.failed: int = 0
        self.tokens: int = 0
        self.end: int = 0
        self._decides = dict(decides)
        self._bitmap = bytearray()
        self._errors = bytearray()
        self._lock: BinaryIO | None = None
        self._part: BinaryIO | None = None
        self._parts: list[Path] = []
        self._index: BinaryIO | None = None
        self._quoted: dict[str, str] = {}
        self._flushed = 0.0

    # -- opening ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_dir():
            raise JournalError(f"{self.path} is in the way: it is not the journal of a batch.")
        self.path.mkdir(exist_ok=True)
        lock = (self.path / "lock").open("ab")
        if not lock_file(lock):
            lock.close()
            raise JournalError(
                f"Another run writes {self.path}. Wait for it, or end it; then the same call goes on "
                "from there."
            )
        self._lock = lock
        return self

    def resume(self, *, restart: bool = False, retry_failed: bool = False) -> None:
        """Read what is done, and go on after it.

        Args:
            restart: Forget it.
            retry_failed: Forget the rows with an error.

        Raises:
            JournalError: It was begun otherwise.
        """
        head = self.path / "spec.json"
        if restart:
            for path in self.path.glob("part-*"):
                path.unlink()
            head.unlink(missing_ok=True)
        if head.exists():
            self._check(head)
        else:
            unfinished = head.with_suffix(".new")
            unfinished.write_text(json.dumps({"format": _FORMAT, "spec": self._decides}), "utf-8")
            unfinished.replace(head)
        self._index = (self.path / "index").open("w+b", buffering=0)
        self._parts = sorted(self.path.glob("part-*.jsonl"))
        for number, path in enumerate(self._parts):
            self._read(number, path, retry_failed)
        path = self.path / f"part-{len(self._parts):05}.jsonl"
        self._parts.append(path)
        self._part = path.open("wb", buffering=_BUFFER)

    def _check(self, head: Path) -> None:
        try:
            found = json.loads(head.read_text("utf-8"))
            before, version = found["spec"], found["format"]
        except (ValueError, KeyError, TypeError):
            raise JournalError(
                f"{head} is in the way: it is not that of a batch's journal."
            ) from None
        now = json.loads(json.dumps(self._decides))
        if before == now and version == _FORMAT:
            return
        names = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
        differing = [f"{n} was {before.get(n)!r} and is {now.get(n)!r}" for n in names]
        raise JournalError(
            f"{self.path} was begun otherwise: {'; '.join(differing) or 'by another version'}. Use the "
            "same settings to go on, or restart=True (--restart) to begin anew."
        )

    def _read(self, number: int, path: Path, retry_failed: bool) -> None:
        offset = 0
        with path.open("r+b") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    stream.truncate(offset)  # it was killed in the middle of a line
                    break
                done = _parsed(line)
                if done.ok or not retry_failed:
                    self._note(done.position, done.ok, done.tokens)
                    self._put(done, number, offset)
                offset += len(line)

    # -- rows ------------------------------------------------------------------------------------

    def has(self, position: int) -> bool:
        """Whether a row has an end."""
        at = position >> 3
        return at < len(self._bitmap) and bool(self._bitmap[at] & (1 << (position & 7)))

    def check_digest(self, position: int, digest: str, source: str) -> None:
        """Make sure that a row that is done is what it was.

        Raises:
            JournalError: The input has changed.
        """
        _, kept = self._place(position)
        if kept != int(digest, 16):
            raise JournalError(
                f"Row {position + 1:,} of {source} is not what it was when {self.path} was begun. Give "
                "the same input to go on, or restart=True (--restart) to begin anew."
            )

    def check_end(self, rows: int, source: str) -> None:
        """Make sure that the input has all rows that are done.

        Raises:
            JournalError: It is shorter.
        """
        if self.end > rows:
            raise JournalError(
                f"{source} has {rows:,} rows (with the limit given), and {self.path} was begun with "
                f"{self.end:,} or more. Give the same input and limit to go on, or restart=True (--restart) to "
                "begin anew."
            )

    def add(self, outcome: Outcome, digest: str) -> bool:
        """Note what came of a row; whether it is the first that is heard of it."""
        if self.has(outcome.position):
            return False
        if self._part is None:
            raise LMStudioRuntimeError("The journal is not open; enter it with 'with' first.")
        state = "ok" if outcome.ok else "error"
        host = self._quoted.get(outcome.host) or self._quote(outcome.host)
        head = f"{outcome.position} {digest} {state} {host} {outcome.attempts} {outcome.tokens} "
        line = head.encode() + str(outcome.payload).encode() + b"\n"
        self._part.write(line)
        self._note(outcome.position, outcome.ok, outcome.tokens)
        self.flush_if_due()
        return True

    def _quote(self, host: str) -> str:
        self._quoted[host] = found = quote(host, safe=":/[]") or "-"
        return found

    def _note(self, position: int, ok: bool, tokens: int) -> None:
        at, bit = position >> 3, 1 << (position & 7)
        if at >= len(self._bitmap):
            more = bytes(at + _BLOCK - len(self._bitmap))
            self._bitmap += more
            self._errors += more
        if self._bitmap[at] & bit:
            self.failed -= bool(self._errors[at] & bit)
        else:
            self.count += 1
        self.end = max(self.end, position + 1)
        self._bitmap[at] |= bit
        self._errors[at] = self._errors[at] & ~bit if ok else self._errors[at] | bit
        self.failed += not ok
        self.tokens += tokens

    def _put(self, done: Done, part: int, offset: int) -> None:
        """Keep where a row's line stands; a later line of the same row takes its place."""
        if self._index is not None:
            place = ((part << _PART_SHIFT) | offset) + 1
            self._index.seek(done.position * _PLACE.size)
            self._index.write(_PLACE.pack(place, int(done.digest, 16)))

    def _put_own(self) -> None:
        """Keep where the lines of this run stand: not row by row, which would cost more than the line."""
        if self._part is None:
            return
        self._part.flush()
        number = len(self._parts) - 1
        offset = 0
        with self._parts[number].open("rb") as stream:
            for line in stream:
                self._put(_parsed(line), number, offset)
                offset += len(line)

    def _place(self, position: int) -> tuple[int, int]:
        if self._index is None:
            return 0, 0
        self._index.seek(position * _PLACE.size)
        data = self._index.read(_PLACE.size)
        return _PLACE.unpack(data) if len(data) == _PLACE.size else (0, 0)

    def flush_if_due(self) -> None:
        """Write what is buffered, once a second."""
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_SECONDS and self._part is not None:
            self._part.flush()
            self._flushed = now

    # -- the end ---------------------------------------------------------------------------------

    def records(self) -> Iterator[Done]:
        """All rows that have an end, by their positions."""
        if self._index is None or self._part is None:
            return
        self._put_own()
        files: list[BinaryIO] = [path.open("rb") for path in self._parts]
        try:
            self._index.seek(0)
            while data := self._index.read(_PLACE.size * _BLOCK):
                here = self._index.tell()
                for place, _ in _PLACE.iter_unpack(data):
                    if place:
                        number: int = place - 1
                        file = files[number >> _PART_SHIFT]
                        at = number & ((1 << _PART_SHIFT) - 1)
                        if file.tell() != at:
                            file.seek(at)
                        yield _parsed(file.readline())
                self._index.seek(here)
        finally:
            for file in files:
                file.close()

    def records_as_done(self) -> Iterator[Done]:
        """The same in the order in which they ended."""
        self._put_own()
        for number, path in enumerate(self._parts):
            offset = 0
            with path.open("rb") as stream:
                for line in stream:
                    done = _parsed(line)
                    place, _ = self._place(done.position)
                    if place == ((number << _PART_SHIFT) | offset) + 1:  # no later one is there
                        yield done
                    offset += len(line)

    def remove(self) -> None:
        """The output is whole: the journal is not needed any more."""
        self.close()
        shutil.rmtree(self.path)

    def close(self) -> None:
        """Write what is buffered, and let others have it."""
        for stream in (self._part, self._index, self._lock):
            if stream is not None:
                stream.close()
        self._part = self._index = self._lock = None

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def _parsed(line: bytes) -> Done:
    position, digest, state, _, _, tokens, record = line.split(b" ", 6)
    return Done(int(position), digest.decode(), state == b"ok", int(tokens), record)


def read_state(path: Path) -> dict[str, Any] | None:
    """How far the journal of a folder is; ``None`` if it is none. It may be in use."""
    try:
        spec = json.loads((path / "spec.json").read_text("utf-8"))["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    states: dict[int, bool] = {}
    tokens = 0
    for part in sorted(path.glob("part-*.jsonl")):
        with part.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    done = _parsed(line)
                    states[done.position] = done.ok
                    tokens += done.tokens
    with (path / "lock").open("ab") as lock:
        running = not lock_file(lock)
    failed = sum(not ok for ok in states.values())
    return {
        "rows": len(states),
        "failed": failed,
        "tokens": tokens,
        "running": running,
        "spec": spec,
    }


if sys.platform == "win32":
    import msvcrt

    def lock_file(stream: BinaryIO) -> bool:
        """Lock a file until it is closed, however the process ends; whether that was possible."""
        stream.seek(0)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def lock_file(stream: BinaryIO) -> bool:
        """Lock a file until it is closed, however the process ends; whether that was possible."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems have no locks
            return True
        return True


def unfinished_beside(path: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")
