"""The fast path of a connection's bytes: plain text frames, past ``websockets``.

Every token comes, and every call goes, as one frame. What is read here is a frame that

* is text and a whole message (first byte 0x81), so without extension bits, parts or masking,
* says its length in one or in three bytes, so that it is shorter than 64 KiB,
* has come whole in one piece, or is small enough to be put together here, and
* comes between two messages, while the connection is open.

What is written here is a text message shorter than 64 KiB, while the connection is open and nothing
else waits to be written. Everything else goes to ``websockets``, untouched and at once: the handshake,
control frames, parts, large messages, whatever breaks the rules, and all that comes after it. So that
both agree where a frame begins, frames that go there are counted off here by the length they tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # an installation without a compiled part
    from websockets.utils import apply_mask

__all__ = ["LARGE", "Framer", "Masker", "Other"]

LARGE: Final = 65536
"""Bytes; shorter messages tell their length in one or three bytes."""

_TEXT: Final = 0x81
_OPCODES: Final = frozenset((0, 1, 2, 8, 9, 10))
_POOL: Final = 1024

_SMALL: Final = 4096
"""Bytes; the network may cut frames anywhere, and putting together costs the square of their size."""


class Other(bytes):
    """Bytes of a frame, or of a part of one, that are for ``websockets``."""

    __slots__ = ()


class Framer:
    """Cuts what a server sends into the texts of plain frames and what is for ``websockets``."""

    __slots__ = ("_in_parts", "_owed", "_rest")

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a frame of which too little has come
        self._owed = 0  # bytes of the last frame that are still to come, and go to websockets
        self._in_parts = False  # the next frames are parts of a message

    @property
    def rest(self) -> bytes:
        """What was taken of a frame of which too little has come."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The texts in ``data``, and the rest as ``Other``, in order.

        Each is to be dealt with before the next one is asked for, and no more is to be asked for
        once the connection is not open any more.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            if not (self._owed or self._in_parts):
                texts, at = _plain_texts(data, at)
                yield from texts
                if at == end:
                    return
            if not self._owed:
                whole = _size(data[at : at + 10])
                plain = data[at] == _TEXT and not self._in_parts
                if whole is None or (plain and end - at < whole <= _SMALL):
                    self._rest = data[at:]
                    return
                self._owed = whole
                if data[at] & 0x0F < 8:  # no control frame
                    self._in_parts = data[at] < 0x80
            stop = min(end, at + self._owed)
            self._owed -= stop - at
            yield Other(data[at:stop])
            at = stop


def _plain_texts(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The texts of the plain frames from there on, and where something else begins."""
    texts: list[bytes] = []
    end = len(data)
    while end - at > 3 and data[at] == _TEXT:
        size, start = data[at + 1], at + 2
        if size > 125:
            if size != 126:
                break
            size, start = data[start] << 8 | data[at + 3], at + 4
        stop = start + size
        if stop > end:
            break
        texts.append(data[start:stop])
        at = stop
    return texts, at


def _size(head: bytes) -> int | None:
    """How long a frame is that begins so; ``None`` if too little of it has come."""
    if len(head) < 2:
        return None
    size = head[1]
    if head[0] & 0x0F not in _OPCODES or size > 127:
        return 2  # enough for websockets to end the connection; extension bits it judges later
    wide = {126: 2, 127: 8}.get(size, 0)
    if len(head) < 2 + wide:
        return None
    return 2 + wide + (int.from_bytes(head[2 : 2 + wide], "big") if wide else size)


class Masker:
    """Makes a client's text frames. Not to be used by two threads at a time."""

    __slots__ = ("_masks",)

    def __init__(self) -> None:
        self._masks = b""  # random bytes: a system call for each frame costs more than its masking

    def frame(self, payload: bytes) -> bytes:
        """The frame of a message shorter than ``LARGE``."""
        if len(self._masks) < 4:
            self._masks = os.urandom(_POOL)
        mask, self._masks = self._masks[:4], self._masks[4:]
        size = len(payload)
        head = bytes((_TEXT, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        return head + mask + apply_mask(payload, mask)
