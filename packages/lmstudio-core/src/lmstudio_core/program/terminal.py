"""Text that somebody else wrote, made safe for a terminal.

Models, servers, files and plugins write what is printed here. A terminal obeys some of the
characters that may be in it: they clear the screen, set the clipboard, or hide what follows.
"""

from __future__ import annotations

import os
import re
from typing import Final, TextIO

__all__ = ["is_dumb", "is_terminal", "may_draw", "one_line", "visible"]

_STEERING: Final = re.compile(
    # C0 but for tab and line feed; DEL and C1; the two separators that are line ends to some, and
    # marks that turn the direction of writing; halves of characters, which no encoding can write.
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LINES_AND_TABS: Final = {ord("\n"): "\\n", ord("\t"): "\\t"}


def visible(text: str) -> str:  # api
    r"""The text with control characters spelled out, so that they steer no terminal.

    Line feeds and tabs stay, and ``"\r\n"`` becomes a line feed.

    >>> print(visible("\x1b]0;title\x07 plain"))
    \x1b]0;title\x07 plain
    """
    return _STEERING.sub(_spelled_out, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:  # api
    r"""The same for a cell of a table or a label: line feeds and tabs are spelled out, too.

    >>> print(one_line("two\nlines"))
    two\nlines
    """
    return visible(text).translate(_LINES_AND_TABS)


def _spelled_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def is_terminal(stream: TextIO | None) -> bool:  # api
    """Whether somebody sits there; a program may have been started without a stream."""
    return stream is not None and stream.isatty()


def may_draw(stream: TextIO | None) -> bool:
    """Whether a stream takes more than lines of text: colours, and a cursor that moves."""
    return is_terminal(stream) and not is_dumb()


def is_dumb() -> bool:
    """Whether the environment says that its terminal takes lines of text alone."""
    return os.environ.get("TERM") == "dumb"
