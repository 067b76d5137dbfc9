"""Arguments of tools: their schema without pydantic where types are plain, and small mistakes.

Small models write ``"[1, 2]"`` for a list and ``"3"`` for one out of 1, 2, 3. What does not fit is
read once more as JSON where it stands, if the schema has no place for text there.
"""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from .narrow import is_list, is_mapping, mapping

__all__ = ["plain_schema", "with_text_decoded"]

_PLAIN: Final[Mapping[Any, Mapping[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    list: {"items": {}, "type": "array"},
    dict: {"additionalProperties": True, "type": "object"},
}
_LITERALS: Final[Mapping[Any, str]] = {str: "string", int: "integer"}
_EXACT: Final = (str, int, bool, types.NoneType)
_MAX_DEPTH: Final = 50


# --- schemas -----------------------------------------------------------------------------------


def plain_schema(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema that pydantic would make, if all parameters are of plain types; else ``None``.

    Pydantic takes two milliseconds for a function of twenty parameters, and most are plain.
    """
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, declared in parameters.items():
        spec = cast("Mapping[str, Any]", declared) if isinstance(declared, Mapping) else None
        shown = _plain(declared if spec is None else spec.get("type"))
        if shown is None:
            return None
        if spec is None or "default" not in spec:
            required.append(name)
        elif type(spec["default"]) in _EXACT:
            shown["default"] = spec["default"]
        else:
            return None
        if spec is not None and "description" in spec:
            shown["description"] = spec["description"]
        properties[name] = shown
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        made["required"] = required
    made["additionalProperties"] = False
    return made


def _plain(kind: Any) -> dict[str, Any] | None:
    try:
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
    except TypeError:  # a hint that has no hash
        return None
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        of: Any = cast("Any", type)(args[0])
        if of not in _LITERALS or any(type(value) is not of for value in args):
            return None
        only: dict[str, Any] = {"const": args[0]} if len(args) == 1 else {"enum": list(args)}
        return {**only, "type": _LITERALS[of]}
    if origin is Annotated and len(kind.__metadata__) == 1:
        return _plain_field(args[0], kind.__metadata__[0])
    if origin is list:
        items = _plain(args[0])
        return None if items is None else {"items": items, "type": "array"}
    if origin is Union or origin is types.UnionType:
        forms = [_plain(part) for part in args]
        return None if None in forms or len(forms) != len(set(args)) else {"anyOf": forms}
    return None


def _plain_field(kind: Any, note: Any) -> dict[str, Any] | None:
    """The schema of a type with nothing but a description."""
    told = getattr(note, "_attributes_set", None)
    if not isinstance(note, FieldInfo) or told is None or set(told) != {"description"}:
        return None
    shown = _plain(kind)
    return None if shown is None else {**shown, "description": note.description}


# --- mistakes ----------------------------------------------------------------------------------


def with_text_decoded(
    values: Mapping[str, Any], schema: Mapping[str, Any], places: Iterable[Sequence[Any]]
) -> dict[str, Any] | None:
    """The arguments with JSON text read where they do not fit; ``None`` if there is no such text.

    Args:
        values: What the model sent.
        schema: The schema of all arguments.
        places: Where it does not fit; steps that lead nowhere are left out.
    """
    made: dict[str, Any] | None = None
    for place in places:
        path, text = _found(values, place)
        if not isinstance(text, str) or not path or _admits_text(schema, path, schema):
            continue
        try:
            meant = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(meant, str):
            continue
        made = copy.deepcopy(dict(values)) if made is None else made
        inside: Any = made
        for step in path[:-1]:
            inside = inside[step]
        inside[path[-1]] = meant
    return made


def _found(values: Any, place: Sequence[Any]) -> tuple[list[Any], Any]:
    """The part of ``place`` that leads somewhere in the values, and what is there.

    Pydantic's places also name the forms of unions, which are no steps in the data.
    """
    path: list[Any] = []
    for step in place:
        if (is_mapping(values) and step in values) or (
            is_list(values) and isinstance(step, int) and step < len(values)
        ):
            values = cast("Any", values)[step]
            path.append(step)
        elif isinstance(values, str):
            break
    return path, values


def _admits_text(schema: Any, path: Sequence[Any], root: Any, depth: int = 0) -> bool:
    """Whether a string may stand at ``path``; also if that cannot be told."""
    if depth > _MAX_DEPTH or not is_mapping(schema):
        return schema is not False
    if isinstance(ref := schema.get("$ref"), str):
        return _admits_text(_referred(ref, root), path, root, depth + 1)
    for keyword in ("anyOf", "oneOf"):
        if is_list(forms := schema.get(keyword)):
            return any(_admits_text(form, path, root, depth + 1) for form in forms)
    forms = schema.get("allOf")
    if is_list(forms) and not all(_admits_text(f, path, root, depth + 1) for f in forms):
        return False
    if path:
        return _admits_text(_inside(schema, path[0]), path[1:], root, depth + 1)
    if "const" in schema:
        return isinstance(schema["const"], str)
    if is_list(choices := schema.get("enum")):
        return any(isinstance(choice, str) for choice in choices)
    kind = schema.get("type")
    return kind is None or kind == "string" or (is_list(kind) and "string" in kind)


def _inside(schema: Mapping[str, Any], step: Any) -> Any:
    if isinstance(step, int):
        leading = schema.get("prefixItems")
        if is_list(leading) and step < len(leading):
            return leading[step]
        return schema.get("items", True)
    known = mapping(schema.get("properties"))
    return known[step] if step in known else schema.get("additionalProperties", True)


def _referred(ref: str, root: Any) -> Any:
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not is_mapping(found) or name not in found:
            return True
        found = found[name]
    return found if ref.startswith("#") else True
