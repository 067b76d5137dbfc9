"""What a JSON schema says of single values, as far as compilers of grammars can take it. No I/O."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.lenient import as_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "FORMATS",
    "Bounds",
    "array_limits",
    "number_limits",
    "text_limits",
    "types_of",
    "values_of",
]

Json = dict[str, Any]

FORMATS: Final = (
    *("date-time", "date", "time", "duration", "uuid"),
    *("email", "hostname", "ipv4", "ipv6", "unknown"),
)
"""Those that llguidance holds a text to. At any other it would give up on the whole schema."""
_TYPES: Final = ("string", "number", "integer", "boolean", "null", "array", "object")
_KINDS: Final[Mapping[type, Sequence[str]]] = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}
_OTHER_NAMES: Final = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "bool": "boolean",
    "list": "array",
    "tuple": "array",
    "dict": "object",
    "map": "object",
    "none": "null",
}
"""Names of types that people take from their programming language."""
_LARGEST: Final = 10**15
"""Bounds of numbers beyond it are left out: llguidance fails at those that need more than 64 bits."""
_SMALLEST: Final = 1e-9
_MOST_PATTERN: Final = 500
_PATTERN_TOKEN: Final = re.compile(
    r"""(?P<escape>\\(?:[dDwWsSntrfv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[^a-zA-Z0-9\s]))
    |(?P<class>\[\^?(?:\\(?:[dDwWsSntrfv]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[^a-zA-Z0-9\s])|[^\[\]\\&~])+\])
    |(?P<open>\((?:\?:)?)
    |(?P<close>\))
    |(?P<count>\{(?P<low>\d+)(?P<to>,(?P<high>\d*))?\}\??|[*+?]\??)
    |(?P<other>[^\\\[\](){}*+?^$])""",
    re.VERBOSE,
)
"""What regular expressions of ECMAScript and of Rust have in common, and none that looks around."""

_SETS: Final = re.compile(r"--|&&|~~|\|\||\\u[dD][89a-fA-F]")
"""Arithmetic of classes, which some have, and halves of characters."""


@dataclass(frozen=True)
class Bounds:
    """How far a compiler counts; a limit beyond it is left out.

    llama.cpp's own compiler makes a rule of each repetition: a thousand take it seconds.
    """

    characters: int = 100_000
    items: int = 10_000
    repetitions: int = 2000
    """Of a pattern, multiplied where they stand in each other."""
    tokens: int = 0
    """How many the context holds (0: unknown): more items than that never come."""


def types_of(found: Mapping[str, Any], *, has_object: bool) -> Json:
    """Return the types that are known ones; an object's schema is taken for one that says so."""
    given: Any = found.get("type")
    names = [given] if isinstance(given, str) else as_list(given)
    known = list(dict.fromkeys(_type_name(name) for name in names if isinstance(name, str)))
    types = [name for name in known if name]
    # One unknown name among others stands for something, so nothing may be left out for it.
    if not types or None in known:
        return {"type": "object"} if given is None and has_object else {}
    return {"type": types[0] if len(types) == 1 else types}


def _type_name(name: str) -> str | None:
    return name if name in _TYPES else _OTHER_NAMES.get(name.lower())


def values_of(found: Mapping[str, Any]) -> Json | None:
    """Return the fixed values that ``found`` allows; ``None`` if it names none."""
    if "const" in found:
        return {"const": found["const"]}
    values = as_list(found.get("enum"))
    if not values:
        return None
    types = as_list(types_of(found, has_object=False).get("type")) or [found.get("type")]
    # Values of other types are no values; where all are, the type is the mistake.
    fitting = [value for value in values if _is_one_of(value, types)]
    return {"enum": fitting or values}


def _is_one_of(value: object, types: Sequence[Any]) -> bool:
    return any(kind in types for kind in _KINDS.get(type(value), ()))


def text_limits(found: Mapping[str, Any], bounds: Bounds) -> Json:
    """Return one sort of limit on a text: several together may leave none, which is refused."""
    pattern = found.get("pattern")
    if isinstance(pattern, str) and (taken := _pattern(pattern, bounds)) is not None:
        return {"pattern": taken}
    if found.get("format") in FORMATS and isinstance(found["format"], str):
        return {"format": found["format"]}
    return _counted(found, "minLength", "maxLength", bounds.characters)


def array_limits(found: Mapping[str, Any], bounds: Bounds) -> Json:
    """Return how many items there may be."""
    most = min(bounds.items, bounds.tokens - 1) if bounds.tokens else bounds.items
    return _counted(found, "minItems", "maxItems", most)


def _counted(found: Mapping[str, Any], low: str, high: str, most: int) -> Json:
    limits = {key: _count(found.get(key)) for key in (low, high)}
    least, greatest = limits[low] or 0, limits[high]
    if greatest is not None and greatest < least:
        return {}
    return {key: n for key, n in limits.items() if n is not None and n <= most}


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 and number == int(number) else None


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not math.isfinite(value) or abs(value) > _LARGEST:
        return None
    return value if value == 0 or abs(value) > _SMALLEST else None


def number_limits(found: Mapping[str, Any]) -> Json:
    """Return the bounds of a number, if any number keeps to them."""
    limits: Json = {}
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        bound, strict = _number(found.get(key)), found.get(exclusive)
        if strict is True:
            # As it was written before 2019.
            bound, strict = None, bound
        if bound is not None:
            limits[key] = bound
        if _number(strict) is not None:
            limits[exclusive] = strict
    low = max((limits[k] for k in ("minimum", "exclusiveMinimum") if k in limits), default=None)
    high = min((limits[k] for k in ("maximum", "exclusiveMaximum") if k in limits), default=None)
    if low is not None and high is not None:
        # A little room, so that no strictness on either side leaves it empty.
        whole = "number" not in as_list(found.get("type")) and found.get("type") != "number"
        if high - low < (2 if whole else 1e-9) and not _is_exact(limits, low, high):
            return {}
    step = _number(found.get("multipleOf"))
    if step and _is_short(step) and (low is None or high is None):
        limits["multipleOf"] = step
    return limits


def _is_short(step: float) -> bool:
    """Whether a step has as few digits as llguidance counts with."""
    return 1e-6 <= step <= 10**9 and len(f"{step:.15g}") <= 10 and "e" not in f"{step:.15g}"


def _is_exact(limits: Json, low: float, high: float) -> bool:
    """Whether whole bounds that count themselves have a number between them."""
    strict = "exclusiveMinimum" in limits or "exclusiveMaximum" in limits
    return not strict and low <= high and float(low).is_integer() and float(high).is_integer()


def _pattern(pattern: str, bounds: Bounds) -> str | None:
    """Return ``pattern`` if compilers can take it."""
    inner = pattern.removeprefix("^")
    if inner.endswith("$") and not inner.endswith("\\$"):
        inner = inner[:-1]
    if len(pattern) > _MOST_PATTERN or _SETS.search(pattern) or not _is_simple(inner, bounds):
        return None
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    return pattern


def _is_simple(pattern: str, bounds: Bounds) -> bool:
    """Whether ``pattern`` is of parts that all compilers know, and repeats few of them."""
    at, repeated, depth, last = 0, 1, 0, "open"
    while at < len(pattern):
        token = _PATTERN_TOKEN.match(pattern, at)
        if token is None:
            return False
        kind = str(token.lastgroup if token["count"] is None else "count")
        if kind == "count" and last in ("open", "count", "bar"):
            return False
        depth += {"open": 1, "close": -1}.get(kind, 0)
        repeated *= max(1, int(token["high"] or token["low"] or 1))
        if depth < 0 or repeated > bounds.repetitions:
            return False
        last = "bar" if token[0] == "|" else kind
        at = token.end()
    return depth == 0
