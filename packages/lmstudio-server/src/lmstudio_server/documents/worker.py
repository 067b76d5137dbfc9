"""Reads documents, in the process that ``foreign.worker`` is: libraries that read them may run wild."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmstudio_server.foreign.worker import RefusedError

from .document import MAX_CHARACTERS
from .failure import UnreadableError
from .page import page_text
from .word import word_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[float], None]

__all__ = ["perform"]


def _pdf(path: Path, progress: Progress) -> list[str]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    reader = PdfReader(path)
    try:
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("it is encrypted with a password.")
    except DependencyError as error:
        raise UnreadableError(
            "it is encrypted; install the package cryptography beside lmstudio-server to read it."
        ) from error
    pages: list[str] = []
    size = 0
    for number, page in enumerate(reader.pages, 1):
        pages.append(page.extract_text().strip())
        size += len(pages[-1])
        if size > MAX_CHARACTERS:
            raise UnreadableError(f"it has more than {MAX_CHARACTERS} characters.")
        progress(number / len(reader.pages))
    return pages


def _word(path: Path, _progress: Progress) -> list[str]:
    return [word_text(path)]


def _html(path: Path, _progress: Progress) -> list[str]:
    return [page_text(path.read_text(encoding="utf-8-sig", errors="replace"))]


_READERS: Final[dict[str, Callable[[Path, Progress], list[str]]]] = {
    "pdf": _pdf,
    "word": _word,
    "html": _html,
}


def perform(task: dict[str, Any], progress: Progress) -> list[str]:
    """Return the pages of the document at ``task["path"]``."""
    try:
        pages = _READERS[task["kind"]](Path(task["path"]), progress)
    except UnreadableError as error:
        raise RefusedError(str(error)) from error
    # What PDFs may say of Unicode is not always Unicode.
    return [page.encode("utf-8", "replace").decode() for page in pages]
