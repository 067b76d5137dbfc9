"""Whether data fits a JSON schema: the keywords that structured output uses.

Servers constrain the output to the schema while generating. What this finds is output that was cut
off, and servers that do not constrain. Keywords unknown here are taken as satisfied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from .narrow import is_list, is_mapping, mapping

__all__ = ["schema_problems"]

_MAX_DEPTH: Final = 100

_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}

_LIMITS: Final[Mapping[str, tuple[str, type | tuple[type, ...], int]]] = {
    # keyword: (what is compared, for which values, +1 for a lower and -1 for an upper limit)
    "minimum": ("value", (int, float), 1),
    "maximum": ("value", (int, float), -1),
    "minLength": ("length", str, 1),
    "maxLength": ("length", str, -1),
    "minItems": ("length", list, 1),
    "maxItems": ("length", list, -1),
}


def schema_problems(data: Any, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with ``data``, one line each with the place; empty if it fits."""
    return tuple(_Check(schema).problems(data, schema, "", 0))


class _Check:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def problems(self, data: Any, schema: Any, where: str, depth: int) -> Iterator[str]:
        if schema is False:
            yield _at(where, "is not allowed")
        if depth > _MAX_DEPTH or not is_mapping(schema):
            return
        rules = schema
        if "$ref" in rules:
            yield from self.problems(data, self._resolve(rules["$ref"]), where, depth + 1)
        kind_problem = _type_problem(data, rules.get("type"))
        if kind_problem:
            yield _at(where, kind_problem)
            return
        yield from (_at(where, problem) for problem in _value_problems(data, rules))
        yield from self._combined(data, rules, where, depth)
        if isinstance(data, dict):
            yield from self._object(mapping(data), rules, where, depth)
        elif isinstance(data, list):
            yield from self._array(_list(data), rules, where, depth)

    def _resolve(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            return True
        found: Any = self._root
        for step in ref[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not is_mapping(found) or name not in found:
                return True
            found = found[name]
        return found

    def _combined(
        self, data: Any, rules: Mapping[str, Any], where: str, depth: int
    ) -> Iterator[str]:
        for part in _list(rules.get("allOf")):
            yield from self.problems(data, part, where, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            parts = _list(rules.get(keyword))
            if parts and not any(self._fits(data, part, depth) for part in parts):
                yield _at(where, f"fits none of the {len(parts)} forms allowed")

    def _fits(self, data: Any, schema: Any, depth: int) -> bool:
        return next(self.problems(data, schema, "", depth + 1), None) is None

    def _object(
        self, data: Mapping[str, Any], rules: Mapping[str, Any], where: str, depth: int
    ) -> Iterator[str]:
        known = mapping(rules.get("properties"))
        for name in _list(rules.get("required")):
            if name not in data:
                yield _at(_join(where, str(name)), "is missing")
        for name, value in data.items():
            if name in known:
                rule: Any = known[name]
            elif "patternProperties" in rules:
                continue
            else:
                rule = rules.get("additionalProperties", True)
            yield from self.problems(value, rule, _join(where, name), depth + 1)

    def _array(
        self, data: Sequence[Any], rules: Mapping[str, Any], where: str, depth: int
    ) -> Iterator[str]:
        leading = _list(rules.get("prefixItems"))
        for index, value in enumerate(data):
            rule = leading[index] if index < len(leading) else rules.get("items", True)
            yield from self.problems(value, rule, _join(where, str(index)), depth + 1)


def _type_problem(data: Any, kind: Any) -> str | None:
    names = [kind] if isinstance(kind, str) else _list(kind)
    if not names or any(_is(data, name) for name in names):
        return None
    return f"is {type(data).__name__}, not {' or '.join(str(name) for name in names)}"


def _is(data: Any, name: Any) -> bool:
    if name not in _PYTHON_TYPES:
        return True
    if isinstance(data, bool):
        return bool(name == "boolean")
    if name == "integer" and isinstance(data, float):
        return data.is_integer()
    return isinstance(data, _PYTHON_TYPES[name])


def _value_problems(data: Any, rules: Mapping[str, Any]) -> Iterator[str]:
    if "const" in rules and data != rules["const"]:
        yield f"is {data!r}, not {rules['const']!r}"
    if "enum" in rules and data not in _list(rules["enum"]):
        yield f"is {data!r}, not one of {rules['enum']!r}"
    for keyword, (what, kinds, sign) in _LIMITS.items():
        limit = rules.get(keyword)
        if not isinstance(limit, (int, float)) or not isinstance(data, kinds):
            continue
        amount = len(cast("Any", data)) if what == "length" else cast("float", data)
        if (amount - limit) * sign < 0:
            yield f"breaks {keyword} = {limit}"
    pattern = rules.get("pattern")
    if isinstance(pattern, str) and isinstance(data, str) and _mismatch(pattern, data):
        yield f"does not match {pattern!r}"


def _mismatch(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is None
    except re.error:  # JSON schema's patterns are ECMAScript's, which Python may not read
        return False


def _list(value: Any) -> Sequence[Any]:
    return value if is_list(value) else ()


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _at(where: str, problem: str) -> str:
    return f"{where or 'the output'} {problem}"
