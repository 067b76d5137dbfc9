"""The text of a Word document: a zip archive whose main part is XML."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from lmstudio_core.lenient import error_text

from .failure import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MAX_XML_BYTES", "word_text"]

MAX_XML_BYTES: Final = 64 * 1024 * 1024
"""A text of this length is no document any more, and an archive may promise what it likes."""

_MAIN_PART: Final = "word/document.xml"
_WORD: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT: Final = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_MARKS: Final = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def word_text(path: Path) -> str:
    """Paragraphs as lines, the cells of a table's row separated by tabs.

    Raises:
        UnreadableError: It is no such document, or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.getinfo(_MAIN_PART)
            if part.file_size > MAX_XML_BYTES:
                raise UnreadableError(
                    f"its text would take {part.file_size // 2**20} MiB; at most "
                    f"{MAX_XML_BYTES // 2**20} MiB are read."
                )
            # No more than the declared size is ever unpacked.
            xml = archive.read(part)
    except KeyError as error:
        raise UnreadableError(f"it has no part {_MAIN_PART}.") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise UnreadableError(f"it is no intact .docx archive: {error_text(error)}") from error
    # Word writes no DTD; one could define entities that grow without end.
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml or b"\x00" in xml:
        raise UnreadableError("its XML is not as Word writes it.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - no DTD gets here
    except ElementTree.ParseError as error:
        raise UnreadableError(f"its XML is damaged: {error_text(error)}") from error
    return "\n".join(_blocks(root))


def _name(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(_WORD).removeprefix(_STRICT)


def _blocks(element: ElementTree.Element) -> Iterator[str]:
    for child in element:
        name = _name(child)
        if name == "p":
            yield _inline(child)
        elif name == "tr":
            yield "\t".join("\n".join(_blocks(cell)) for cell in child if _name(cell) == "tc")
        elif child.tag != _FALLBACK:
            yield from _blocks(child)


def _inline(element: ElementTree.Element) -> str:
    pieces: list[str] = []
    # A stack and not recursion: how deep a document nests is up to whoever made it.
    waiting = [element]
    while waiting:
        here = waiting.pop()
        name = _name(here)
        if name == "t":
            pieces.append(here.text or "")
        elif name in _MARKS:
            pieces.append(_MARKS[name])
        elif here.tag != _FALLBACK and name != "pPr":
            waiting.extend(reversed(list(here)))
    return "".join(pieces)
