"""Compares a synchronous class with its asyncio twin: nothing may be in one and not in the other.

``differences(Sync, Async)`` lists what is different: names and their order, kinds, parameters,
defaults, annotations, docstrings, all modulo ``async``. A facade test is one assertion::

    assert differences(LLM, AsyncLLM) == []
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from typing import Any

_ASYNC_NAME = {
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}
_IGNORED = {"__init__", "__await__", "__doc__", "__module__", "__init_subclass__"}


def plainly(text: Any) -> str:
    """An annotation or name as text, without what makes it async."""
    text = re.sub(r"\b_?Async(?=[A-Z])", "", str(text))
    text = re.sub(r"\bSync(?=[A-Z])", "", text)
    text = re.sub(r"\bAwaitable\[(.*)\]$", r"\1", text)
    return re.sub(r"Iterator|Iterable|Generator", "Iter", text)


def members(cls: type) -> dict[str, Any]:
    """The public members that a class and its own bases define, under their synchronous names."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        if base.__module__.startswith(("pydantic", "typing")):
            continue
        for name, member in vars(base).items():
            known = _ASYNC_NAME.get(name, name)
            if (known in _ASYNC_NAME.values() or not name.startswith("_")) and name not in _IGNORED:
                found[known] = member
    return found


def differences(sync: type, aio: type, *, only_one_has: Collection[str] = ()) -> list[str]:
    """What tells the two classes apart; empty if a program could be moved by adding ``await``.

    Args:
        sync: The synchronous class.
        aio: Its asyncio twin.
        only_one_has: Names that one of them lacks on purpose.
    """
    ours, theirs = members(sync), members(aio)
    names = [name for name in ours if name not in only_one_has]
    their_names = [name for name in theirs if name not in only_one_has]
    found = [f"only {sync.__name__} has {n}" for n in names if n not in theirs]
    found += [f"only {aio.__name__} has {n}" for n in their_names if n not in ours]
    if not found and names != their_names:
        found.append(f"another order: {names} and {their_names}")
    for name in names:
        if name in theirs:
            found += [f"{name}: {what}" for what in _compare(ours[name], theirs[name])]
    return found


def _compare(ours: Any, theirs: Any) -> list[str]:
    if type(ours) is not type(theirs):
        return [f"is {type(ours).__name__} and {type(theirs).__name__}"]
    if isinstance(ours, property):
        return _compare_functions(ours.fget, theirs.fget)
    if isinstance(ours, (classmethod, staticmethod)):
        return _compare_functions(ours.__func__, theirs.__func__)
    if inspect.isfunction(ours):
        return _compare_functions(ours, theirs)
    same = plainly(ours) == plainly(theirs) or ours == theirs
    return [] if same else [f"is {ours!r} and {theirs!r}"]


def _compare_functions(ours: Any, theirs: Any) -> list[str]:
    one, other = inspect.signature(ours), inspect.signature(theirs)
    found: list[str] = []
    shapes = [[(p.name, p.kind, p.default) for p in s.parameters.values()] for s in (one, other)]
    if shapes[0] != shapes[1]:
        return [f"has the parameters {one} and {other}"]
    for name, parameter in one.parameters.items():
        pair = parameter.annotation, other.parameters[name].annotation
        if plainly(pair[0]) != plainly(pair[1]):
            found.append(f"{name} is of type {pair[0]} and {pair[1]}")
    if plainly(one.return_annotation) != plainly(other.return_annotation):
        found.append(f"returns {one.return_annotation} and {other.return_annotation}")
    if bool(inspect.getdoc(ours)) != bool(inspect.getdoc(theirs)):
        found.append("only one has a docstring")
    return found
