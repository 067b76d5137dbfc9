"""What is imported when it is first used: names of modules (PEP 562), and what annotations name.

What a signature names is often imported for type checkers only: an import would be heavy at the
program's start (pydantic), a circle, or of a package that may be missing. pydantic, FastAPI and
``typing.get_type_hints`` evaluate annotations in the function's module. All of them iterate over
``__annotations__`` first, and that is when the missing names are put there.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from types import FunctionType
from typing import Any, TypeVar, cast

__all__ = ["Instance", "lazy_hints", "lazy_names", "load_object"]

_T = TypeVar("_T")

_HOMES = "_HINTS"
"""The constant in which a module says where names are that its annotations do not show, or that are not public."""


def load_object(path: str) -> Any:
    """Import what ``"package.module:name"`` names; without a name, the module."""
    module, _, name = path.partition(":")
    found = importlib.import_module(module)
    return getattr(found, name) if name else found


def _missing(name: str, home: str, error: ModuleNotFoundError) -> ModuleNotFoundError | None:
    """What to say of a name whose package is not installed; ``None`` if something else is missing."""
    package = home.partition(":")[0].partition(".")[0]
    if (error.name or "").partition(".")[0] != package or sys.modules.get(package) is not None:
        return None
    # By name: it is heavy, for this mistake alone, and of a room that stands above this module.
    how_to_install: Callable[[str], str] = load_object(
        f"{__package__}.plugins.installed:how_to_install"
    )
    distribution = package.replace("_", "-")
    how = how_to_install(distribution)
    text = (
        f"{name} is in the package {distribution}, which is not installed. Install it with: {how}"
    )
    return ModuleNotFoundError(text, name=error.name, path=error.path)


def lazy_names(
    module: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
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
        try:
            value = load_object(homes[name])
        except ModuleNotFoundError as error:
            if (missing := _missing(f"{module}.{name}", homes[name], error)) is None:
                raise
            raise missing from error
        setattr(sys.modules[module], name, value)
        return value

    def names() -> list[str]:
        there = vars(sys.modules[module])
        special = (name for name in there if name.startswith("__"))
        return sorted({*special, *there.get("__all__", there), *homes})

    return get, names


# -- annotations ------------------------------------------------------------------------------------


class Instance:
    """As pydantic's ``InstanceOf``, where pydantic is not to be imported: ``Annotated[C, Instance()]``."""

    def __get_pydantic_core_schema__(self, source: Any, _handler: Any) -> Any:
        return {"type": "is-instance", "cls": source}


class _Hints(dict[str, Any]):
    """The annotations of a function or class of one module."""

    __slots__ = ("_module", "_ready")

    def __init__(self, annotations: dict[str, Any], module: str) -> None:
        super().__init__(annotations)
        self._module = module
        self._ready = False

    def _get_ready(self) -> None:
        if self._ready:
            return
        there = vars(sys.modules[self._module])
        homes: dict[str, str] = there.get(_HOMES, {})
        wanted = set(homes).union(*map(_names, super().values()))
        for name in wanted:
            if name not in there and not hasattr(builtins, name):
                there[name] = _found(name, homes)
        self._ready = True

    def __iter__(self) -> Iterator[str]:
        self._get_ready()
        return super().__iter__()

    def __getitem__(self, key: str) -> Any:
        self._get_ready()
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of any dict, like the rest."""
        self._get_ready()
        return super().get(key, default)

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        self._get_ready()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self._get_ready()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        self._get_ready()
        return super().items()

    def copy(self) -> dict[str, Any]:
        return dict(self.items())


class _MissingMeta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Any


class _Missing(metaclass=_MissingMeta):
    """Stands for what a package that is not installed would have, and for its parts; it is like ``Any``."""

    def __class_getitem__(cls, _item: Any) -> Any:
        return Any

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return {"type": "any"}


def _names(text: Any) -> Iterator[str]:
    """The names that an annotation begins with: not ``PathLike`` of ``os.PathLike``."""
    if not isinstance(text, str):
        return
    import ast  # for those who ask alone

    for node in ast.walk(ast.parse(text, mode="eval")):
        if isinstance(node, ast.Name):
            yield node.id


def _found(name: str, homes: dict[str, str]) -> Any:
    """What the name stands for."""
    try:
        return load_object(homes.get(name) or f"{__package__}:{name}")
    except (ImportError, AttributeError):
        return _Missing


def lazy_hints(target: _T) -> _T:
    """Let annotations be evaluated at run time, whose names only type checkers import.

    Such a name is a public one of the family, or the module says in ``_HINTS`` where it is.

    Args:
        target: A function, or a class: its own attributes and methods.
    """
    if isinstance(target, type):
        own = vars(target).get("__annotations__")
        if own is not None:
            target.__annotations__ = _Hints(own, target.__module__)
        for value in vars(target).values():
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            if isinstance(function, FunctionType):
                lazy_hints(function)
    elif not isinstance((function := cast("Any", target)).__annotations__, _Hints):
        function.__annotations__ = _Hints(function.__annotations__, function.__module__)
    return target
