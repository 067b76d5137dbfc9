"""Docstrings of tools: what the tool does, and what each parameter is, for the model."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["described", "docstring_of"]

_NAME: Final = r"[*\w]+"
# How sections on parameters begin. Most docstrings have none, and the parser is not imported then.
_STYLES: Final = (
    (
        "rest",
        re.compile(rf"^\s*:(?:param|parameter|arg|argument)\s[^:\n]*{_NAME}\s*:", re.MULTILINE),
    ),
    ("numpydoc", re.compile(r"^(?:Other )?Parameters\s*\n-{3,}\s*$", re.MULTILINE)),
    (
        "google",
        re.compile(r"^(?:Args|Arguments|Parameters|Params|Keyword Args):\s*$", re.MULTILINE),
    ),
)


def docstring_of(f: Callable[..., Any]) -> str | None:
    """The docstring; an object may have it at its ``__call__``."""
    if inspect.isclass(f):
        return f.__doc__ and inspect.cleandoc(f.__doc__)  # what it is derived from is another thing
    given: Any = f
    if isinstance(given, functools.partial) and f.__doc__ == functools.partial.__doc__:
        return None
    kind: Any = type(f)
    call = kind.__call__
    return inspect.getdoc(f) or (inspect.getdoc(call) if inspect.isfunction(call) else None)


def described(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of the whole, and of each parameter.

    Google's, NumPy's and reST's styles are read. Sections on parameters, returned values and
    exceptions are left out of what is said of the whole. Text without a section on parameters, or
    that no parser can read, stays as it is.
    """
    style = next((name for name, begins in _STYLES if begins.search(text)), None)
    if style is None:
        return text, {}
    import docstring_parser  # 20 ms, and needed for few

    try:
        parsed = getattr(docstring_parser, style).parse(text)
    except docstring_parser.ParseError:
        return text, {}
    parameters = {
        name.lstrip("*"): _one_line(param.description)
        for param in parsed.params
        if param.args[0] != "attribute" and param.description
        for name in re.split(r"\s*,\s*", param.arg_name)  # NumPy's "x, y : int"
    }
    parts = [parsed.short_description, parsed.long_description]
    return "\n\n".join(part.strip() for part in parts if part) or text, parameters


def _one_line(description: str) -> str:
    return " ".join(description.split())
