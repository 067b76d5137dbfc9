"""What users see of an error: their own lines and the message, and not how this family is built.

Each public method is an outermost frame of ours. There an error's traceback is cut down to the
frames of users, so that of ours one is left; pytest hides that one, and IPython is handed none.
Nothing is done while things go well: entering a ``try`` is free.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType, TracebackType
from typing import Any, Final, TypeVar, cast

from ..errors import LMStudioError
from ..lazy import lazy_hints

__all__ = ["CUT", "Short", "caller_line", "cut", "debugging", "short", "warn_caller"]

_F = TypeVar("_F", bound=Callable[..., Any])
_E = TypeVar("_E", bound=BaseException)

CUT: Final = (Exception, KeyboardInterrupt)  # api
"""What to catch for ``cut``: not what ends generators and tasks."""

_OURS: Final = frozenset(
    ["lmstudio"]
    + [f"lmstudio_{part}" for part in ("core", "llm", "embed", "agent", "server")]
    + [f"lmstudio_{part}" for part in ("plugin", "batch", "cli", "testing")]
)
"""Import packages of the family; others may be called alike."""

_PLUMBING: Final = _OURS | {"websockets", "pydantic", "pluggy"} | sys.stdlib_module_names
"""Whose frames between or below ours tell users nothing."""

_NOTEBOOK: Final = frozenset(["IPython", "ipykernel"])


def debugging() -> bool:
    """Whether ``LMSTUDIO_DEBUG`` asks for whole tracebacks."""
    return os.environ.get("LMSTUDIO_DEBUG", "") not in ("", "0")


def _hidden(_excinfo: object) -> bool:
    return not debugging()


__tracebackhide__ = _hidden
"""What pytest asks before it shows a frame of this module: the one of ours that is left."""


def cut(error: _E) -> _E:  # api
    """The error, ready to be raised to users: the frames of ours below this one are gone.

    An error that is not of this family keeps all of them, unless a user's own code raised it (a
    callback, say): then it is a mistake of ours, and the frames tell where. The same is done to the
    errors that caused it.
    """
    if error.__traceback__ is not None:  # raising adds the frame that caught it once more
        error.__traceback__ = error.__traceback__.tb_next
    if not debugging():
        for one in _chain(error):
            if isinstance(one, (LMStudioError, KeyboardInterrupt)) or one is not error:
                one.__traceback__ = _kept(one.__traceback__, _PLUMBING)
            elif _root(_last(one.__traceback__)) not in _PLUMBING:
                one.__traceback__ = _kept(one.__traceback__, _OURS)
    return error


def short(function: _F) -> _F:  # api
    """A function of the public surface, whose errors have short tracebacks."""
    if inspect.iscoroutinefunction(function):

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except CUT as error:
                raise cut(error)  # LMSTUDIO_DEBUG=1 shows where  # noqa: B904

        return _named(run_async, function)

    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except CUT as error:
            raise cut(error)  # LMSTUDIO_DEBUG=1 shows where  # noqa: B904

    return _named(run, function)


def _named(wrapper: Any, function: _F) -> _F:
    """The wrapper under the function's name, in tracebacks, too."""
    wrapper.__code__ = wrapper.__code__.replace(co_name=function.__name__)
    return cast("_F", functools.wraps(lazy_hints(function))(wrapper))


_SPECIAL: Final = frozenset(
    f"__{name}__" for name in ("init", "call", "next", "anext", "enter", "exit", "aenter", "aexit")
)


class Short:  # api
    """A base of what users call: errors of the methods of its subclasses have short tracebacks.

    What yields (a generator) has to see to it itself.
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        value: Any
        for name, value in list(vars(cls).items()):
            if name.startswith("_") and name not in _SPECIAL:
                continue
            if isinstance(value, FunctionType) and not inspect.isgeneratorfunction(value):
                setattr(cls, name, short(value))
            elif isinstance(value, (classmethod, staticmethod)):
                made = cast("Any", value)
                setattr(cls, name, type(made)(short(made.__func__)))
            elif isinstance(value, property) and value.fget is not None:
                setattr(cls, name, value.getter(short(value.fget)))


# -- frames ----------------------------------------------------------------------------------------


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the program's own line, whatever of the family stands between it and here."""
    warnings.warn(message, category, stacklevel=_program()[1])


def caller_line() -> str:
    """The program's own line that this was called by, as ``file:line``; empty if there is none."""
    frame = _program()[0]
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _program() -> tuple[FrameType | None, int]:
    """The first frame that is none of the family's, and how far it is above whoever asks."""
    frame = inspect.currentframe()
    found, level = None if frame is None else frame.f_back, 1
    while found is not None and found.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        found, level = found.f_back, level + 1
    return found, level


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and whatever is printed above it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]


def _entries(found: TracebackType | None) -> Iterator[TracebackType]:
    while found is not None:
        yield found
        found = found.tb_next


def _last(found: TracebackType | None) -> TracebackType | None:
    return functools.reduce(lambda _, entry: entry, _entries(found), found)


def _root(entry: TracebackType | None) -> str:
    """The top-level package that a frame runs in."""
    name = entry.tb_frame.f_globals.get("__name__", "") if entry is not None else "builtins"
    return str(name).partition(".")[0]


def _kept(found: TracebackType | None, without: frozenset[str]) -> TracebackType | None:
    kept: TracebackType | None = None
    for entry in reversed([e for e in _entries(found) if _root(e) not in without]):
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept


# -- IPython ---------------------------------------------------------------------------------------


def _render_traceback(self: LMStudioError) -> list[str]:
    """What IPython and Jupyter show: the user's lines with their surroundings, and the message."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return traceback.format_exception(self)
    found = self.__traceback__
    if not debugging():
        found = _kept(found, _PLUMBING | _NOTEBOOK) or _kept(found, _NOTEBOOK)
    lines: list[str] = shell.InteractiveTB.structured_traceback(
        type(self), self, found, tb_offset=0
    )
    return lines


# Errors know nothing of how they are shown; this is the name that IPython looks for.
LMStudioError._render_traceback_ = _render_traceback  # type: ignore[attr-defined]
