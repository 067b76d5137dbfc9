"""Reads one document in a process of its own: ``python -m … KIND PATH``.

Documents come from anywhere, and what reads them may run wild. Here it can take no more memory and
time than this process is allowed, and ends with it. One JSON object a line goes to standard output:
``{"progress": …}`` as often as there is news, then ``{"pages": […]}`` or ``{"unreadable": …}``.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.shapes import error_text

from .failure import UnreadableError
from .page import page_text
from .word import word_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

MEMORY_BYTES: Final = 2 * 1024**3
CPU_SECONDS: Final = 180
MAX_CHARACTERS: Final = 64 * 1024 * 1024


def _limit() -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _pdf(path: Path) -> list[str]:
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
        _say({"progress": number / len(reader.pages)})
    return pages


def _word(path: Path) -> list[str]:
    return [word_text(path)]


def _html(path: Path) -> list[str]:
    return [page_text(path.read_text(encoding="utf-8-sig", errors="replace"))]


_READERS: Final[dict[str, Callable[[Path], list[str]]]] = {
    "pdf": _pdf,
    "word": _word,
    "html": _html,
}


def main(kind: str, path: str) -> None:
    """Read a document and say what is in it."""
    _limit()
    try:
        # What PDFs may say of Unicode is not always Unicode.
        pages = [p.encode("utf-8", "replace").decode() for p in _READERS[kind](Path(path))]
        _say({"pages": pages})
    except UnreadableError as error:
        _say({"unreadable": str(error)})
    except MemoryError:
        _say({"unreadable": f"it takes more than {MEMORY_BYTES // 2**30} GiB of memory to read."})
    except RecursionError:
        _say({"unreadable": "it is nested too deeply."})
    except Exception as error:  # noqa: BLE001 - libraries stumble over damaged files in every way
        _say({"unreadable": error_text(error, named=True)})


if __name__ == "__main__":
    main(*sys.argv[1:])
