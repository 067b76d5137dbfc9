"""A document that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_CHARACTERS", "Document", "Library"]

MAX_CHARACTERS: Final = 64 * 1024 * 1024
"""What is longer is no document any more."""


@dataclass(frozen=True)
class Library:
    """What turns a kind of document into text (``documentParsingLibraryIdentifier``)."""

    name: str
    version: str

    def to_wire(self) -> dict[str, str]:
        """Its form in the protocol."""
        return {"library": self.name, "version": self.version}


@dataclass(frozen=True)
class Document:
    """The text of a file, page by page. A file that knows no pages is one page."""

    pages: tuple[str, ...]
    paged: bool = False

    @property
    def text(self) -> str:
        """All pages, with an empty line between them."""
        return "\n\n".join(page for page in self.pages if page)
