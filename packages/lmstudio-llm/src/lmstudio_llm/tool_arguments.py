"""Arguments of tools that do not fit, read once more.

Small models write ``"[1, 2]"`` for a list and ``"3"`` for one out of 1, 2, 3. What does not fit is
read once more as JSON where it stands, if the schema has no place for text there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from lmstudio_core.lenient import as_mapping, is_mapping, is_sequence

__all__ = ["with_text_decoded"]

_MAX_DEPTH: Final = 50


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
            is_sequence(values) and isinstance(step, int) and step < len(values)
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
        if is_sequence(forms := schema.get(keyword)):
            return any(_admits_text(form, path, root, depth + 1) for form in forms)
    forms = schema.get("allOf")
    if is_sequence(forms) and not all(_admits_text(f, path, root, depth + 1) for f in forms):
        return False
    if path:
        return _admits_text(_inside(schema, path[0]), path[1:], root, depth + 1)
    if "const" in schema:
        return isinstance(schema["const"], str)
    if is_sequence(choices := schema.get("enum")):
        return any(isinstance(choice, str) for choice in choices)
    kind = schema.get("type")
    return kind is None or kind == "string" or (is_sequence(kind) and "string" in kind)


def _inside(schema: Mapping[str, Any], step: Any) -> Any:
    if isinstance(step, int):
        leading = schema.get("prefixItems")
        if is_sequence(leading) and step < len(leading):
            return leading[step]
        return schema.get("items", True)
    known = as_mapping(schema.get("properties"))
    return known[step] if step in known else schema.get("additionalProperties", True)


def _referred(ref: str, root: Any) -> Any:
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if not is_mapping(found) or name not in found:
            return True
        found = found[name]
    return found if ref.startswith("#") else True
