"""A document that was read."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Document", "Library"]


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
