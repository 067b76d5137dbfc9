"""JSON schemas and grammars as llama.cpp's compilers take them. No I/O."""

from __future__ import annotations

import json
import re
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

MOST_REFERENCES: Final = 1000
"""How many places of a schema may be referred to. One may lead to the next, and the compiler follows them
by recursion: some thousands end its process."""
MOST_GRAMMAR_BYTES: Final = 256 * 1024
MOST_GRAMMAR_PARTS: Final = 10_000
"""Rules, groups, alternatives and repetitions of a grammar. Each group and each repetition becomes a rule, and
the parser follows rules by recursion: 100,000 end its process. Many alternatives take it minutes."""
_GRAMMAR_TOKEN: Final = re.compile(
    r'"(?:\\.|[^"\\])*"?|\[(?:\\.|[^\]\\])*\]?|#[^\n]*|(::=|[(|*+?{])', re.DOTALL
)
"""What is not looked into (texts, classes of characters, remarks), and what counts."""


def for_grammar_parser(grammar: str) -> str:
    """Return ``grammar``, which llama.cpp can parse in bounded time and without its stack running over.

    Raises:
        EngineError: it is larger than that.
    """
    size = len(grammar.encode("utf-8", "replace"))
    parts = sum(1 for found in _GRAMMAR_TOKEN.finditer(grammar) if found.group(1))
    if size <= MOST_GRAMMAR_BYTES and parts <= MOST_GRAMMAR_PARTS:
        return grammar
    raise EngineError(
        "The grammar cannot be used",
        cause=f"it has {size} bytes and {parts} rules, groups, alternatives and repetitions; at most "
        f"{MOST_GRAMMAR_BYTES} and {MOST_GRAMMAR_PARTS} are taken",
        suggestion="Write a smaller grammar.",
    )


def for_compiler(schema: Mapping[str, Any], context_length: int = 0) -> dict[str, Any]:
    """Return ``schema`` without what the compiler would fail at and that changes nothing.

    A format that it does not know is but a remark to JSON Schema. More items than ``context_length`` (0:
    unknown) has tokens never come.

    Raises:
        EngineError: an array is to be counted further than the compiler can, or it refers to more of
            its parts.
    """
    whole: dict[str, Any] = json.loads(json.dumps(schema))
    references: set[str] = set()
    # Without recursion: how deep a schema goes is its author's choice.
    waiting: list[Any] = [whole]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting += cast("list[Any]", found)
        elif isinstance(found, dict):
            one = cast("dict[str, Any]", found)
            _simplify(one, context_length)
            if isinstance(one.get("$ref"), str):
                references.add(one["$ref"])
            waiting += [one[key] for key in _SCHEMAS if key in one]
            named = [one[key] for key in _NAMED_SCHEMAS if isinstance(one.get(key), dict)]
            waiting += [inner for table in named for inner in table.values()]
    if len(references) > MOST_REFERENCES:
        raise EngineError(
            "The JSON schema cannot be used",
            cause=f"it refers to {len(references)} of its parts, and at most {MOST_REFERENCES} are followed",
            suggestion="Write what is referred to once in its place, or ask for less at a time.",
        )
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
