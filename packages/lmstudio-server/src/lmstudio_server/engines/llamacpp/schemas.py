"""JSON schemas and grammars as llama.cpp's compilers take them. No I/O."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_core.lenient import as_mapping
from lmstudio_server.engines.base import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
_DEFINITIONS: Final = ("$defs", "definitions")
_NAMED_SCHEMAS: Final = ("properties", "patternProperties", *_DEFINITIONS)
_TO_DEFINITION: Final = re.compile(r"#/(\$defs|definitions)/[^/]*$")


MOST_ITEMS: Final = 10_000
"""The compiler counts an array's items one by one: millions take it minutes and all memory there is,
and it cannot be stopped."""

MOST_LEVELS: Final = 1000
"""How deep a schema goes, through all that it refers to. The compiler follows references by recursion: 1400
levels were seen to work, and 2000 to end its process."""
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
    depths, references = _walked(whole, lambda one: _simplify(one, context_length))
    _check_levels("The JSON schema", depths, references)
    return whole


def check_tool(tool: Mapping[str, Any]) -> None:
    """Raise ``EngineError`` where a tool's parameters go too deep for llama.cpp's parser of calls."""
    function = as_mapping(tool.get("function"))
    depths, references = _walked(function.get("parameters"), lambda _: None)
    _check_levels(f"The tool {function.get('name')!r}", depths, references)


def _walked(whole: object, visit: Callable[[dict[str, Any]], None]) -> tuple[list[int], set[str]]:
    """Visit each schema in ``whole``; return how deep it goes, then each definition, and what is referred to."""
    depths = [0]
    references: set[str] = set()
    # Without recursion: how deep a schema goes is its author's choice.
    waiting: list[tuple[Any, int, int]] = [(whole, 0, 0)]
    while waiting:
        found, depth, part = waiting.pop()
        depths[part] = max(depths[part], depth)
        if isinstance(found, list):
            waiting += [(inner, depth, part) for inner in cast("list[Any]", found)]
        elif isinstance(found, dict):
            one = cast("dict[str, Any]", found)
            visit(one)
            if isinstance(one.get("$ref"), str):
                references.add(one["$ref"])
            waiting += [(one[key], depth + 1, part) for key in _SCHEMAS if key in one]
            for key in _NAMED_SCHEMAS:
                for inner in one[key].values() if isinstance(one.get(key), dict) else ():
                    if key in _DEFINITIONS:
                        depths.append(0)
                        waiting.append((inner, 0, len(depths) - 1))
                    else:
                        waiting.append((inner, depth + 1, part))
    return depths, references


def _check_levels(what: str, depths: Sequence[int], references: Iterable[str]) -> None:
    """Refuse a schema in which one thing may lead to the next too often."""
    # A reference into the middle of the schema goes through it once more.
    levels = sum(depths) + sum(1 if _TO_DEFINITION.match(r) else 1 + depths[0] for r in references)
    if levels > MOST_LEVELS:
        raise EngineError(
            f"{what} cannot be used",
            cause=f"with all that it refers to it may go {levels} levels deep, and {MOST_LEVELS} are followed",
            suggestion="Refer to fewer parts, or ask for less at a time.",
        )


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
