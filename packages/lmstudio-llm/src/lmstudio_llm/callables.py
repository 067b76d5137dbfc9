"""What a function, or anything else that can be called, says of its parameters as a tool.

Only the hints of what the model sees are resolved, each by itself: a return hint or that of a
parameter which is filled in otherwise may name what exists for type checkers alone.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, Final, ForwardRef, cast, get_type_hints

from pydantic.fields import FieldInfo

from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import error_text

from .docstrings import described, docstring_of

__all__ = ["described_parameters", "is_call_context", "parameters_of", "positional_only"]

_CONTEXT: Final = re.compile(r"\bToolCallContext\b")
_EMPTY: Final[Any] = inspect.Parameter.empty


def positional_only(f: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters that cannot be given by name."""
    try:
        parameters = _read_signature(f).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)


def is_call_context(kind: Any) -> bool:
    """Whether a hint is an unresolved name of ``ToolCallContext``.

    That class is imported for type checkers only where it is not used otherwise. Whoever fills the
    parameter in knows it by its name.
    """
    return isinstance(kind, ForwardRef) and _CONTEXT.search(kind.__forward_arg__) is not None


def parameters_of(f: Callable[..., Any], name: str) -> dict[str, Any]:
    """Parameter name → type, or a dict of the type and the default.

    What a ``functools.partial`` has filled in by name is settled: the model neither sees it nor
    changes it. ``*args`` and ``**kwargs`` stay empty. A parameter that the docstring describes
    gets that as its description, unless its hint or default has one.

    Raises:
        LMStudioValueError: There is no signature, or a parameter has no type hint, or one that
            cannot be resolved.
    """
    return described_parameters(f, name)[1]


def described_parameters(f: Callable[..., Any], name: str) -> tuple[str | None, dict[str, Any]]:
    """What the docstring says of the whole, and the parameters; see ``parameters_of``."""
    text = docstring_of(f)
    summary, told = described(text) if text else (None, {})
    if text is None and (inner := docstring_of(_innermost(f))):
        told = described(inner)[1]  # a partial does something else; its parameters are the same
    settled: Collection[str] = cast("Any", f).keywords if _is_partial(f) else ()
    scopes = list(_scopes(f))
    resolved: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for parameter in _signature(f, name).parameters.values():
        if parameter.name in settled or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        hint = parameter.annotation
        kind = resolved.get(hint) if isinstance(hint, str) else None
        if kind is None:
            kind = _hint(f, name, parameter, scopes)
        if isinstance(hint, str):
            resolved[hint] = kind
        found[parameter.name] = _declared(kind, parameter.default, told.get(parameter.name))
    return summary, found


def _is_partial(f: object) -> bool:
    return isinstance(f, functools.partial)


def _declared(kind: Any, default: Any, description: str | None) -> Any:
    if isinstance(default, FieldInfo):  # it says what the parameter is, its default among that
        kind, default = Annotated[kind, default], _EMPTY
    told = {} if description is None or _is_described(kind) else {"description": description}
    if default is _EMPTY and not told:
        return kind
    return {"type": kind, **told, **({} if default is _EMPTY else {"default": default})}


def _is_described(kind: Any) -> bool:
    notes = getattr(kind, "__metadata__", ())
    return any(isinstance(note, FieldInfo) and note.description for note in notes)


def _read_signature(f: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        # Hints are evaluated late there: what cannot be resolved has to stay a name.
        lazily = importlib.import_module("annotationlib").Format.FORWARDREF
        return inspect.signature(f, annotation_format=lazily)
    return inspect.signature(f)


def _signature(f: Callable[..., Any], name: str) -> inspect.Signature:
    try:
        return _read_signature(f)
    except (TypeError, ValueError) as error:
        raise LMStudioValueError(
            f"The tool {name!r} has no signature that Python can read; wrap it in a function."
        ) from error


def _hint(
    f: Callable[..., Any],
    name: str,
    parameter: inspect.Parameter,
    scopes: list[Mapping[str, Any]],
) -> Any:
    hint = parameter.annotation
    if hint is _EMPTY:
        hint = _hint_of_class(f, parameter.name)
    if hint is _EMPTY:
        raise LMStudioValueError(
            f"The parameter {parameter.name!r} of the tool {name!r} has no type hint; the model "
            f"needs one to know what to pass. Write it, as in '{parameter.name}: str'."
        )
    failure: Exception | None = None
    for scope in scopes:
        try:
            return _resolved(hint, scope)
        except (NameError, AttributeError, TypeError, SyntaxError) as error:
            failure = failure or error
    if failure is None:  # nothing to look names up in
        return hint
    if (context := _named_context(hint)) is not None:
        return context
    raise LMStudioValueError(
        f"The type hint of the parameter {parameter.name!r} of the tool {name!r} cannot be "
        f"resolved: {error_text(failure)}. Names in it have to be known in the function's module "
        "when the program runs, not under TYPE_CHECKING alone."
    ) from failure


def _named_context(hint: Any) -> ForwardRef | None:
    text = hint if isinstance(hint, str) else getattr(hint, "__forward_arg__", None) or repr(hint)
    return ForwardRef("ToolCallContext") if _CONTEXT.search(text) else None


def _resolved(hint: Any, scope: Mapping[str, Any]) -> Any:
    if type(hint) is type:  # the usual case, a hundred times as quick
        return hint

    def holder() -> None: ...

    # A function of its own for one hint: get_type_hints resolves all of a function's or none.
    holder.__annotations__ = {"hint": hint}
    return get_type_hints(holder, dict(scope), include_extras=True)["hint"]


def _hint_of_class(f: Any, name: str) -> Any:
    target = _innermost(f)
    for cls in target.__mro__ if inspect.isclass(target) else ():
        if name in (hints := vars(cls).get("__annotations__", {})):
            return hints[name]
    return _EMPTY


def _innermost(f: Any) -> Any:
    while _is_partial(f):
        f = f.func
    return f


def _scopes(f: Any) -> Iterator[Mapping[str, Any]]:
    """Where names in hints may be known: what is nearest first."""
    target = _innermost(f)
    if inspect.isclass(target):
        made: Any = target.__init__ if inspect.isfunction(target.__init__) else target.__new__
        yield _names_of(made)
        for cls in target.__mro__[:-1]:
            yield {**vars(sys.modules.get(cls.__module__, sys)), cls.__name__: cls}
        return
    if not inspect.isroutine(target) and not hasattr(target, "__wrapped__"):
        target = type(target).__call__
    while target is not None:  # the signature is of the innermost function or of a wrapper
        inner = getattr(target, "__wrapped__", None)
        if inner is None or _innermost(inner) is not inner:
            yield _names_of(_innermost(inner) if inner is not None else target)
            inner = None
        elif hasattr(target, "__signature__"):
            yield _names_of(target)
        target = inner


def _names_of(function: Any) -> Mapping[str, Any]:
    """The names that a function knows: of its module, and of the functions around it."""
    names: Mapping[str, Any] = getattr(function, "__globals__", {})
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells:
        return names
    around: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, cells, strict=True):
        try:
            around[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return {**names, **around}
