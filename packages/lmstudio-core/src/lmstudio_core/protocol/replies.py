"""HTTP answers in place of a connection: reading one, and what it says to people.

Both sides of a handshake come here: a server that opens no WebSocket, and a proxy that opens no way.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..lenient import as_mapping, readable

__all__ = ["HttpReply", "NotHttpError", "plain_line", "read_reply"]

_HEAD_LIMIT: Final = 65536
_BODY_LIMIT: Final = 65536
_SHOWN: Final = 300
_STATUS: Final = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?: ([^\r\n]*))?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


class NotHttpError(ValueError):
    """What came is no HTTP; the text says what it is."""


@dataclass(frozen=True)
class HttpReply:
    """An answer. Names of headers are in lower case; of several with one name, the first counts."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes = b""

    def summary(self, secrets: Iterable[str] = ()) -> str:
        """``HTTP status 404 Not Found: what the body says``, in one line, without the secrets."""
        line = f"HTTP status {self.status} {plain_line(self.reason, secrets)}".rstrip()
        said = plain_line(self._said(), secrets)
        same = (f"{self.status} {self.reason}".lower(), self.reason.lower(), str(self.status))
        if not said or said.lower() in same:
            return line
        return f"{line}: {said}"

    def _said(self) -> str:
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            return ""
        text = self.body.decode("utf-8", "replace").strip()
        if text in ("null", "[]"):
            return ""
        if text.startswith("{"):
            try:
                return _from_json(json.loads(text))
            except (ValueError, RecursionError):
                return text
        if "<" in text[:200] and (title := _TITLE.search(text)) is not None:
            return html.unescape(_TAG.sub("", title[1]))
        if "html" in self.headers.get("content-type", ""):
            return html.unescape(_TAG.sub(" ", text))
        return text


def _from_json(body: Any) -> str:
    """The message in the shapes that servers give it."""
    for key in ("error", "message", "detail", "title"):
        value = as_mapping(body).get(key)
        inner = as_mapping(value).get("message") or as_mapping(value).get("title")
        for text in (value, inner):
            if isinstance(text, str) and text:
                return text
    return ""


def plain_line(text: str, secrets: Iterable[str] = ()) -> str:
    """One line that is safe to show: bounded, without control characters and without the secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "…")
    line = " ".join(_CONTROLS.sub(" ", readable(text)).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def read_reply(data: bytes, *, ended: bool = False, bodiless: bool = False) -> HttpReply | None:
    """The answer at the beginning of ``data``; ``None`` while it is not complete.

    Args:
        data: What has come so far.
        ended: Whether nothing more will come.
        bodiless: Whether a success has no body, as one to ``CONNECT``.

    Raises:
        NotHttpError: It is no HTTP.
    """
    if not data[:5] == b"HTTP/"[: len(data[:5])] or (ended and not data):
        raise NotHttpError(_other(data))
    end = _HEAD_END.search(data)
    if end is None:
        if ended or len(data) > _HEAD_LIMIT:
            raise NotHttpError(_other(data))
        return None
    status = _STATUS.match(data)
    if status is None:
        raise NotHttpError(_other(data))
    headers: dict[str, str] = {}
    for line in data[status.end() : end.start()].decode("latin-1").splitlines():
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    code = int(status[1])
    reason = (status[2] or b"").decode("utf-8", "replace").strip()
    if code == 101 or (bodiless and 200 <= code < 300):
        return HttpReply(code, reason, headers)
    body = _body(data[end.end() :], headers, ended)
    return None if body is None else HttpReply(code, reason, headers, body)


def _body(data: bytes, headers: Mapping[str, str], ended: bool) -> bytes | None:
    """The beginning of the body, enough to show; ``None`` while that has not come."""
    complete = ended or len(data) >= _BODY_LIMIT
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body, last = _unchunked(data)
        return body if complete or last else None
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit():
        expected = int(length[:9])
        return data[:expected] if complete or len(data) >= expected else None
    return data if complete else None


def _unchunked(data: bytes) -> tuple[bytes, bool]:
    """What the chunks hold, and whether the last one was there."""
    body = bytearray()
    while True:
        size, found, rest = data.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            return bytes(body), bool(found)  # nothing that follows can be read
        if not found:
            return bytes(body), False
        if length <= 0:
            return bytes(body), True
        body += rest[:length]
        data = rest[length:].removeprefix(b"\r\n")


def _other(data: bytes) -> str:
    if not data:
        return "the connection was closed without an answer"
    if data[:2] in (b"\x15\x03", b"\x16\x03"):
        return "it speaks TLS"
    return f"it says {plain_line(data[:60].decode('latin-1'))!r}, which is no HTTP"
