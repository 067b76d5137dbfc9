"""Values of output that is still being written: each is the beginning of the next.

What is not there yet is ``None`` in models and dataclasses, and absent from dicts and lists. A value
that only its end makes right (a number, a date, a choice, one of several classes) appears once it is
whole.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Final, NamedTuple, Union, cast, get_args, get_origin

import pydantic
from pydantic import TypeAdapter
from pydantic_core import from_json
from typing_extensions import get_type_hints, is_typeddict

from lmstudio_core.lenient import is_mapping, is_sequence

from .schema_forms import has_struct, is_struct, with_attrs

__all__ = ["NOTHING", "Begun", "begun_data", "no_partial", "partial_of", "plain_partial"]

NOTHING: Final[Any] = object()
"""There is no value yet."""

_NUMBER: Final = re.compile(r"[-+0-9.eE]+$")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*("?)', re.DOTALL)


class Begun(NamedTuple):
    """Data that is still being written.

    Attributes:
        data: What is there.
        open: How many values are not ended: ``data`` itself, its last item, that one's last, …
    """

    data: Any
    open: int


def begun_data(text: str) -> Begun | None:
    """The data of which ``text`` is the beginning; ``None`` if it has not begun.

    A number at the very end may go on, so it is left out.
    """
    begun = _NUMBER.sub("", text.strip())
    if not begun:
        return None
    try:
        data = from_json(begun, allow_partial="trailing-strings")
    except ValueError:
        return None
    brackets = _STRING.sub("", begun)
    left = sum(map(brackets.count, "{[")) - sum(map(brackets.count, "}]"))
    ends = [found[1] for found in _STRING.finditer(begun)]
    in_text = bool(ends) and not ends[-1]
    # Half a key is no value yet: the parser leaves it out, and the item before it is whole.
    is_key = brackets.rstrip()[-1:] in ("{", ",") and is_mapping(_last(data, left - 1))
    return Begun(data, left + (in_text and not is_key))


def _last(data: Any, steps: int) -> Any:
    """What is found by going into the last item that often."""
    for _ in range(steps):
        if not (is_mapping(data) or is_sequence(data)) or not len(data):
            return None
        data = list(data.values())[-1] if is_mapping(data) else cast("Any", data)[-1]
    return data


def plain_partial(begun: Begun) -> Any:
    """The data as it is: for schemas without a type."""
    return begun.data


def no_partial(begun: Begun) -> Any:
    """Nothing before the end: for classes that cannot be made of a part."""
    del begun
    return NOTHING


def partial_of(kind: Any, begun: Begun) -> Any:
    """The value of a type that this data is the beginning of; ``NOTHING`` if there is none yet."""
    data, still = begun
    if still <= 0:
        return _whole(kind, data)
    kind = _one_kind(kind)
    if kind is Any or (isinstance(data, str) and kind is str):
        return data
    if _is_a(kind, pydantic.RootModel):
        root = partial_of(kind.model_fields["root"].annotation, begun)
        return NOTHING if root is NOTHING else kind.model_construct(root)
    if is_mapping(data):
        return _of_mapping(kind, data, still)
    return _of_list(kind, data, still) if is_sequence(data) else NOTHING


def _is_a(kind: Any, of: type) -> bool:
    return inspect.isclass(kind) and get_origin(kind) is None and issubclass(kind, of)


def _one_kind(kind: Any) -> Any:
    """The type without notes, and without ``None`` beside it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _one_kind(args[0])
    if origin is Union or origin is types.UnionType:
        others = [part for part in args if part is not type(None)]
        return _one_kind(others[0]) if len(others) == 1 else kind
    return kind


def _of_list(kind: Any, data: Sequence[Any], still: int) -> Any:
    """What is there of the items, of one type or, in a tuple, of one each."""
    origin, args = get_origin(kind) or kind, get_args(kind)
    if origin not in _LISTS:
        return NOTHING
    each = origin is tuple and bool(args) and args[-1] is not Ellipsis
    kinds = list(args) if each else [(args or (Any,))[0]] * len(data)
    last = len(data) - 1
    items = [
        partial_of(one, Begun(item, still - 1 if at == last else 0))
        for at, (one, item) in enumerate(zip(kinds, data, strict=False))
    ]
    found = items[: items.index(NOTHING)] if NOTHING in items else items
    return tuple(found) if origin is tuple else found


