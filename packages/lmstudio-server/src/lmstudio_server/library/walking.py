"""Going through folders that others may fill: what lies there is not believed to be a file, or to have a name."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

__all__ = ["PART", "is_showable", "open_regular", "parts_of", "walk"]

_MAX_DEPTH: Final = 5
"""How deep folders are searched: LM Studio's layout needs two below the models folder."""
PART: Final = re.compile(r"-(\d{5})-of-(\d{5})$")
"""The end of the name of a part of a split model."""
_MOST_PARTS: Final = 1000
_UNSHOWABLE: Final = frozenset({"Cc", "Cs"})
"""Control characters, and the halves that stand for bytes that are no UTF-8: no client can be told them."""


@contextmanager
def open_regular(path: Path) -> Generator[tuple[BinaryIO, int], None, None]:
    """Open a file to read it; gives its stream and its size.

    Raises:
        OSError: It cannot be read, or is a FIFO, a device or the like, reading which may have no end.
    """
    # Without waiting: opening a FIFO waits for somebody who writes to it.
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no regular file", str(path))
        yield stream, status.st_size


def is_showable(name: str) -> bool:
    """Whether a file's name can be told to clients and shown in terminals.

    >>> is_showable("Modell ä.gguf"), is_showable("a\\n.gguf"), is_showable("\\udcff.gguf")
    (True, False, False)
    """
    return not any(unicodedata.category(sign) in _UNSHOWABLE for sign in name)


def walk(
    folder: Path,
    wanted: re.Pattern[str],
    on_error: Callable[[OSError], None],
    on_name: Callable[[Path], None],
) -> Iterator[tuple[Path, list[str]]]:
    """Yield each directory below ``folder`` with its files of ``wanted`` names, in alphabetical order.

    Links are followed, as people keep models on other disks; a directory reached twice counts once.

    Args:
        folder: Where to begin.
        wanted: The names.
        on_error: Called for each directory that cannot be read.
        on_name: Called for what is left out for its name (see ``is_showable``).
    """
    seen: set[str] = set()
    for current, directories, names in os.walk(folder, onerror=on_error, followlinks=True):
        real = os.path.realpath(current)
        depth = len(Path(current).relative_to(folder).parts)
        if real in seen or depth >= _MAX_DEPTH:
            directories.clear()
            if real in seen:
                continue
        seen.add(real)
        inner = sorted(name for name in directories if not name.startswith("."))
        files = sorted(n for n in names if wanted.fullmatch(n))
        for name in (*inner, *files):
            if not is_showable(name):
                on_name(Path(current, name))
        directories[:] = filter(is_showable, inner)
        shown = list(filter(is_showable, files))
        if shown:
            yield Path(current), shown


def parts_of(file: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a split model that are there, and the names of those that are not."""
    match = PART.search(file.stem)
    if match is None:
        return [file], []
    base, total = file.stem[: match.start()], int(match.group(2))
    if total > _MOST_PARTS:
        return [file], [f"{total - 1} files"]
    names = [f"{base}-{number:05}-of-{total:05}{file.suffix}" for number in range(1, total + 1)]
    parts = [file.with_name(name) for name in names]
    there = [part for part in parts if part.is_file()]
    return there, sorted({*names} - {part.name for part in there})
