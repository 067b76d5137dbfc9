"""Whether an answer is the file that was asked for: proxies, mirrors and login pages answer, too.

What is written becomes the beginning of a model, so it is looked at before.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Final

import httpx2

from .errors import not_the_file, size_text
from .offers import RemoteFile

__all__ = ["InterruptedTransferError", "asked_to_wait", "begins_at", "checked", "is_busy"]

_WHOLE: Final = (200, 203)  # a proxy that changes nothing that counts says 203
_PARTIAL: Final = 206
_NO_SUCH_RANGE: Final = 416
_PAGES: Final = ("text/html", "application/xhtml+xml")
_MANY: Final = "multipart/byteranges"
_CODINGS: Final = ("gzip", "x-gzip", "deflate")
"""What every ``httpx2`` can undo; others only with packages that may be missing, and silently not."""
_MAGIC: Final = b"GGUF"
_RANGE: Final = re.compile(r"bytes[ =](\d+)-(\d+)/(\d+|\*)")


class InterruptedTransferError(Exception):
    """Asking again may help.

    Args:
        message: Why.
        wait: How many seconds the hub asks to wait before.
        anew: What has arrived cannot be continued: the file is to be asked for from its beginning.
    """

    def __init__(self, message: str, *, wait: float | None = None, anew: bool = False) -> None:
        self.wait = wait
        self.anew = anew
        super().__init__(message)


def is_busy(response: httpx2.Response) -> bool:
    """Whether asking later may help."""
    return response.status_code in (408, 429) or response.status_code >= 500


def asked_to_wait(response: httpx2.Response) -> float | None:
    """How many seconds ``Retry-After`` asks to wait: a number, or the time of day."""
    said = response.headers.get("Retry-After", "").strip()
    try:
        return min(float(int(said)), _YEAR)
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


_YEAR: Final = 365 * 86400.0


def begins_at(response: httpx2.Response, file: RemoteFile, offset: int) -> int:
    """Where the answer begins in the file, if it is (a part of) the file by all that it says.

    Args:
        response: The answer, of which nothing is read yet.
        file: What was asked for.
        offset: From where on.

    Raises:
        InterruptedTransferError: It is another part; the file is to be asked for anew.
        HubError: It is something else.
    """
    status, kind = response.status_code, _kind(response)
    if status not in (*_WHOLE, _PARTIAL, _NO_SUCH_RANGE):
        raise not_the_file(file.name, f"The answer is {status}{_source(response)}.")
    if kind in _PAGES:
        raise not_the_file(file.name, f"The answer is {kind}{_source(response)}.")
    if status in _WHOLE:
        length = _length(response)
        if length is not None and length != file.size_bytes and _coding(response) is None:
            raise _other_size(response, file, length)
        return 0
    found = _RANGE.match(response.headers.get("Content-Range", "").strip())
    if found and found[3] != "*" and int(found[3]) != file.size_bytes:
        raise _other_size(response, file, int(found[3]))
    begins = int(found[1]) if found else file.size_bytes - (_length(response) or 0)
    if status == _NO_SUCH_RANGE or begins != offset or kind == _MANY or _coding(response):
        raise InterruptedTransferError("The hub sends another part than asked for.", anew=True)
    return offset


async def checked(
    response: httpx2.Response, file: RemoteFile, start: int
) -> AsyncGenerator[bytes, None]:
    """The blocks of an answer, with what proxies have compressed undone.

    Args:
        response: The answer.
        file: The file that was asked for.
        start: At which byte of it the answer begins.

    Raises:
        HubError: It is no model, or compressed in a way that cannot be undone.
    """
    coding = _coding(response)
    if coding is not None and coding not in _CODINGS:
        raise not_the_file(file.name, f"It comes compressed by {coding}{_source(response)}.")
    blocks = aiter(response.aiter_raw() if coding is None else response.aiter_bytes())
    begun = b""
    if start == 0 and (coding is not None or _length(response) is None) and _is_gguf(file):
        # Nothing else tells a page that has neither type nor length.
        while len(begun) < len(_MAGIC) and (block := await anext(blocks, None)) is not None:
            begun += block
        if not begun.startswith(_MAGIC):
            raise not_the_file(file.name, f"What comes is no GGUF{_source(response)}.")
    return _rest(begun, blocks)


async def _rest(begun: bytes, blocks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    if begun:
        yield begun
    async for block in blocks:
        yield block


def _is_gguf(file: RemoteFile) -> bool:
    return file.name.lower().endswith(".gguf")


def _kind(response: httpx2.Response) -> str:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _coding(response: httpx2.Response) -> str | None:
    said = response.headers.get("Content-Encoding", "").strip().lower()
    return None if said in ("", "identity") else said


def _length(response: httpx2.Response) -> int | None:
    said = response.headers.get("Content-Length", "").strip()
    return int(said) if said.isdecimal() else None


def _source(response: httpx2.Response) -> str:
    return f" from {response.url.host}"


def _other_size(response: httpx2.Response, file: RemoteFile, size: int) -> Exception:
    expected = size_text(file.size_bytes)
    return not_the_file(
        file.name,
        f"It has {size} bytes in place of {file.size_bytes} ({expected}){_source(response)}.",
    )
