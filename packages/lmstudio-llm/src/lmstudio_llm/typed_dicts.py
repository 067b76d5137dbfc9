"""``typing.TypedDict`` on Pythons before 3.12, where pydantic takes typing_extensions' alone.

The older class does not say which of its keys are required where classes inherit, so pydantic
refuses it. All that is needed here is there, though: which keys the class itself calls required.
"""

from __future__ import annotations

import sys
import types
import typing
from typing import Annotated, Any, Union, cast, get_args, get_origin

from typing_extensions import NotRequired, Required, TypedDict, get_type_hints

from lmstudio_core.lenient import is_sequence

__all__ = ["portable"]

_MARKS = tuple(
    getattr(module, name)
    for module in (typing, sys.modules["typing_extensions"])
    for name in ("Required", "NotRequired")
    if hasattr(module, name)
)


def portable(kind: Any) -> Any:
    """A type, with each ``typing.TypedDict`` in it replaced by its like, where that is needed."""
    return kind if sys.version_info >= (3, 12) else replaced(kind, {})


def replaced(kind: Any, made: dict[Any, Any]) -> Any:
    """The same on any Python; ``made`` holds the classes that were replaced already."""
    if typing.is_typeddict(kind):
        if kind not in made:
            made[kind] = kind  # one that holds itself keeps itself there
            made[kind] = _like(kind, made)
        return made[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is None or origin is typing.Literal:
        return kind
    if origin is Annotated:
        parts: Any = (replaced(args[0], made), *kind.__metadata__)
        return Annotated[parts]
    new: tuple[Any, ...] = tuple(
        part if is_sequence(part) else replaced(part, made) for part in args
    )
    if new == args:
        return kind
    if origin is Union or origin is types.UnionType:
        return Union[new]  # noqa: UP007 - of a tuple
    return origin[new[0] if len(new) == 1 else new]


def _like(kind: Any, made: dict[Any, Any]) -> Any:
    keys: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = name in kind.__required_keys__
        inner = hint
        if get_origin(hint) in _MARKS:
            required = "NotRequired" not in str(get_origin(hint))
            [inner] = get_args(hint)
        inner = replaced(inner, made)
        keys[name] = Required[inner] if required else NotRequired[inner]
    like: Any = cast("Any", TypedDict)(kind.__name__, keys)
    like.__doc__, like.__module__ = kind.__doc__, kind.__module__
    if hasattr(kind, "__pydantic_config__"):
        like.__pydantic_config__ = kind.__pydantic_config__
    return like
