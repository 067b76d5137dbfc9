"""What an embedding run has done so far, kept beside its output until that is whole.

One JSON object a line: first how the vectors are made, then each text with its vector or its
error. A process that is killed leaves at worst half a line at the end, which is cut off when the
next one goes on. Since the texts are in it, a changed input is noticed, and standard input needs
no second reading.
"""

from __future__ import annotations

import collections
import json
import sys
import time
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import click
from typing_extensions import Self

from lmstudio_core.errors import LMStudioRuntimeError
from lmstudio_core.lenient import error_text, json_text

__all__ = ["Entry", "Journal"]

_FLUSH_SECONDS = 1.0
_FORMAT = 1
_HEAD = b'{"lmstudio-embed":'
"""How a line begins that says how the vectors below it are made."""
_BEYOND = 2**31 - 2
"""A byte of the file that is locked where a lock is one of bytes."""


@dataclass(frozen=True)
class Entry:
    """One text and what came of it: its vector as little-endian float32, or an error."""

    text: str
    vector: bytes | None
    error: str | None


class Journal:
    """The journal of one output file. As a context manager it is open, and no other run's.

    Args:
        path: Where it lies.
        how: What decides the vectors: the model and the options. It has to be the same again.
    """

    def __init__(self, path: Path, how: Mapping[str, Any]) -> None:
        self.path = path
        self.how: dict[str, Any] = dict(how)
        self.begun_with: dict[str, Any] = self.how
        """How the vectors that are done were made."""
        self.count: int = 0
        self.failed: int = 0
        self.width: int | None = None
        """The bytes of a vector, as soon as one is known."""
        self._stream: BinaryIO | None = None
        self._flushed = 0.0

    @property
    def _file(self) -> BinaryIO:
        if self._stream is None:
            raise LMStudioRuntimeError("The journal is not open; enter it with 'with' first.")
        return self._stream

    def resume(self, texts: Iterator[str], *, restart: bool = False) -> None:
        """Take the texts that are done from ``texts``, after making sure that they are the same.

        Args:
            texts: The input.
            restart: Forget what is done.

        Raises:
            click.ClickException: The journal belongs to something else.
        """
        if restart:
            self._file.truncate(0)
        if self._is_begun():
            self._take(texts)
        else:
            self._file.truncate(0)
            self._file.write(self._head())
            self._file.flush()

    def _take(self, texts: Iterator[str]) -> None:
        self._check_head()
        self._cut_half_line()
        for entry in self.entries():
            if next(texts, None) != entry.text:
                raise click.ClickException(
                    f"Text {self.count + 1:,} of the input is not what it was when {self.path} was "
                    "begun. Give the same input to go on, or --restart to begin anew."
                )
            self._note(entry)
        if self.begun_with != self.how:
            self._file.write(self._head())

    def _is_begun(self) -> bool:
        """Whether it has its first line, and was not killed while that was written."""
        with self.path.open("rb") as stream:
            line = stream.readline()
        return line.endswith(b"\n") or not self._head().startswith(line)

    def _head(self) -> bytes:
        return json.dumps({"lmstudio-embed": _FORMAT, "how": self.how}).encode() + b"\n"

    def _check_head(self) -> None:
        with self.path.open("rb") as stream:
            lines = (line for line in stream if line.startswith(_HEAD))
            line = [b"", *collections.deque(lines, maxlen=1)][-1]  # options may have been added
        try:
            head = json.loads(line)
            version, how = head["lmstudio-embed"], head["how"]
        except (ValueError, KeyError, TypeError):
            raise click.ClickException(
                f"{self.path} is in the way: it is not the journal of an earlier run."
            ) from None
        same = how == self.how or _makes_the_same_of_short_texts(how, self.how)
        if version != _FORMAT or not same:
            names = sorted(set(how) | set(self.how))
            differing = [
                f"{name} was {_in_words(how.get(name))} and is {_in_words(self.how.get(name))}"
                for name in names
                if how.get(name) != self.how.get(name)
            ]
            raise click.ClickException(
                f"{self.path} was begun otherwise: {'; '.join(differing) or 'by another version'}. "
                "Use the same options to go on, or --restart to begin anew."
            )
        self.begun_with = how

    def _cut_half_line(self) -> None:
        with self.path.open("r+b") as stream:
            end = 0
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
            stream.truncate(end)

    def entries(self) -> Iterator[Entry]:
        """All that is done, in order."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for line in stream:
                if line.startswith(_HEAD):
                    continue
                fields = json.loads(line)
                vector = fields.get("vector")
                yield Entry(
                    fields["text"],
                    None if vector is None else b64decode(vector),
                    fields.get("error"),
                )

    def __enter__(self) -> Self:
        stream = self.path.open("ab")
        if not _lock(stream):
            stream.close()
            raise click.ClickException(
                f"Another run writes {self.path}. Wait for it, or end it; then the same command goes "
                "on from there."
            )
        self._stream = stream
        return self

    def add(self, text: str, result: Sequence[float] | Exception) -> None:
        """Note what came of the next text."""
        if isinstance(result, Exception):
            entry = Entry(text, None, error_text(result))
            self._write({"text": text, "error": entry.error})
        else:
            entry = Entry(text, as_float32(result), None)
            self._write({"text": text, "vector": b64encode(cast("bytes", entry.vector)).decode()})
        self._note(entry)

    def _note(self, entry: Entry) -> None:
        self.count += 1
        if entry.vector is None:
            self.failed += 1
            return
        if self.width is None:
            self.width = len(entry.vector)
        if len(entry.vector) != self.width:
            raise click.ClickException(
                f"The model's vectors changed their length from {self.width // 4} to "
                f"{len(entry.vector) // 4} numbers. Use --restart to begin anew."
            )

    def _write(self, fields: Mapping[str, Any]) -> None:
        self._file.write(json_text(fields).encode() + b"\n")
        now = time.monotonic()
        if now - self._flushed > _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _makes_the_same_of_short_texts(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether parts are added for texts that were too long, of which none is done.

    Parts of a size of their own would divide texts that were embedded whole.
    """
    added = before.get("chunk") is None and (now.get("chunk") or [0])[0] is None
    return added and {**before, "chunk": None} == {**now, "chunk": None}


def _in_words(value: Any) -> str:
    """An option's value; that of ``chunk`` is the size of parts and their overlap, or ``None``."""
    if isinstance(value, list):
        size, overlap = cast("list[int | None]", value)
        parts = "as large as they can be" if size is None else f"of {size} tokens"
        return f"in parts {parts}" + ("" if overlap is None else f", {overlap} of them in common")
    return "off" if value is None else repr(value)


if sys.platform == "win32":
    import msvcrt

    def _lock(stream: BinaryIO) -> bool:
        stream.seek(_BEYOND)  # what is locked there cannot be read by others
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(stream: BinaryIO) -> bool:
        """Lock the file until it is closed, however the process ends; whether that was possible."""
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems have no locks
            return True
        return True


def as_float32(vector: Sequence[float]) -> bytes:
    """The numbers as little-endian float32."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
