"""Reads uploaded files, in processes of their own, and remembers what they said."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Literal

from lmstudio_server._version import __version__
from lmstudio_server.errors import WireError
from lmstudio_server.foreign.workers import FailedError, Limits, Progress, Workers

from .document import MAX_CHARACTERS, Document, Library

if TYPE_CHECKING:
    from lmstudio_server.files import Upload

__all__ = ["Documents", "kind_of", "library_for"]

Kind = Literal["pdf", "word", "html", "text"]

AT_ONCE: Final = 2
LIMITS: Final = Limits(seconds=180.0, memory_bytes=2 * 2**30, answer_bytes=512 * 2**20)
_READABLE: Final = "It reads plain text, Markdown, HTML, PDF and Word (.docx)."


def kind_of(upload: Upload) -> Kind | None:
    """How a file is read; ``None``: it is no document."""
    if upload.file_type == "application/pdf":
        return "pdf"
    if upload.file_type == "application/word":
        return "word"
    if upload.file_type.startswith("text/"):
        html = PurePath(upload.name).suffix.lower() in (".html", ".htm", ".xhtml")
        return "html" if html else "text"
    return None


def library_for(upload: Upload) -> Library:
    """What reads a file.

    Raises:
        WireError: Nothing does.
    """
    kind = kind_of(upload)
    if kind is None:
        what = "an image" if upload.file_type == "image" else "neither text nor a known document"
        raise WireError(
            f'The file "{upload.name}" cannot be parsed.',
            cause=f"It is {what}.",
            suggestion=_READABLE,
        )
    if kind == "pdf":
        from lmstudio_core.plugins.installed import version_of_distribution

        return Library("pypdf", version_of_distribution("pypdf") or "unknown")
    return Library("lmstudio-server", __version__)


def _unreadable(upload: Upload, why: str) -> WireError:
    return WireError(
        f'The file "{upload.name}" cannot be parsed.',
        cause=why[:1].upper() + why[1:],
        suggestion="Check that it opens elsewhere, or send its text instead.",
    )


async def _no_progress(_value: float) -> None:
    pass


class Documents:
    """Reads a few documents at a time; each is read once for as long as it is uploaded."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        # A new process for each: what they read with is large, and documents are rare.
        worker = f"{__package__}.worker"
        self._workers = Workers(worker, LIMITS, at_once=AT_ONCE, reused=False)

    async def read(self, upload: Upload, progress: Progress = _no_progress) -> Document:
        """The text of a file. Cancelling the caller ends the reading.

        Raises:
            WireError: It cannot be read; the text says why.
        """
        library_for(upload)
        document = upload.document
        if document is None:
            async with self._turn:
                document = upload.document or await self._read(upload, progress)
            upload.document = document
        await progress(1.0)
        return document

    async def _read(self, upload: Upload, progress: Progress) -> Document:
        kind = kind_of(upload)
        if kind == "text":
            content = await asyncio.to_thread(upload.read)
            if len(content) > MAX_CHARACTERS:
                raise _unreadable(upload, f"it has more than {MAX_CHARACTERS} characters.")
            return Document((content.decode("utf-8-sig", errors="replace"),))
        try:
            task = {"kind": kind, "path": str(upload.path)}
            pages = await self._workers.run(task, _below_one(progress))
        except FailedError as error:
            raise _unreadable(upload, str(error)) from error
        return Document(tuple(pages), paged=kind == "pdf")


def _below_one(progress: Progress) -> Progress:
    """``progress``, with the end kept for a document that is there."""

    async def tell(value: float) -> None:
        await progress(min(value, 0.99))

    return tell
