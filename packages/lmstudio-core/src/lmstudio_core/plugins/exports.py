"""The names of ``lmstudio_core``: its own, and those that installed packages add to it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..lazy import load_object

__all__ = ["family_names"]


def family_names(
    module: str, paths: Mapping[str, str], elsewhere: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for the core's package.

    Args:
        module: The package's ``__name__``.
        paths: Its own names → ``"package.module:attribute"``.
        elsewhere: Distribution → names that it would add, for the message when it is missing.
    """

    def get(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name in paths:
            value = load_object(paths[name])
        elif importlib.util.find_spec(f"{module}.{name}") is not None:
            return importlib.import_module(f"{module}.{name}")
        else:
            value = _of_capability(module, name, elsewhere)
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        from .registry import plugins

        special = (name for name in vars(sys.modules[module]) if name.startswith("__"))
        return sorted({*special, *paths, *plugins.export_names()})

    return get, names


def _of_capability(module: str, name: str, elsewhere: Mapping[str, Sequence[str]]) -> Any:
    from .installed import how_to_install
    from .registry import plugins

    if (path := plugins.find_export(name)) is not None:
        return plugins.load_export(path)
    for package, names in elsewhere.items():
        if name in names:
            raise AttributeError(
                f"{name!r} is in the package {package}, which is not installed. "
                f"Install it with: {how_to_install(package)}"
            )
    problem = f"module {module!r} has no attribute {name!r}"
    raise AttributeError(problem, name=name, obj=sys.modules[module])
