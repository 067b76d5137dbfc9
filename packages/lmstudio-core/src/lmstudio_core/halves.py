"""Text in which half a character may stand.

JavaScript counts text in halves of a surrogate pair, and a server of that kind may cut an emoji in
two: the first half ends one piece of a text and the second begins the next. Python's names of files
that are not UTF-8 hold such halves, too. Python keeps them, but nothing can print or encode them.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final, cast

from .lenient import is_list, is_mapping

__all__ = ["HalfJoiner", "escaped", "joined", "json_text", "mend", "readable", "sendable"]

_HALF: Final = re.compile("[\ud800-\udfff]")
_FIRST_HALVES: Final = ("\ud800", "\udbff")


def joined(text: str) -> str:
    """``text`` with neighbouring halves made into characters; what is alone stays.

    >>> joined("\\ud83d\\ude00") == "\\U0001f600"
    True
    """
    if text.isascii() or _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def readable(text: str) -> str:
    """``text`` as people may see it: neighbouring halves joined, U+FFFD for one that is alone.

    >>> readable("a\\ud83d")
    'a\ufffd'
    """
    if text.isascii() or _HALF.search(text) is None:
        return text
    return _HALF.sub("\ufffd", joined(text))


def mend(value: Any) -> Any:
    """Plain data with every text in it ``readable``; keys stay as they are."""
    if isinstance(value, str):
        return readable(value)
    if is_mapping(value):
        return {key: mend(item) for key, item in value.items()}
    return [mend(item) for item in value] if is_list(value) else value


def sendable(value: Any, mended: list[str]) -> Any:
    """``value`` with every text in it, names of fields included, ``readable``; tuples become lists.

    Args:
        value: Data in any form; what is no text and holds none by itself stays as it is.
        mended: Gets the texts in which there were halves.
    """
    if isinstance(value, str):
        text = readable(value)
        if text != value:
            mended.append(text)
        return text
    if is_mapping(value):
        return {sendable(k, mended): sendable(item, mended) for k, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [sendable(item, mended) for item in cast("list[Any]", value)]
    return value


@lru_cache(maxsize=16)
def _encoder(**options: Any) -> json.JSONEncoder:
    """One for each way to write: ``json.dumps`` would make one for each value."""
    return json.JSONEncoder(ensure_ascii=False, **options)


def json_text(value: Any, **options: Any) -> str:
    """``json.dumps`` with characters as they are, and halves of them escaped, as JSON may.

    >>> json_text({"é": "\\ud83d"}) == '{"é": "' + "\\\\" + 'ud83d"}'
    True
    """
    return escaped(_encoder(**options).encode(value))


def escaped(text: str) -> str:
    """A JSON text, with the halves in it as JSON escapes them."""
    if text.isascii():
        return text
    return _HALF.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


class HalfJoiner:
    """Joins halves of characters that a server cut between two pieces of one text.

    It holds back a first half at the end of a piece until the next piece comes. Everything that it
    returns is ``readable``.

    Example:
        >>> pieces = HalfJoiner()
        >>> pieces.feed("so \\ud83d"), pieces.feed("\\ude00!") == "\\U0001f600!", pieces.flush()
        ('so ', True, '')
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: str = ""

    def feed(self, piece: str) -> str:
        """The next piece, with what was held back before it."""
        if not self.held and piece.isascii():
            return piece
        text = self.held + piece
        self.held = ""
        if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            self.held, text = text[-1], text[:-1]
        return readable(text)

    def flush(self) -> str:
        """What is still held back, at the end of the text: the other half did not come."""
        text, self.held = self.held, ""
        return readable(text)
