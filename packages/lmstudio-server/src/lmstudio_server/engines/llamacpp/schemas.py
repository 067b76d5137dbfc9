"""JSON schemas as llama.cpp's compiler takes them. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_server.engines.base import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS: Final = (
    *("date-time", "date", "time", "duration", "uuid"),
    *("email", "hostname", "ipv4", "ipv6", "unknown"),
)
"""Those that the compiler holds a text to. At any other it would give up on the whole schema."""
_SCHEMAS: Final = (
    *("items", "additionalItems", "prefixItems", "contains", "unevaluatedItems"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
    *("anyOf", "oneOf", "allOf", "not", "if", "then", "else"),
)
"""Keywords whose value is a schema, or a list of them."""
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", "$defs", "definitions")


MOST_ITEMS: Final = 10_000
"""The compiler counts an array's items one by one: millions take it minutes and all memory there is,
and it cannot be stopped."""


def for_compiler(schema: Mapping[str, Any], context_length: int = 0) -> dict[str, Any]:
    """Return ``schema`` without what the compiler would fail at and that changes nothing.

    A format that it does not know is but a remark to JSON Schema. More items than ``context_length`` (0:
    unknown) has tokens never come.

    Raises:
        EngineError: an array is to be counted further than the compiler can.
    """
    whole: dict[str, Any] = json.loads(json.dumps(schema))
    # Without recursion: how deep a schema goes is its author's choice.
    waiting: list[Any] = [whole]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += cast("list[Any]", found)
        elif isinstance(found, dict):
            one = cast("dict[str, Any]", found)
            _simplify(one, context_length)
            waiting += [one[key] for key in _SCHEMAS if key in one]
            named = [one[key] for key in _NAMED_SCHEMAS if isinstance(one.get(key), dict)]
            waiting += [inner for table in named for inner in table.values()]
    return whole


def _simplify(one: dict[str, Any], context_length: int) -> None:
    if isinstance(one.get("format"), str) and one["format"] not in _FORMATS:
        del one["format"]
    if 0 < context_length <= _count(one, "maxItems"):
        del one["maxItems"]
    for key in ("minItems", "maxItems"):
        if _count(one, key) > MOST_ITEMS:
            raise EngineError(
                "The JSON schema cannot be used",
                cause=f"{key} is {one[key]}, and items are counted up to {MOST_ITEMS}",
                suggestion="Leave it out, or ask for fewer items.",
            )


def _count(one: Mapping[str, Any], key: str) -> float:
    value: Any = one.get(key)
    return value if isinstance(value, (int, float)) else 0
