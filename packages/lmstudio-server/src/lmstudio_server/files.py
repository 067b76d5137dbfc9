"""Files that clients upload: kept on disk for as long as their client is connected."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import secrets
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

from lmstudio_core.lenient import error_text

from .errors import WireError
from .owned import read_own, start_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .documents.document import Document
    from .documents.passages import Passage

__all__ = ["UPLOADS_PREFIX", "FileStore", "Upload", "owner_of", "recognise"]

_MAGIC: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
)
UPLOADS_PREFIX: Final = "lmstudio-server-files-"
_OWNER: Final = "owner.json"
_WORD: Final = frozenset({".doc", ".docx"})
_PLAIN: Final = frozenset({"", ".txt", ".text"})


def owner_of(folder: Path) -> tuple[int, str] | None:
    """The process (its number and start) whose uploads a folder holds; ``None`` if it is not such a
    folder of this user's, whoever may have put it there.
    """
    try:
        info = folder.lstat()
        if not stat.S_ISDIR(info.st_mode) or (
            sys.platform != "win32" and info.st_uid != os.getuid()
        ):
            return None
        pid, start = json.loads(read_own(folder / _OWNER))
    except (OSError, ValueError, TypeError):
        return None
    return (pid, start) if type(pid) is int and isinstance(start, str) and start else None


def recognise(name: str, content: bytes) -> tuple[str, str]:
    """LM Studio's file type and the MIME type, by content first and by name second."""
    suffix = PurePath(name).suffix.lower()
    mime = next((mime for magic, mime in _MAGIC if content.startswith(magic)), None)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        mime = "image/webp"
    if mime is not None:
        return ("image" if mime.startswith("image/") else mime), mime
    # A zip archive names its parts in clear.
    if suffix in _WORD or (content[:4] == b"PK\x03\x04" and b"word/document.xml" in content):
        return "application/word", "application/msword"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return "unknown", "application/octet-stream"
    if "\x00" in text:
        return "unknown", "application/octet-stream"
    return ("text/plain" if suffix in _PLAIN else "text/other"), "text/plain"


def _decode(name: str, content_base64: str) -> bytes:
    try:
        return base64.b64decode(content_base64, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(
            f'The upload "{name}" is not valid base64.',
            cause=error_text(error),
            suggestion="Encode the file's bytes in standard base64.",
        ) from error


@dataclass(eq=False)
class Upload:
    """One uploaded file, and what was worked out about it; both go with its client."""

    identifier: str
    name: str
    file_type: str
    mime_type: str
    size_bytes: int
    path: Path
    document: Document | None = None
    passages: dict[Hashable, Sequence[Passage]] = field(
        default_factory=dict["Hashable", "Sequence[Passage]"]
    )
    """Its embedded passages, by the model and the way of cutting."""

    def read(self) -> bytes:
        """The file's content."""
        return self.path.read_bytes()


def _write(folder: Path, name: str, content_base64: str) -> Upload:
    content = _decode(name, content_base64)
    # Only the suffix of the client's name reaches the disk.
    suffix = "".join(c for c in PurePath(name).suffix[:12] if c.isalnum() or c == ".")
    stored = secrets.token_hex(16) + suffix
    path = folder / stored
    path.write_bytes(content)
    file_type, mime_type = recognise(name, content)
    return Upload(f"local:{stored}", name, file_type, mime_type, len(content), path)


def _discard(writing: asyncio.Future[Upload]) -> None:
    if not writing.cancelled() and writing.exception() is None:
        writing.result().path.unlink(missing_ok=True)


class FileStore:
    """The uploads of all clients; each sees only its own."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._uploads: dict[str, dict[str, Upload]] = {}

    def add(self, client: str, name: str, content_base64: str) -> Upload:
        """Keep a file and give it a new identifier.

        Args:
            client: Whose file it is.
            name: Its name.
            content_base64: Its content in base64.
        """
        return self._file(client, _write(self._place(), name, content_base64))

    async def receive(self, client: str, name: str, content_base64: str) -> Upload:
        """The same without holding up the event loop: files may be large.

        Args:
            client: Whose file it is.
            name: Its name.
            content_base64: Its content in base64.
        """
        place = self._place()
        writing = asyncio.ensure_future(asyncio.to_thread(_write, place, name, content_base64))
        try:
            return self._file(client, await asyncio.shield(writing))
        except asyncio.CancelledError:
            # The client has gone; what is still being written belongs to nobody.
            writing.add_done_callback(_discard)
            raise

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=UPLOADS_PREFIX))
            # Whose it is, for the server that finds it when this one was killed.
            start = json.dumps([os.getpid(), start_of(os.getpid())])
            (self._folder / _OWNER).write_text(start, "utf-8")
        return self._folder

    def _file(self, client: str, upload: Upload) -> Upload:
        self._uploads.setdefault(client, {})[upload.identifier] = upload
        return upload

    def find(self, client: str, identifier: str) -> Upload | None:
        """A client's upload, by its identifier with or without the ``local:`` in front."""
        uploads = self._uploads.get(client, {})
        return uploads.get(identifier) or uploads.get(f"local:{identifier}")

    def release(self, client: str) -> None:
        """Delete what a client uploaded."""
        for upload in self._uploads.pop(client, {}).values():
            upload.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything."""
        self._uploads.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
