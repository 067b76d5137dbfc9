"""Documents made by hand: PDF and Word files, good and bad."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WORD_NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf(pages: Sequence[str]) -> bytes:
    """A PDF with a page for each text; its lines are shown one below the other."""

    def shown(text: str) -> bytes:
        lines = " ".join(f"({line}) Tj 0 -14 Td" for line in text.split("\n"))
        return _stream(f"BT /F1 12 Tf 72 720 Td {lines} ET".encode("latin-1"))

    return _pdf([shown(text) for text in pages])


def deflated_pdf(size: int) -> bytes:
    """A PDF with a page whose compressed contents unpack to ``size`` bytes."""
    content = zlib.compress(b"(a) Tj " * (size // 7))
    return _pdf([_stream(content, "/Filter /FlateDecode ")])


def _stream(content: bytes, more: str = "") -> bytes:
    head = f"<< {more}/Length {len(content)} >>\nstream\n".encode()
    return head + content + b"\nendstream"


def _pdf(streams: Sequence[bytes]) -> bytes:
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    kids: list[str] = []
    for stream in streams:
        kids.append(f"{len(objects) + 1} 0 R")
        page = (
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects) + 2} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects += [page.encode(), stream]
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>".encode()
    out = b"%PDF-1.4\n"
    places: list[int] = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    tail = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{tail}".encode()


def word(body: str, part: str = "word/document.xml") -> bytes:
    """A Word document with this XML in its body."""
    xml = f'<?xml version="1.0"?><w:document xmlns:w="{WORD_NAMESPACE}"><w:body>{body}</w:body></w:document>'
    return archive(part, xml.encode())


def paragraph(text: str) -> str:
    return f"<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def archive(part: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(part, content)
    return made.getvalue()


def bomb(size: int) -> bytes:
    """A Word document of a few kilobytes that unpacks to ``size`` spaces."""
    return archive("word/document.xml", b" " * size)


def laughs() -> bytes:
    """A Word document whose entities grow tenfold at each step."""
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
    )
    xml = f'<!DOCTYPE d [{entities}]><w:document xmlns:w="{WORD_NAMESPACE}"><w:t>&a9;</w:t></w:document>'
    return archive("word/document.xml", xml.encode())
