"""A progress bar for downloads and loads, for programs that want one on their terminal."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Any, Final, TextIO

from typing_extensions import Self

from .terminal import may_draw, one_line

__all__ = ["ProgressBar", "size_text"]

_INTERVAL: Final = 0.1
"""Seconds between two drawings: a terminal shows no more, and drawing must not slow the work."""
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def size_text(size: float) -> str:
    """A number of bytes for people: three digits and a unit.

    >>> size_text(2_500_000_000)
    '2.50 GB'
    """
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    if unit == 0:
        return f"{size:.0f} B"
    return f"{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {_UNITS[unit]}"


class ProgressBar:  # public, api
    """A line on the terminal that shows how far something is.

    Give it as ``on_load_progress`` or ``on_progress``. Where its file is neither a terminal nor a
    notebook's (a pipe, a log) it writes nothing.

    Args:
        label: What is under way.
        file: Where to draw; standard error by default.

    Example:
        >>> with ProgressBar("Loading") as bar:
        ...     model = client.llm.model("pocket", on_load_progress=bar)
    """

    def __init__(self, label: str = "", *, file: TextIO | None = None) -> None:
        self._label = one_line(label)
        self._file = sys.stderr if file is None else file
        in_notebook = type(self._file).__module__.partition(".")[0] == "ipykernel"
        self._shown = in_notebook or may_draw(self._file)
        self._drawn_at = -_INTERVAL
        self._length = 0

    def __call__(self, progress: Any, total: int | None = None) -> None:
        """Show how far it is.

        Args:
            progress: A ratio from 0.0 to 1.0, a ``DownloadProgressUpdate``, or a number of things
                that are done.
            total: How many there are, if ``progress`` is such a number.
        """
        if not self._shown:
            return
        now = time.monotonic()
        ratio, detail = _read(progress) if total is None else _counted(progress, total)
        if now - self._drawn_at < _INTERVAL and ratio < 1.0:
            return
        self._drawn_at = now
        self._draw(ratio, detail)

    def _draw(self, ratio: float, detail: str) -> None:
        columns = shutil.get_terminal_size().columns
        ends = f" {ratio:4.0%}{detail}"
        label = f"{self._label} " if self._label else ""
        width = max(0, min(40, columns - len(label) - len(ends) - 3))
        bar = f"[{'#' * int(ratio * width):.<{width}}]" if width > 4 else ""
        line = f"{label}{bar}{ends}"[: columns - 1]
        self._file.write("\r" + line.ljust(self._length))
        self._file.flush()
        self._length = len(line)

    def close(self) -> None:
        """Wipe the line."""
        if self._length:
            self._file.write("\r" + " " * self._length + "\r")
            self._file.flush()
            self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


def _counted(done: int, total: int) -> tuple[float, str]:
    return min(1.0, done / total) if total else 1.0, f"  {done:,}/{total:,}"


def _read(progress: Any) -> tuple[float, str]:
    """The ratio, and what else there is to say."""
    if isinstance(progress, (int, float)):
        return min(1.0, max(0.0, float(progress))), ""
    done, total = progress.downloaded_bytes, progress.total_bytes
    ratio = min(1.0, done / total) if total else 0.0
    speed = progress.speed_bytes_per_second
    return ratio, f"  {size_text(done)} of {size_text(total)}, {size_text(speed)}/s"
