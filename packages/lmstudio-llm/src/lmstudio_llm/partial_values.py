"""Values of output that is still being written: each is the beginning of the next.

What is not there yet is ``None`` in models and dataclasses, and absent from dicts and lists. A value
that only its end makes right (a number, a date, a choice, one of several classes) appears once it is
whole.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Final, NamedTuple, Union, cast, get_args, get_origin

import pydantic
from pydantic import TypeAdapter
from pydantic_core import from_json
from typing_extensions import get_type_hints, is_typeddict

from lmstudio_core.lenient import is_mapping, is_sequence

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
    if is_mapping(data):
        return _of_mapping(kind, data, still)
    if is_sequence(data) and (kind is list or get_origin(kind) is list):
        return _of_list((get_args(kind) or (Any,))[0], data, still)
    return NOTHING


def _one_kind(kind: Any) -> Any:
    """The type without notes, and without ``None`` beside it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _one_kind(args[0])
    if origin is Union or origin is types.UnionType:
        others = [part for part in args if part is not type(None)]
        return _one_kind(others[0]) if len(others) == 1 else kind
    return kind


def _of_list(kind: Any, data: Sequence[Any], still: int) -> list[Any]:
    last = len(data) - 1
    items = [
        partial_of(kind, Begun(item, still - 1 if at == last else 0))
        for at, item in enumerate(data)
    ]
    return items[: items.index(NOTHING)] if NOTHING in items else items


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
    model: Any = kind
    if (
        inspect.isclass(model)
        and get_origin(model) is None
        and issubclass(model, pydantic.BaseModel)
    ):
        return _model(model, known)
    if is_typeddict(kind):
        return known(get_type_hints(kind))
    return _dataclass(kind, known) if is_dataclass(kind) else NOTHING


def _dataclass(kind: Any, known: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Any:
    values = known(get_type_hints(kind, include_extras=True))
    made = object.__new__(kind)
    for field in fields(kind):
        object.__setattr__(made, field.name, values.get(field.name))
    return made


def _model(
    kind: type[pydantic.BaseModel], known: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Any:
    if issubclass(kind, pydantic.RootModel):
        return NOTHING
    keys = {
        name: field.validation_alias if isinstance(field.validation_alias, str) else name
        for name, field in kind.model_fields.items()
    }
    values = known({keys[name]: field.annotation for name, field in kind.model_fields.items()})
    made: Any = kind.model_construct()
    # Not the defaults: what comes may be something else.
    made.__dict__.update({name: values.get(key) for name, key in keys.items()})
    return made


def _whole(kind: Any, data: Any) -> Any:
    try:
        return _adapter(kind).validate_python(data)
    except (pydantic.ValidationError, pydantic.errors.PydanticUserError):
        return NOTHING


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return _kept(kind)
    except TypeError:  # a hint without a hash
        return TypeAdapter(kind)


_kept: Callable[[Any], TypeAdapter[Any]] = cast("Any", functools.lru_cache(256)(TypeAdapter))
