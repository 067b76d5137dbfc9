"""What a function, or anything else that can be called, says of itself as a tool."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any, cast, get_type_hints

from pydantic.fields import FieldInfo

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.shapes import error_text

__all__ = ["docstring_of", "parameters_of", "positional_only"]


def docstring_of(f: Callable[..., Any]) -> str | None:
    """The docstring; an object may have it at its ``__call__``."""
    if inspect.isclass(f):
        return f.__doc__ and inspect.cleandoc(f.__doc__)  # what it is derived from is another thing
    if _is_partial(f) and f.__doc__ == functools.partial.__doc__:
        return None
    call: Any = type(f).__call__
    return inspect.getdoc(f) or (inspect.getdoc(call) if inspect.isfunction(call) else None)


def positional_only(f: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters that cannot be given by name."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)


def parameters_of(f: Callable[..., Any], name: str) -> dict[str, Any]:
    """Parameter name → type, or a dict of the type and the default.

    What a ``functools.partial`` has filled in by name is settled: the model neither sees it nor
    changes it. ``*args`` and ``**kwargs`` stay empty.

    Raises:
        LMStudioValueError: There is no signature, or a parameter has no type hint.
    """
    hints = _hints(f, name)
    settled: Collection[str] = cast("Any", f).keywords if _is_partial(f) else ()
    found: dict[str, Any] = {}
    for parameter in _signature(f, name).parameters.values():
        if parameter.name in settled or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        if parameter.name not in hints:
            raise LMStudioValueError(
                f"The parameter {parameter.name!r} of the tool {name!r} has no type hint; the "
                "model needs one to know what to pass."
            )
        found[parameter.name] = _declared(hints[parameter.name], parameter.default)
    return found


def _is_partial(f: object) -> bool:
    return isinstance(f, functools.partial)


def _declared(kind: Any, default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return kind
    if isinstance(default, FieldInfo):  # it says what the parameter is, its default among that
        return Annotated[kind, default]
    return {"type": kind, "default": default}


def _signature(f: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError) as error:
        raise LMStudioValueError(
            f"The tool {name!r} has no signature that Python can read; wrap it in a function."
        ) from error


def _hints(f: Callable[..., Any], name: str) -> dict[str, Any]:
    target: Any = f
    while _is_partial(target):
        target = target.func
    try:
        if inspect.isclass(target):
            made = cast("Any", target).__init__
            own = get_type_hints(made, include_extras=True) if inspect.isfunction(made) else {}
            return {**get_type_hints(target, include_extras=True), **own}
        if not inspect.isroutine(target):
            target = getattr(target, "__wrapped__", None) or type(target).__call__
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError) as error:
        raise LMStudioValueError(
            f"The type hints of the tool {name!r} cannot be resolved: {error_text(error)}. Names in them have "
            "to be known in the function's module."
        ) from error
