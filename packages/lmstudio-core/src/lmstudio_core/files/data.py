"""What the operations on files give and take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..data import ServerStruct
from .handles import FileHandle

__all__ = [
    "DocumentParsingLibrary",
    "ParsedDocument",
    "RetrievalEvent",
    "RetrievalEventType",
    "RetrievalResult",
    "RetrievalResultEntry",
]


class DocumentParsingLibrary(ServerStruct):  # public
    """A library of the server that turns documents into text: its name and version.

    Example:
        >>> DocumentParsingLibrary(library="pypdf", version="6.1").library
        'pypdf'
    """

    library: str = ""
    version: str = ""


class ParsedDocument(ServerStruct):  # public
    """A document's text, and the library that extracted it.

    Example:
        >>> ParsedDocument(content="Hello").content
        'Hello'
    """

    content: str = ""
    parser: DocumentParsingLibrary = DocumentParsingLibrary()

    def __str__(self) -> str:
        return self.content


Span = int | tuple[int, int] | None
"""One number, or the first and the last of several; ``None`` if it is not known."""


@dataclass(frozen=True)
class RetrievalResultEntry:  # public
    """A passage that fits the query.

    Attributes:
        content: The passage's text.
        score: How well it fits; higher is better.
        source: The file that it is from; ``None`` if the server named one that was not asked for.
        source_index: That file's place among the files that were asked for, from 0.
        page_number: Its page, or first and last page, where the server tells.
        line_number: Its line, or first and last line, where the server tells.

    Example:
        >>> RetrievalResultEntry("Paris is in France.", 0.9, None, source_index=0).score
        0.9
    """

    content: str
    score: float
    source: FileHandle | None
    source_index: int
    page_number: Span = None
    line_number: Span = None


@dataclass(frozen=True)
class RetrievalResult:  # public
    """The passages that fit the query, as the server ranked them.

    Example:
        >>> RetrievalResult().entries
        ()
    """

    entries: tuple[RetrievalResultEntry, ...] = ()


RetrievalEventType = Literal[
    "files",
    "file_start",
    "step_start",
    "step_progress",
    "step_end",
    "file_end",
    "searching_start",
    "searching_end",
]


@dataclass(frozen=True)
class RetrievalEvent:  # public
    """Something that happened while files were searched.

    Attributes:
        type: ``"files"`` comes first, then for each file not yet known to the server
            ``"file_start"``, its steps and ``"file_end"``, at last the search.
        files: With ``"files"``, those that have to be processed.
        file: The file that a ``file_…`` or ``step_…`` event is about.
        step: ``"loading"``, ``"chunking"`` or ``"embedding"``; set for ``step_…`` events.
        progress: With ``"step_progress"``, how much of the step is done, 0.0 to 1.0.

    Example:
        >>> RetrievalEvent("file_start", progress=0.5).progress
        0.5
    """

    type: RetrievalEventType
    files: tuple[FileHandle, ...] = field(default=())
    file: FileHandle | None = None
    step: str | None = None
    progress: float | None = None