_LISTS: Final = (list, tuple, Sequence, Iterable, Collection)


def _of_mapping(kind: Any, data: Mapping[str, Any], still: int) -> Any:
    """An object with the fields that are there."""
    last = next(reversed(list(data)), None)

    def value(key: str, of: Any) -> Any:
        return partial_of(of, Begun(data[key], still - 1 if key == last else 0))

    def known(kinds: Mapping[str, Any]) -> dict[str, Any]:
        values = {key: value(key, kinds[key]) for key in data if key in kinds}
        return {key: made for key, made in values.items() if made is not NOTHING}

    if kind is dict or get_origin(kind) in (dict, Mapping):
        return known(dict.fromkeys(data, (get_args(kind) or (str, Any))[1]))
    if is_typeddict(kind):
        return known(get_type_hints(kind))
    if is_struct(kind):
        return _struct(kind, known)
    make = (
        _model
        if _is_a(kind, pydantic.BaseModel)
        else _attrs
        if hasattr(kind, "__attrs_attrs__")
        else _dataclass
        if is_dataclass(kind)
        else None
    )
    return NOTHING if make is None else make(kind, known)


Known = Callable[[Mapping[str, Any]], dict[str, Any]]
"""The values of those of some keys that are there, by the types of them."""


def _dataclass(kind: Any, known: Known) -> Any:
    aliases: Mapping[str, Any] = getattr(kind, "__pydantic_fields__", {})
    hints = get_type_hints(kind, include_extras=True)
    keys = {
        field.name: alias
        if isinstance(alias := getattr(aliases.get(field.name), "validation_alias", None), str)
        else field.name
        for field in fields(kind)
    }
    values = known({key: hints[name] for name, key in keys.items()})
    return _filled(object.__new__(kind), {name: values.get(key) for name, key in keys.items()})


def _attrs(kind: Any, known: Known) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    given = kind.__attrs_attrs__
    values = known({field.alias: hints.get(field.name, Any) for field in given if field.init})
    return _filled(object.__new__(kind), {field.name: values.get(field.alias) for field in given})


def _filled(made: Any, values: Mapping[str, Any]) -> Any:
    # Not by its own way: that may be closed, and would check what is not complete.
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def _struct(kind: Any, known: Known) -> Any:
    """One of msgspec's, which only its constructor makes; what that does itself may want it whole."""
    given = importlib.import_module("msgspec").structs.fields(kind)
    values = known({field.encode_name: field.type for field in given})
    try:
        return kind(**{field.name: values.get(field.encode_name) for field in given})
    except Exception:  # noqa: BLE001 - __post_init__ of the caller's class
        return NOTHING


def _model(kind: Any, known: Known) -> Any:
    keys = {
        name: field.validation_alias if isinstance(field.validation_alias, str) else name
        for name, field in kind.model_fields.items()
    }
    values = known({keys[name]: field.annotation for name, field in kind.model_fields.items()})
    made = kind.model_construct()
    # Not the defaults: what comes may be something else.
    made.__dict__.update({name: values.get(key) for name, key in keys.items()})
    return made


def _whole(kind: Any, data: Any) -> Any:
    if has_struct(kind):
        try:
            return importlib.import_module("msgspec").convert(data, kind)
        except (TypeError, ValueError):
            return NOTHING
    try:
        return _adapter(kind).validate_python(data)
    except (pydantic.ValidationError, pydantic.errors.PydanticUserError):
        return NOTHING


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return _kept(kind)
    except TypeError:  # a hint without a hash
        return _made(kind)


def _made(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(with_attrs(kind))


_kept: Callable[[Any], TypeAdapter[Any]] = cast("Any", functools.lru_cache(256)(_made))
