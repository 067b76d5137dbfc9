"""Looking at what may be of any shape, because a server, a file or another's code says what it is.

In text, half a character may stand: JavaScript counts text in halves of a surrogate pair, and a server
of that kind may cut an emoji in two: the first half ends one piece of a text and the second begins the
next. Python's names of files that are not UTF-8 hold such halves, too. Python keeps them, but nothing
can print or encode them.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeGuard, cast

__all__ = [
    "HalfJoiner",
    "Rising",
    "as_list",
    "as_mapping",
    "as_number",
    "as_text",
    "as_words",
    "error_text",
    "escaped",
    "is_blank",
    "is_interrupt",
    "is_list",
    "is_mapping",
    "is_sequence",
    "joined",
    "json_text",
    "mend",
    "readable",
    "report",
    "sendable",
]

logger: Final = logging.getLogger("lmstudio")


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:  # api
    """Whether it is an object; one of JSON's has strings for keys."""
    return isinstance(value, (dict, Mapping))  # most are dicts, which are quicker told


def is_list(value: object) -> TypeGuard[list[Any]]:  # api
    """Whether it is an array, as JSON gives them."""
    return isinstance(value, list)


def is_sequence(value: object) -> TypeGuard[Sequence[Any]]:  # api
    """Whether it is a list or the like, as people write them, and not text."""
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def as_mapping(value: object) -> Mapping[str, Any]:  # api
    """``value`` if it is an object, else an empty one.

    >>> as_mapping({"a": 1}), as_mapping("text")
    ({'a': 1}, {})
    """
    return value if is_mapping(value) else {}


def as_list(value: object) -> list[Any]:  # api
    """``value`` if it is an array, else an empty one.

    >>> as_list([1]), as_list("text")
    ([1], [])
    """
    return value if is_list(value) else []


def as_text(value: object) -> str | None:  # api
    """``value`` if it is text, else ``None``."""
    return value if isinstance(value, str) else None


def as_number(value: object) -> float:
    """``value`` if it is a number of the server's that a ``float`` can hold, else 0.0."""
    try:
        return float(value) if isinstance(value, (int, float)) else 0.0
    except OverflowError:  # whole numbers of JSON have no limit
        return 0.0


def is_blank(text: str) -> bool:
    """Whether there is nothing to read in it: no character, or only spaces and invisible ones.

    >>> is_blank(" \\n\\u200b"), is_blank(" a ")
    (True, False)
    """
    return not any(sign.isprintable() and not sign.isspace() for sign in text)


def as_words(value: object) -> str | None:
    """``value`` if it is text with something to read in it, else ``None``.

    >>> as_words("out of memory"), as_words(" "), as_words(7)
    ('out of memory', None, None)
    """
    return value if isinstance(value, str) and not is_blank(value) else None


def error_text(error: BaseException, *, named: bool = False) -> str:  # api
    """What an exception says; its class, if it says nothing.

    Whatever puts the words of an exception into a sentence asks here: ``str(TimeoutError())`` is
    empty, and an exception of somebody else's may not even have a text.

    Args:
        error: Any exception.
        named: Put the class before the words.

    >>> error_text(ValueError("no number")), error_text(ValueError("no number"), named=True)
    ('no number', 'ValueError: no number')
    >>> error_text(TimeoutError()), error_text(TimeoutError(), named=True)
    ('TimeoutError', 'TimeoutError')
    """
    name = type(error).__name__
    try:
        words = str(error)
    except BaseException as raised:
        if is_interrupt(raised):
            raise
        return name
    if is_blank(words):
        return name
    return f"{name}: {words}" if named else words


def is_interrupt(error: BaseException) -> bool:  # api
    """Whether the user ended what ran (Ctrl-C), alone or in a group; all else is the code's own failure.

    Whoever calls a plugin or a tool catches ``BaseException`` and asks here: there are classes beside
    ``Exception`` that no program means, such as a Rust extension's panic, ``SystemExit`` of an
    argument parser, pytest's ``Skipped``, or the cancellation of an event loop of the code's own.

    >>> is_interrupt(KeyboardInterrupt()), is_interrupt(SystemExit(1))
    (True, False)
    """
    if isinstance(error, KeyboardInterrupt):
        return True
    # By its name: Python 3.10 has no such class, and the one of the package for it is like it.
    if all(base.__name__ != "BaseExceptionGroup" for base in type(error).__mro__):
        return False
    group: Any = error
    return any(is_interrupt(one) for one in group.exceptions)


def report(callback: Callable[..., object] | None, name: str, *values: Any) -> None:
    """Call ``callback`` if there is one; what it raises is logged and stops nothing."""
    if callback is None:
        return
    try:
        callback(*values)
    except Exception:
        logger.exception("%s raised; the operation goes on", name)


class Rising:
    """Lets a ratio through only when it rose: 0.0 to 1.0, never repeated, never falling."""

    def __init__(self) -> None:
        self._last = -1.0

    def __call__(self, value: object) -> float | None:
        """``value`` within 0.0 and 1.0, or ``None`` if it did not rise or is no number."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        ratio = float(min(1.0, max(0.0, value)))
        if not ratio > self._last:
            return None
        self._last = ratio
        return ratio


# -- text with halves of characters ----------------------------------------------------------------

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


def readable(text: str) -> str:  # api
    """``text`` as people may see it: neighbouring halves joined, U+FFFD for one that is alone.

    >>> readable("a\\ud83d")
    'a\ufffd'
    """
    if text.isascii() or _HALF.search(text) is None:
        return text
    return _HALF.sub("\ufffd", joined(text))


def mend(value: Any) -> Any:  # api
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


def json_text(value: Any, **options: Any) -> str:  # api
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


class HalfJoiner:  # api
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
