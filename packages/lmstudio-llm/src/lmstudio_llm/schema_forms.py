"""Formats of other packages: OpenAI's dicts, and classes of ``attrs`` and ``msgspec``."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, cast, get_args, get_origin

import pydantic
from pydantic import AfterValidator, ConfigDict
from typing_extensions import get_type_hints

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import is_mapping

__all__ = ["has_struct", "is_struct", "of_openai", "with_attrs"]


def of_openai(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON schema in a format of OpenAI's API; what is none is given back.

    Raises:
        LMStudioValueError: It is one, and there is no schema in it.
    """
    kind = given.get("type")
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        return given
    inner = given.get("json_schema", given)  # the responses API has the schema beside the type
    schema = inner.get("schema") if is_mapping(inner) else None
    if not is_mapping(schema):
        raise LMStudioValueError(
            'response_format={"type": "json_schema", ...} needs {"json_schema": {"name": ..., '
            f'"schema": {{...}}}}}}, not {inner!r}.'
        )
    return schema


def is_struct(kind: Any) -> bool:
    """Whether it is a class of msgspec's."""
    msgspec = sys.modules.get("msgspec")  # whoever has such a class has imported it
    if msgspec is None or not isinstance(kind, type) or get_origin(kind) is not None:
        return False  # in Python 3.10 list[int] is a type for isinstance and none for issubclass
    return issubclass(kind, msgspec.Struct)


def has_struct(kind: Any) -> bool:
    """Whether it is such a class, or a type with one in it (``list[Book]``, ``A | B``)."""
    if "msgspec" not in sys.modules:
        return False
    return is_struct(kind) or any(map(has_struct, get_args(kind)))


def with_attrs(kind: Any) -> Any:
    """A type in which classes of attrs are replaced by what pydantic makes them of."""
    return kind if "attrs" not in sys.modules and "attr" not in sys.modules else _replaced(kind, {})


def _replaced(kind: Any, made: dict[Any, Any]) -> Any:
    if isinstance(kind, type) and hasattr(kind, "__attrs_attrs__"):
        if kind not in made:
            made[kind] = _like(kind, made)
        return made[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin not in (list, dict, tuple, set, frozenset, Union, types.UnionType, Annotated):
        return kind
    if origin is Annotated:
        parts: Any = (_replaced(args[0], made), *cast("Any", kind).__metadata__)
        return Annotated[parts]
    new: Any = tuple(_replaced(part, made) for part in args)
    if new == args:
        return kind
    return Union[new] if origin in (Union, types.UnionType) else cast("Any", origin)[new]  # noqa: UP007


def _like(cls: Any, made: dict[Any, Any]) -> Any:
    hints = get_type_hints(cls, include_extras=True)
    made[cls] = cast("Any", pydantic.InstanceOf)[
        cls
    ]  # one that holds itself cannot be described this way
    keys: dict[str, Any] = {}
    for field in cls.__attrs_attrs__:
        if field.init:
            optional = field.default is not _nothing()
            kind = _replaced(hints.get(field.name, Any), made)
            keys[field.alias] = (kind, None if optional else ...)
    model = cast("Any", pydantic.create_model)(
        cls.__name__, __config__=ConfigDict(arbitrary_types_allowed=True), **keys
    )
    return Annotated[model, AfterValidator(_maker(cls))]


def _nothing() -> Any:
    return sys.modules["attr"].NOTHING


def _maker(cls: Any) -> Callable[[Any], Any]:
    def make(read: Any) -> Any:
        return cls(**{name: getattr(read, name) for name in read.model_fields_set})

    return make
