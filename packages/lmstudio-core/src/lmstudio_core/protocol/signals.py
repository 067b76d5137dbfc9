"""Patches: how the value of a signal changes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from ..shapes import as_mapping, is_list
from .operations import VOID

__all__ = ["PatchError", "apply_patches"]


class PatchError(ValueError):
    """A patch does not fit the value that it should change."""


def apply_patches(value: Any, patches: Iterable[Mapping[str, Any]]) -> Any:
    """The value after the patches, applied in order; ``value`` itself stays as it is.

    A patch is ``{"op": "add" | "replace" | "remove", "path": [key or index, …], "value": …}``; an
    empty path means the whole value.

    Raises:
        PatchError: An operation is unknown or its path leads nowhere.
    """
    result = copy.deepcopy(value)
    for patch in patches:
        result = _apply(result, patch)
    return result


def _apply(value: Any, patch: Any) -> Any:
    fields = as_mapping(patch)
    op, path = fields.get("op"), fields.get("path")
    if op not in ("add", "replace", "remove") or not is_list(path):
        raise PatchError(f"not a patch: {patch!r}")
    new = copy.deepcopy(fields.get("value", VOID))  # later patches may change its parts
    return _apply_at(value, op, path, new)


def _apply_at(value: Any, op: str, path: list[Any], new: Any) -> Any:
    if not path:
        return VOID if op == "remove" else new
    try:
        parent = value
        for step in path[:-1]:
            parent = parent[_checked(parent, step)]
        _change(parent, path[-1], op, new)
    except (KeyError, IndexError, TypeError) as error:
        raise PatchError(f"the path {path!r} leads nowhere") from error
    return value


def _change(parent: Any, key: Any, op: str, new: Any) -> None:
    if is_list(parent) and key == "length" and op == "replace":
        del parent[_index(new) :]  # how immer shortens an array
    elif is_list(parent) and op == "add":
        index = _index(key)
        if index > len(parent):
            raise IndexError(key)
        parent.insert(index, new)
    elif op == "remove":
        del parent[_checked(parent, key)]
    else:
        parent[_checked(parent, key)] = new


def _checked(parent: Any, key: Any) -> Any:
    """``key`` if it can be one of ``parent``: a string of an object, an index of an array."""
    if isinstance(parent, list):
        return _index(key)
    if not isinstance(parent, dict) or not isinstance(key, str):
        raise TypeError(f"there is no part {key!r}")
    return key


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is no index")
    return value
