"""Reads uploaded files, in processes of their own, and remembers what they said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from lmstudio_core.errors import FrozenProgramError
from lmstudio_core.interpreter import python_command, python_environment
from lmstudio_server._version import __version__
from lmstudio_server.errors import WireError

from .document import Document, Library

if TYPE_CHECKING:
    from lmstudio_server.files import Upload

__all__ = ["Documents", "kind_of", "library_for"]

_log = logging.getLogger(__name__)

Kind = Literal["pdf", "word", "html", "text"]
Progress = Callable[[float], Awaitable[None]]

AT_ONCE: Final = 2
LIMIT_SECONDS: Final = 300.0
LINE_BYTES: Final = 512 * 1024 * 1024
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
        from lmstudio_core.installed import version_of_distribution

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
            return Document((content.decode("utf-8-sig", errors="replace"),))
        try:
            pages = await asyncio.wait_for(self._work(upload, str(kind), progress), LIMIT_SECONDS)
        except asyncio.TimeoutError as error:
            raise _unreadable(upload, f"reading it took over {LIMIT_SECONDS:g} s.") from error
        return Document(tuple(pages), paged=kind == "pdf")

    async def _work(self, upload: Upload, kind: str, progress: Progress) -> list[str]:
        worker = ("-m", f"{__package__}.worker", kind, str(upload.path))
        try:
            command = python_command(*worker, purpose="The reader of documents")
        except FrozenProgramError as error:
            what = f'The file "{upload.name}" cannot be parsed.'
            raise WireError(what, cause=str(error), suggestion="Or send its text.") from error
        process = await asyncio.create_subprocess_exec(
            *command,
            env=python_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
        )
        try:
            async for line in cast("asyncio.StreamReader", process.stdout):
                said: dict[str, Any] = json.loads(line)
                if "pages" in said:
                    return [str(page) for page in said["pages"]]
                if "unreadable" in said:
                    raise _unreadable(upload, said["unreadable"])
                await progress(min(float(said["progress"]), 0.99))
            code = await process.wait()
            _log.warning("the reader of %r ended with code %s", upload.name, code)
            raise _unreadable(upload, "it takes too much time or memory to read.")
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
