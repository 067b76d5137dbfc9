"""Schemas of tools' arguments: by pydantic, and without it where types are plain."""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import pydantic
from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import error_text

__all__ = ["NO_DEFAULT", "defaults_of", "described_by_pydantic", "plain_schema"]

logger: Final = logging.getLogger("lmstudio")

NO_DEFAULT: Final[Any] = inspect.Parameter.empty

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
_KEYS: Final = ("type", "properties", "required", "additionalProperties", "$defs")
_ERRORS: Final = (pydantic.errors.PydanticUserError, NameError, TypeError)

ArgumentsType = Callable[[str, Mapping[str, Any]], Any]
"""Makes a type of a tool's name and parameters."""


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
        odd = (
            None in forms or len(forms) != len(set(args)) or any(forms.count(f) > 1 for f in forms)
        )
        return None if odd else {"anyOf": forms}
    return None


def _plain_field(kind: Any, note: Any) -> dict[str, Any] | None:
    """The schema of a type with nothing but a description."""
    told = getattr(note, "_attributes_set", None)
    if not isinstance(note, FieldInfo) or told is None or set(told) != {"description"}:
        return None
    shown = _plain(kind)
    return None if shown is None else {**shown, "description": note.description}


class _PlainSchema(GenerateJsonSchema):
    """JSON schema without the titles that repeat the parameters' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def described_by_pydantic(
    name: str, parameters: Mapping[str, Any], arguments_type: ArgumentsType
) -> dict[str, Any]:
    """The schema of any parameters.

    What has a default and none that JSON could hold, such as a callback, is left to its default:
    the model is not told of it.

    Raises:
        LMStudioValueError: A parameter without a default has no schema.
    """
    try:
        schema = _json_schema(name, parameters, arguments_type)
    except _ERRORS as error:
        undescribed = dict(_undescribed(name, parameters, arguments_type))
        for parameter, own in undescribed.items():
            if NO_DEFAULT is _declared_default(parameters[parameter]):
                raise LMStudioValueError(_needs_type(name, parameter, own)) from error
            logger.debug("the model is not told of %r of the tool %r: %s", parameter, name, own)
        if not undescribed:
            raise LMStudioValueError(
                f"The parameters of the tool {name!r} have no JSON schema: {_first_line(error)}"
            ) from error
        parameters = {key: value for key, value in parameters.items() if key not in undescribed}
        return described_by_pydantic(name, parameters, arguments_type)
    plain: dict[str, Any] = {key: schema[key] for key in _KEYS if key in schema}
    plain.setdefault("properties", {})
    return plain


def _json_schema(
    name: str, parameters: Mapping[str, Any], arguments_type: ArgumentsType
) -> dict[str, Any]:
    made = TypeAdapter[Any](arguments_type(name, parameters))
    return made.json_schema(schema_generator=_PlainSchema)


def _undescribed(
    name: str, parameters: Mapping[str, Any], arguments_type: ArgumentsType
) -> Iterator[tuple[str, str]]:
    """The parameters that have no schema, and why."""
    for parameter, declared in parameters.items():
        try:
            _json_schema(name, {parameter: declared}, arguments_type)
        except _ERRORS as own:
            yield parameter, _first_line(own)


def _declared_default(declared: Any) -> Any:
    if isinstance(declared, Mapping):
        return cast("Mapping[str, Any]", declared).get("default", NO_DEFAULT)
    return NO_DEFAULT


def _needs_type(name: str, parameter: str, own: str) -> str:
    """What to write instead of a type that has no schema."""
    return (
        f"The parameter {parameter!r} of the tool {name!r} has no JSON schema: {own} "
        "Give it a type that JSON can hold, such as str, int, list[str], a dataclass or a pydantic "
        "model, or fill it in with functools.partial()."
    )


def _first_line(error: Exception) -> str:
    return error_text(error).splitlines()[0]


def defaults_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of those parameters that have one which is told here."""
    return {
        name: default
        for name, declared in parameters.items()
        if (default := _default(declared)) is not NO_DEFAULT
    }


def _default(declared: Any) -> Any:
    """What is passed if the model leaves a parameter out, or sends null for a default of ``None``."""
    if isinstance(declared, Mapping):
        return _declared_default(cast("Any", declared))
    notes: Sequence[Any] = getattr(declared, "__metadata__", ())
    told = any(isinstance(note, FieldInfo) and note.default is None for note in notes)
    return None if told else NO_DEFAULT
