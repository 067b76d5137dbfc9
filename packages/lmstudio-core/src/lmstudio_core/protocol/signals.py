"""Patches: how the value of a signal changes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

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


def _apply(value: Any, patch: Mapping[str, Any]) -> Any:
    op, path, new = patch.get("op"), patch.get("path"), patch.get("value", VOID)
    if op not in ("add", "replace", "remove") or not isinstance(path, list):
        raise PatchError(f"not a patch: {patch!r}")
    if not path:
        return VOID if op == "remove" else new
    try:
        parent = value
        for step in path[:-1]:
            parent = parent[step]
        _change(parent, path[-1], op, new)
    except (KeyError, IndexError, TypeError) as error:
        raise PatchError(f"the path {path!r} leads nowhere") from error
    return value


def _change(parent: Any, key: Any, op: str, new: Any) -> None:
    if not isinstance(parent, (dict, list)):
        raise TypeError(f"{type(parent).__name__} has no parts")
    if op == "remove":
        del parent[key]
    elif isinstance(parent, list) and key == "length":  # how immer shortens an array
        del parent[new:]
    elif isinstance(parent, list) and op == "add":
        if not 0 <= key <= len(parent):
            raise IndexError(key)
        parent.insert(key, new)
    else:
        parent[key] = new
