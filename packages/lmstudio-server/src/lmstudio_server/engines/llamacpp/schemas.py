"""JSON schemas and grammars as llama.cpp's compilers take them. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from lmstudio_core.lenient import as_mapping, is_mapping
from lmstudio_server.engines.base import EngineError

from .closed_schemas import SchemaCopier
from .schema_documents import DEFINITIONS, NAMED_SCHEMAS, SCHEMAS
from .schema_values import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TO_DEFINITION: Final = re.compile(r"#/(\$defs|definitions)/[^/]*$")
_NO_ARGUMENTS: Final = {"type": "object"}
_PARSER_BOUNDS: Final = Bounds(characters=500, items=100, repetitions=100)
"""For the grammar that llama.cpp makes of tools itself: a rule for each repetition."""

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


def for_compiler(
    schema: Mapping[str, Any], context_length: int = 0, *, plain: bool = False
) -> dict[str, Any]:
    """Return what of ``schema`` llama.cpp's compiler can hold an answer to, with objects closed.

    Args:
        schema: The schema of the answer.
        context_length: How many tokens an answer has at most (0: unknown).
        plain: Leave out all but types, fixed values and structure: what the compiler always takes.

    Raises:
        EngineError: It refers to more of its parts than the compiler can follow.
    """
    copier = SchemaCopier(Bounds(tokens=context_length), plain=plain)
    whole, definitions = copier.copy(schema)
    if "x-guidance" in schema:
        whole["x-guidance"] = schema["x-guidance"]
    whole |= {"$defs": definitions} if definitions else {}
    _check_levels("The JSON schema", *_walked(whole))
    return whole


def forced_call_schema(
    tools: Sequence[Mapping[str, Any]], context_length: int = 0, *, plain: bool = False
) -> dict[str, Any]:
    """Return the schema of a call of one of ``tools``, as ``<tool_call>`` encloses it.

    Args:
        tools: The tools, in OpenAI's format.
        context_length: How many tokens a call has at most (0: unknown).
        plain: Leave out all but types, fixed values and structure: what the compiler always takes.
    """
    copier = SchemaCopier(Bounds(tokens=context_length), plain=plain)
    calls: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for tool in tools:
        # References inside begin at the root, where each tool's definitions have names of their own.
        arguments, own = _arguments(tool, copier)
        definitions |= own
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool["function"]["name"]}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return {"anyOf": calls} | ({"$defs": definitions} if definitions else {})


def for_parser(tools: Sequence[Mapping[str, Any]], *, plain: bool = False) -> list[dict[str, Any]]:
    """Return ``tools`` as llama.cpp takes them that reads their calls itself.

    It makes a grammar of them all, in which definitions of one name would be one; objects are closed
    there anyway. ``plain``: without all that it could refuse.
    """
    copier = SchemaCopier(_PARSER_BOUNDS, notes=True)
    copies: list[dict[str, Any]] = []
    for tool in tools:
        arguments, own = (_NO_ARGUMENTS, {}) if plain else _arguments(tool, copier)
        arguments = {"properties": {}} | arguments | ({"$defs": own} if own else {})
        copies.append({**tool, "function": {**tool["function"], "parameters": arguments}})
    return copies


def for_template(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ``tools`` for a model to read: as they are, but for what templates would stumble over."""
    return [
        {**tool, "function": {**tool["function"], "parameters": _readable(tool)}} for tool in tools
    ]


def _arguments(
    tool: Mapping[str, Any], copier: SchemaCopier
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a tool's arguments and its definitions; any object where there is none."""
    schema, definitions = copier.copy(tool["function"].get("parameters") or {})
    if set(schema) == {"$ref"}:
        schema = dict(definitions.get(schema["$ref"].rpartition("/")[2]) or {})
    if schema.get("type", "object") != "object" or "enum" in schema or "const" in schema:
        return dict(_NO_ARGUMENTS), {}
    schema = {"type": "object", **schema}
    try:
        _check_levels("", *_walked({**schema, "$defs": definitions}))
    except EngineError:
        return dict(_NO_ARGUMENTS), {}
    return schema, definitions


def _readable(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's parameters with everything of the type that its keyword has."""
    whole: dict[str, Any] = {"properties": {}}
    given = tool["function"].get("parameters")
    waiting: list[tuple[Any, dict[str, Any]]] = [(given, whole)]
    while waiting:
        found, copy = waiting.pop()
        for key, value in as_mapping(found).items():
            if key == "properties":
                names: dict[str, Any] = {name: {} for name in as_mapping(value)}
                waiting += [(value[name], names[name]) for name in names]
                copy[key] = names
            elif key in ("items", "additionalProperties") and is_mapping(value):
                copy[key] = {}
                waiting.append((value, copy[key]))
            elif _is_expected(key, value):
                copy[key] = value
    return {"type": "object", **whole, **_NO_ARGUMENTS}


def _is_expected(key: str, value: object) -> bool:
    kinds: Mapping[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("type", "$ref", "format", "pattern", "title", "description"), str),
        **dict.fromkeys(("required", "enum", "anyOf", "oneOf", "allOf"), list),
        "type": (str, list),
        "items": bool,
        "additionalProperties": bool,
    }
    return isinstance(value, kinds.get(key, object)) and value != []


def _walked(whole: object) -> tuple[list[int], set[str]]:
    """Return how deep ``whole`` goes, then each of its definitions, and what is referred to."""
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
            if isinstance(one.get("$ref"), str):
                references.add(one["$ref"])
            waiting += [(one[key], depth + 1, part) for key in SCHEMAS if key in one]
            for key in NAMED_SCHEMAS:
                for inner in one[key].values() if isinstance(one.get(key), dict) else ():
                    if key in DEFINITIONS:
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
