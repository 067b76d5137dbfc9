"""How commands print. Everything goes through here, so that nothing printed steers the terminal."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from lmstudio_core.lenient import json_text
from lmstudio_core.program.terminal import is_dumb, may_draw, visible
from lmstudio_core.program.tracebacks import debugging

from .tables import print_table

__all__ = [
    "AnswerPrinter",
    "Wrapping",
    "colours",
    "echo",
    "print_json",
    "print_table",
    "say",
    "say_warnings",
]

_NOT_IN_JSON: Final = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers terminals and JSON allows in strings; all below is escaped by ``json``."""


def echo(text: object = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:  # public
    """Print a text, whoever wrote it; control characters are spelled out.

    Args:
        text: What to print.
        err: Print it to standard error.
        nl: End the line.
        **style: Colours and the like, as ``click.style`` takes them; on a terminal alone.
    """
    shown = visible(str(text))
    click.echo(click.style(shown, **style) if style and shown else shown, err=err, nl=nl)


def say(text: str) -> None:  # public
    """Prose for whoever sits there, on standard error; on a terminal its words stay whole."""
    if may_draw(sys.stderr):
        wrapping = Wrapping(_columns)
        text = wrapping.feed(text) + wrapping.end()
    echo(text, err=True)


def print_json(value: Any, *, indent: int | None = 2) -> None:  # public
    """Plain data on standard output; with ``indent=None`` on one line."""
    text = json_text(value, indent=indent)
    click.echo(_NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def colours() -> bool | None:  # public
    """``False`` where colours are not wanted; ``None`` lets each stream decide, as click does."""
    return None if not is_dumb() and not os.environ.get("NO_COLOR") else False


# -- warnings --------------------------------------------------------------------------------------


class _LastResort(logging.Handler):
    """Where a command has not set logging up: one line for each warning, and no traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        debug = debugging()
        text = self.format(record) if debug else record.getMessage()
        error = record.exc_info[1] if record.exc_info and not debug else None
        if error is not None:
            text += (
                f": {type(error).__name__}: {error}" if str(error) else f": {type(error).__name__}"
            )
        lines = text if debug else " ".join(text.splitlines())
        echo(f"{record.levelname.capitalize()}: {lines}", err=True)


def say_warnings() -> None:
    """What is logged or warned of in this process is said in one line on standard error."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        echo(f"Warning: {message}", err=True)

    logging.lastResort = _LastResort(logging.WARNING)
    if not debugging():
        warnings.showwarning = show


# -- answers ---------------------------------------------------------------------------------------

_WIDE: Final = r"\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uff60\U0001f000-\U0003ffff"
_PIECES: Final = re.compile(rf"\n|[^\S\n]+|[{_WIDE}]|[^\s{_WIDE}]+")
"""A line end; blanks; a character that may begin a line of its own; a word."""
_TAB: Final = 8


class Wrapping:
    """Breaks a text that comes in pieces between words, where its line would be too long.

    The last word that came is kept until it is known to be whole, or fills a line.

    Args:
        columns: Gives the width of a line; asked again and again, since windows change their size.
    """

    def __init__(self, columns: Callable[[], int]) -> None:
        self._columns = columns
        self._word = ""
        self._blanks = ""
        self._column = 0
        self._full = False
        """Whether a long word has filled a line to its very end."""
        self._broken = False
        """Whether that line was ended, and blanks behind the word are left out."""

    def feed(self, text: str) -> str:
        """What can be printed now that ``text`` has come."""
        pieces = _PIECES.findall(self._word + text)
        complete = not pieces or pieces[-1].isspace() or len(pieces[-1]) >= self._columns()
        self._word = "" if complete else pieces.pop()
        return "".join(out for piece in pieces for out in self._placed(piece))

    def end(self) -> str:
        """What is left at the end of the text."""
        word, self._word = self._word, ""
        return "".join(self._placed(word)) if word else ""

    def _placed(self, piece: str) -> Iterator[str]:
        from rich.cells import cell_len

        if piece == "\n":
            self._column, self._blanks, self._full, self._broken = 0, "", False, False
            yield piece
            return
        if piece.isspace():  # at the end of a line they would be too much
            if self._full:
                self._full, self._broken = False, True
                yield "\n"
            self._blanks += "" if self._broken else piece
            return
        self._broken = False
        blanks, self._blanks = self._blanks, ""
        width, begins, columns = cell_len(piece), self._behind(blanks), self._columns()
        if self._column and begins + width > columns:
            begins = 0
            yield "\n"
        else:
            yield blanks
        yield piece
        self._column = begins + width
        if width >= columns:  # the terminal has broken it
            self._column %= columns
        self._full = width >= columns and not self._column

    def _behind(self, blanks: str) -> int:
        column = self._column
        for blank in blanks:
            column += _TAB - column % _TAB if blank == "\t" else 1
        return column


def _columns() -> int:
    return shutil.get_terminal_size().columns


class AnswerPrinter:  # public
    """Prints an answer as it comes; on a terminal words are not broken at the right edge."""

    def __init__(self) -> None:
        wraps = may_draw(sys.stdout)
        self._wrapping = Wrapping(_columns) if wraps else None
        self._return = ""
        self._style: dict[str, Any] = {}
        self.in_line: bool = False
        """Whether what was printed last has not ended its line."""

    def write(self, text: str, **style: Any) -> None:
        """Print the next piece, in a style of ``click.style``."""
        if style != self._style:
            self._flush()
            self._style = style
        text, self._return = self._return + text, ""
        if text.endswith("\r"):  # its line feed may come with the next piece
            text, self._return = text[:-1], "\r"
        self._put(text)

    def end(self) -> None:
        """Print what is left, and end the line if one is begun."""
        self._flush()
        if self.in_line:
            click.echo()
        self.in_line, self._style = False, {}
        if self._wrapping is not None:
            self._wrapping.feed("\n")

    def _flush(self) -> None:
        rest, self._return = self._return, ""
        self._put(rest)
        if self._wrapping is not None:
            self._print(self._wrapping.end())

    def _put(self, text: str) -> None:
        shown = visible(text)
        self._print(shown if self._wrapping is None else self._wrapping.feed(shown))

    def _print(self, shown: str) -> None:
        if shown:
            click.echo(click.style(shown, **self._style) if self._style else shown, nl=False)
            self.in_line = not shown.endswith("\n")
