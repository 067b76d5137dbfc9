"""What a JSON schema's references lead to. No I/O: what is elsewhere is not fetched.

All walks are without recursion, and visit each part once: how deep a schema goes, and what refers to what, is
its author's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from lmstudio_core.lenient import as_list, as_mapping, is_list, is_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COMBINED", "DEFINITIONS", "NAMED_SCHEMAS", "SCHEMAS", "Document", "Target"]

SCHEMAS: Final = (
    *("items", "additionalItems", "prefixItems", "contains", "unevaluatedItems"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
    *("anyOf", "oneOf", "allOf", "not", "if", "then", "else"),
)
"""Keywords whose value is a schema, or a list of them."""
DEFINITIONS: Final = ("$defs", "definitions")
NAMED_SCHEMAS: Final = ("properties", "patternProperties", *DEFINITIONS)
COMBINED: Final = ("anyOf", "oneOf", "allOf")
"""Keywords whose schemas are about the same value as the one they stand in."""


@dataclass(frozen=True)
class Target:
    """What a reference leads to in the end."""

    name: str
    schema: Any


class Document:
    """One whole schema, in which references are looked up.

    Args:
        root: The schema.
    """

    def __init__(self, root: object) -> None:
        self._root = root
        self.copied: dict[str, str] = {}
        """The definitions that copies refer to already, by the reference that led to them."""

    def resolve(self, reference: object) -> Target | None:
        """Return what ``reference`` leads to, through others that say nothing themselves.

        ``None``: it is elsewhere, or missing, or leads in a circle.
        """
        seen: set[str] = set()
        while isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            found = self._at(reference)
            if not is_mapping(found):
                return Target(reference, found) if isinstance(found, bool) else None
            if set(found) != {"$ref"}:
                return Target(reference, found)
            reference = found["$ref"]
        return None

    def leads_back(self, start: str, owner: str) -> bool:
        """Whether a value of ``start`` may be one of ``owner`` again, without anything in between."""
        goal = self.resolve(owner)
        found = self.resolve(start)
        if goal is None or found is None:
            return False
        return any(one is goal.schema for one in self._same_value(found.schema))

    def names_in(self, schema: object) -> frozenset[str]:
        """Return the properties that ``schema`` names, wherever it does so."""
        return frozenset(
            name for one in self._same_value(schema) for name in as_mapping(one.get("properties"))
        )

    def is_opened(self, found: object, parts: list[Any]) -> bool:
        """Whether one of these schemas of an object says itself that other properties may come."""
        return any(
            bool(one.get(key))
            for schema in (found, *parts)
            for one in self._same_value(schema)
            for key in ("additionalProperties", "unevaluatedProperties", "patternProperties")
        )

    def _same_value(self, schema: object) -> Iterator[Any]:
        """Yield ``schema`` and all that it says of the same value by other schemas."""
        waiting, seen = [schema], set[int]()
        while waiting:
            one = waiting.pop()
            if not is_mapping(one) or id(one) in seen:
                continue
            seen.add(id(one))
            yield one
            target = self.resolve(one.get("$ref"))
            if target is not None:
                waiting.append(target.schema)
            for key in COMBINED:
                waiting += as_list(one.get(key))

    def _at(self, reference: str) -> Any:
        base, _, fragment = reference.partition("#")
        if base and base != as_mapping(self._root).get("$id"):
            return self._by_name.get(reference)
        if not fragment:
            return self._root
        if not fragment.startswith("/"):
            return self._by_name.get(f"#{fragment}")
        found: Any = self._root
        for part in fragment[1:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if is_mapping(found):
                found = found.get(key)
            elif is_list(found) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found

    @cached_property
    def _by_name(self) -> dict[str, Any]:
        """The parts that have a name of their own, by what a reference to them says."""
        names: dict[str, Any] = {}
        waiting: list[Any] = [self._root]
        while waiting:
            one = waiting.pop()
            if is_list(one):
                waiting += one
            elif is_mapping(one):
                anchors = (one.get("$anchor"), one.get("$dynamicAnchor"))
                names |= {f"#{anchor}": one for anchor in anchors if isinstance(anchor, str)}
                if isinstance(one.get("$id"), str):
                    names[one["$id"]] = one
                waiting += [one[key] for key in SCHEMAS if key in one]
                for key in NAMED_SCHEMAS:
                    waiting += as_mapping(one.get(key)).values()
        return names
