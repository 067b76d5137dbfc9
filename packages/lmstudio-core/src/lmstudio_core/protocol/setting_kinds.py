"""The kinds of settings that LM Studio's plugins declare, and which values each takes.

Both sides ask: a plugin before it believes what a server sends, and a server before it passes on what a
client sent. Pure, and of plain data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..lenient import as_list, as_mapping, is_list

__all__ = ["KINDS", "schematics_fields", "value_problem"]


def value_problem(kind: str, parameters: object, value: object) -> str | None:
    """What is wrong with a setting's value, in the words of its bounds; ``None`` if nothing is.

    Args:
        kind: The field's ``typeKey``. A kind that is not known takes every value.
        parameters: The field's ``typeParams``.
        value: The value.

    Example:
        >>> value_problem("numeric", {"int": True, "min": 1}, 0)
        'must be an integer >= 1, got 0'
    """
    check = KINDS.get(kind)
    wanted = None if check is None else check(as_mapping(parameters), value)
    if wanted is None:
        return None
    hidden = as_mapping(parameters).get("isProtected") or as_mapping(parameters).get("isToken")
    got = type(value).__name__ if hidden else _shown(value)
    return f"must be {wanted}, got {got}"


def schematics_fields(schematics: object) -> list[Mapping[str, Any]]:
    """The fields of a plugin's settings as they travel; what has no key is left out."""
    fields = (as_mapping(field) for field in as_list(as_mapping(schematics).get("fields")))
    return [field for field in fields if isinstance(field.get("fullKey"), str)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _numeric(parameters: Mapping[str, Any], value: object) -> str | None:
    low, high = parameters.get("min"), parameters.get("max")
    whole = bool(parameters.get("int"))
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if fits and isinstance(value, (int, float)):
        fits = not (
            (low is not None and value < low)
            or (high is not None and value > high)
            or (whole and value != int(value))
        )
    if fits:
        return None
    noun = "an integer" if whole else "a number"
    if low is not None and high is not None:
        return f"{noun} from {low} to {high}"
    if low is not None:
        return f"{noun} >= {low}"
    return noun if high is None else f"{noun} <= {high}"


def _string(parameters: Mapping[str, Any], value: object) -> str | None:
    low, high = parameters.get("minLength"), parameters.get("maxLength")
    if isinstance(value, str):
        too_short = low is not None and len(value) < low
        if not too_short and not (high is not None and len(value) > high):
            return None
    bounds = [f"at least {low}" if low else "", f"at most {high}" if high is not None else ""]
    length = " and ".join(filter(None, bounds))
    return f"a string of {length} characters" if length else "a string"


def _select(parameters: Mapping[str, Any], value: object) -> str | None:
    options = [as_mapping(o).get("value", o) for o in as_list(parameters.get("options"))]
    return None if value in options else "one of " + ", ".join(map(repr, options))


def _boolean(_: Mapping[str, Any], value: object) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _string_array(parameters: Mapping[str, Any], value: object) -> str | None:
    most, empty = parameters.get("maxNumItems"), bool(parameters.get("allowEmptyStrings"))
    fits = is_list(value) and (most is None or len(value) <= most)
    if fits and all(isinstance(item, str) and (item or empty) for item in as_list(value)):
        return None
    some = "strings" if empty else "strings that are not empty"
    return f"a list of {some}" if most is None else f"a list of at most {most} {some}"


def _directory(_: Mapping[str, Any], value: object) -> str | None:
    return None if isinstance(value, str) else "the path of a folder"


def _directory_group(_: Mapping[str, Any], value: object) -> str | None:
    fits = is_list(value) and all(isinstance(item, str) for item in value)
    return None if fits else "a list of the paths of folders"


KINDS: Final[Mapping[str, Callable[[Mapping[str, Any], object], str | None]]] = {
    "numeric": _numeric,
    "string": _string,
    "select": _select,
    "boolean": _boolean,
    "stringArray": _string_array,
    "directory": _directory,
    "directoryGroup": _directory_group,
}
"""Kind → what a value has to be, if it is not."""
