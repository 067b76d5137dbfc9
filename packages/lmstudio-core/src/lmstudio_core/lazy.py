"""Modules whose names are imported when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazy_names", "load_object"]


def load_object(path: str) -> Any:
    """Import what ``"package.module:name"`` names; without a name, the module."""
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


def lazy_names(
    module: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:  # api
    """``__getattr__`` and ``__dir__`` for a module.

    Args:
        module: The module's ``__name__``.
        homes: Public name → ``"package.module:attribute"``.

    Example:
        >>> __getattr__, __dir__ = lazy_names(__name__, {"dumps": "json:dumps"})
        >>> __getattr__("dumps")([1])
        '[1]'
    """

    def get(name: str) -> Any:
        if name not in homes:
            problem = f"module {module!r} has no attribute {name!r}"
            raise AttributeError(problem, name=name, obj=sys.modules[module])
        value = load_object(homes[name])
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        there = vars(sys.modules[module])
        special = (name for name in there if name.startswith("__"))
        return sorted({*special, *there.get("__all__", there), *homes})

    return get, names
