"""JSON schemas as llama.cpp's compiler takes them. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

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


def without_foreign_formats(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``schema`` with the formats alone that the compiler knows.

    To JSON Schema, a format that a program does not know is a remark, and no reason to refuse.
    """
    text = json.dumps(schema)
    whole: dict[str, Any] = json.loads(text)
    # Without recursion: how deep a schema goes is its author's choice.
    waiting: list[Any] = [whole] if '"format"' in text else []
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += cast("list[Any]", found)
        elif isinstance(found, dict):
            one = cast("dict[str, Any]", found)
            if isinstance(one.get("format"), str) and one["format"] not in _FORMATS:
                del one["format"]
            waiting += [one[key] for key in _SCHEMAS if key in one]
            named = [one[key] for key in _NAMED_SCHEMAS if isinstance(one.get(key), dict)]
            waiting += [inner for table in named for inner in table.values()]
    return whole
