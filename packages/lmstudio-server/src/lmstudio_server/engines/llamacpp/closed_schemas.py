"""The copy of a JSON schema that a grammar is made of. No I/O.

Compilers of grammars do a part of JSON Schema, and refuse the rest: one odd corner, and the whole schema is
lost. What they cannot do, validation does afterwards, so it is left out here. And an object that lists its
properties is closed: a model that may invent keys does so, up to the limit of its tokens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.lenient import as_list, as_mapping, is_list, is_mapping

from .schema_documents import Document, Target
from .schema_values import Bounds, array_limits, number_limits, text_limits, types_of, values_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["SchemaCopier"]

Json = dict[str, Any]

_MOST_NODES: Final = 20_000
"""Parts of one request's copies. Branches are copied where they are used, so a few lines can ask for millions."""
_LEVELS_IN_ONE: Final = 16
"""What is deeper becomes a definition of its own: JSON deeper than 128 is not read by the compiler."""
_MOST_BRANCHING: Final = 24
"""How far ``allOf`` and its like may stand in each other."""
_EXTRA: Final = "additionalProperties"
_NOTES: Final = ("title", "description", "default", "examples")
"""What a model may read, and no grammar is made of."""
_CONSTRAINTS: Final = (
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required"),
    *("additionalProperties", "patternProperties", "items", "prefixItems", "minItems", "maxItems"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)
"""What beside a reference says more than it."""


@dataclass(frozen=True)
class _Place:
    """Where a part stands."""

    document: Document
    owner: str
    """The definition whose value it is about; empty for a part of a value."""
    level: int = 0
    branching: int = 0
    outer: frozenset[str] = frozenset()
    """Properties that the schemas around it name, of the same object."""
    is_open: bool = False
    """Whether a schema around it closes the object."""

    def inside(self) -> _Place:
        """The place of a part of the value: a property, an item."""
        return _Place(self.document, "", self.level + 1)

    def branch(self, outer: Iterable[str], *, is_open: bool) -> _Place:
        """The place of another schema of the same value."""
        return replace(self, branching=self.branching + 1, outer=frozenset(outer), is_open=is_open)


class SchemaCopier:
    """Copies the schemas of one request, each with definitions of its own.

    Args:
        bounds: How far the compiler counts.
        plain: Leave out all but types, fixed values and structure.
        notes: Keep descriptions and the like, for a model to read.
    """

    def __init__(self, bounds: Bounds, *, plain: bool = False, notes: bool = False) -> None:
        self._bounds = bounds
        self._plain = plain
        self._notes = notes
        self._nodes = 0
        self._count = 0
        self._waiting: deque[tuple[str, Any, _Place]] = deque()

    def copy(self, schema: object) -> tuple[Json, Json]:
        """Return the copy of ``schema``, and the definitions that it refers to as ``#/$defs/…``."""
        document = Document(schema)
        definitions: Json = {}
        whole = self._schema(schema, _Place(document, "#")) or {}
        while self._waiting:
            name, found, place = self._waiting.popleft()
            definitions[name] = self._schema(found, place) or {}
        return whole, definitions

    def _schema(self, found: object, place: _Place) -> Json | None:
        """Return the copy of a part; ``None`` if no value fits it."""
        self._nodes += 1
        if found is False:
            return None
        if not is_mapping(found) or self._nodes > _MOST_NODES or place.branching > _MOST_BRANCHING:
            return {}
        target = place.document.resolve(found.get("$ref"))
        parts = list(as_list(found.get("allOf")))
        if target is not None:
            if not any(key in found for key in _CONSTRAINTS):
                return self._reference(found, target, place)
            if not self._leads_back(target, place):
                parts.insert(0, target.schema)
        copy = {key: found[key] for key in _NOTES if key in found} if self._notes else {}
        values = values_of(found)
        if values is not None:
            return copy | values
        return copy | self._constraints(found, parts, place)

    def _reference(self, found: Mapping[str, Any], target: Target, place: _Place) -> Json | None:
        if target.schema is False or self._leads_back(target, place):
            # What begins with itself: no value is the less for leaving it out.
            return None
        if place.outer or place.is_open:
            # What it is closed to depends on what is around it.
            return self._schema(target.schema, replace(place, branching=place.branching + 1))
        copy: Json = {"$ref": self._definition(target.name, target.schema, place.document)}
        if self._notes and isinstance(found.get("description"), str):
            copy["description"] = found["description"]
        return copy

    def _leads_back(self, target: Target, place: _Place) -> bool:
        return bool(place.owner) and place.document.leads_back(target.name, place.owner)

    def _definition(self, name: str, schema: object, document: Document) -> str:
        known = document.copied.get(name) if name else None
        if known is None:
            self._count += 1
            known = f"d{self._count}"
            if name:
                document.copied[name] = known
            self._waiting.append((known, schema, _Place(document, name)))
        return f"#/$defs/{known}"

    def _inside(self, found: object, place: _Place) -> Json | None:
        """Return the copy of a part of the value; one that is deep down as a reference."""
        inner = place.inside()
        if inner.level < _LEVELS_IN_ONE or not is_mapping(found):
            return self._schema(found, inner)
        return {"$ref": self._definition("", found, place.document)}

    def _constraints(self, found: Mapping[str, Any], parts: list[Any], place: _Place) -> Json:
        choices = [as_list(found[key]) for key in ("anyOf", "oneOf") if as_list(found.get(key))]
        own = frozenset(as_mapping(found.get("properties")))
        shared = own.union(place.outer, *map(place.document.names_in, parts))
        known = shared.union(*(place.document.names_in(one) for many in choices for one in many))
        closing = None
        if not place.is_open and not place.document.is_opened(found, parts):
            # An object that says nothing itself is closed by each of its choices.
            says_all = "properties" in found or found.get(_EXTRA) is False
            closing = known if shared or (says_all and not known) else None
        alone = not parts and not choices
        copy = types_of(found, has_object=bool(own) or (alone and _EXTRA in found))
        if "object" not in copy.get("type", "object"):
            closing = None
        if not self._plain:
            copy |= text_limits(found, self._bounds) | number_limits(found)
        copy |= self._array(found, place)
        copy |= self._object(found, place, closing)
        together = [self._schema(one, place.branch(known, is_open=True)) for one in parts]
        branched = [
            self._choice(many, place.branch(shared, is_open=place.is_open)) for many in choices
        ]
        return _joined(copy, [one for one in together if one], [one for one in branched if one])

    def _choice(self, many: Iterable[Any], place: _Place) -> list[Json]:
        """Return what may be chosen of; one that anything fits leaves the choice free."""
        copies = [copy for one in many if (copy := self._schema(one, place)) is not None]
        return copies if all(copies) else []

    def _array(self, found: Mapping[str, Any], place: _Place) -> Json:
        items: Any = found.get("items")
        first: Any = found.get("prefixItems")
        if is_list(items):
            # As it was written before 2020.
            first, items = items, found.get("additionalItems")
        copy: Json = {}
        heads = [self._inside(one, place) for one in as_list(first)]
        if heads and None not in heads:
            copy["prefixItems"] = heads
        if items is not None:
            rest = self._inside(items, place)
            # No item fits, so there is none; how many there are is then fixed by those before.
            copy["items"] = False if rest is None else rest
        limits = array_limits(found, self._bounds)
        if self._plain or copy.get("items") is False or len(heads) > 0:
            return copy
        return copy | limits

    def _object(
        self, found: Mapping[str, Any], place: _Place, closing: frozenset[str] | None
    ) -> Json:
        given = as_mapping(found.get("properties"))
        properties: Json = {}
        for name, one in given.items():
            copied = self._inside(one, place)
            if copied is not None:
                properties[name] = copied
        required = [n for n in dict.fromkeys(as_list(found.get("required"))) if _usable(n, given)]
        for name in (*required, *sorted((closing or frozenset()) - given.keys())):
            properties.setdefault(name, {})
        copy: Json = {"properties": properties} if properties or closing is not None else {}
        if required:
            copy["required"] = required
        extra = found.get(_EXTRA)
        if closing is not None:
            copy[_EXTRA] = False
        elif is_mapping(extra) and not place.is_open and not place.outer:
            others = self._inside(extra, place)
            copy[_EXTRA] = False if others is None else others
        return copy


def _usable(name: object, given: Mapping[str, Any]) -> bool:
    return isinstance(name, str) and given.get(name) is not False


def _joined(copy: Json, together: list[Json], branched: list[list[Json]]) -> Json:
    """Return ``copy`` with what holds besides it."""
    if len(branched) == 1:
        copy["anyOf"] = branched[0]
    else:
        together += [{"anyOf": many} for many in branched]
    if together:
        copy["allOf"] = together
    return copy
