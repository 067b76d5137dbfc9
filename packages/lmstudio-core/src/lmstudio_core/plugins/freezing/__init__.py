"""What PyInstaller has to include, since no import statement names it.

Capabilities, hooks and facades name modules as strings, and distributions announce them in metadata.
All of it is worked out here from these very declarations. PyInstaller finds the ``hook-*.py`` files
beside this one by the entry point ``pyinstaller40``, and runs each when a program uses its package.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ...errors import PluginLoadError
from ..capability import CAPABILITY_GROUP, Capability
from ..installed import distribution_of, entry_points, is_of_family, version_of_distribution
from ..registry import plugins

__all__ = ["collected", "collected_plugins", "hook_dirs", "modules_of_plugins"]

logger: Final = logging.getLogger("lmstudio")

_FOR_TESTS: Final = {"testing", "testing.py", "pytest_plugin.py"}
"""What needs pytest; a program that uses one names it by an import."""

_NEVER: Final = ("PyInstaller", "distributed", "pandas", "pyarrow", "ray", "xllamacpp")
"""Large, and of no use there: see ``collected``; a program that uses ``pyarrow`` or a cluster says so."""

Collected = tuple[list[tuple[str, str]], list[str]]
"""PyInstaller's ``datas`` and ``hiddenimports``."""


def hook_dirs() -> list[str]:
    """The folder with the ``hook-*.py`` files; called by PyInstaller."""
    return [str(Path(__file__).parent)]


def collected(distribution: str) -> Collected:
    """A distribution of the family whole: its modules, the other files beside them, its metadata.

    What only tests need is left out, and so is the server's llama.cpp (``xllamacpp``): it runs in
    processes of its own, which a frozen program does not start.
    """
    package = distribution.replace("-", "_")
    modules: list[str] = []
    datas = _metadata(distribution)
    for folder in _folders(package):
        for path in sorted(folder.rglob("*")):
            parts = (package, *path.relative_to(folder).parts)
            if not path.is_file() or {"__pycache__", *_FOR_TESTS} & set(parts):
                continue
            module = _module_name(parts)
            if module is None:
                datas.append((str(path), "/".join(parts[:-1])))
            else:
                modules += [module, *_optional(path)]
    return datas, modules


def _optional(path: Path) -> Iterator[str]:
    """What a module imports by a string, since it works without: as far as it is installed here."""
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            name = getattr(node.args[0], "value", None)
            package = name.partition(".")[0] if isinstance(name, str) else ""
            if package and package not in _NEVER and importlib.util.find_spec(package) is not None:
                yield str(name)


def collected_plugins() -> Collected:
    """The metadata and the modules of what other packages than the family's have plugged in."""
    others = {distribution_of(e) for e in entry_points()[0] if not is_of_family(e)}
    datas = [data for name in sorted(others) for data in _metadata(name)]
    return datas, sorted(modules_of_plugins())


def modules_of_plugins() -> set[str]:
    """The modules that installed plugins of every kind name, by entry points and capabilities."""
    found: set[str] = set()
    for entry in entry_points()[0]:
        found.add(_module_of(entry.value))
        if entry.group == CAPABILITY_GROUP:
            try:
                found.update(map(_module_of, _named_by(plugins.capability(entry.name))))
            except PluginLoadError as error:  # it is broken in the program as well, which says so
                logger.warning("left out what the capability %r names: %s", entry.name, error)
    return found


def _named_by(capability: Capability[Any, Any]) -> Iterator[str]:
    yield capability.sync_namespace
    yield capability.async_namespace
    yield from capability.exports.values()
    if capability.model_kind is not None:
        yield capability.model_kind


def _module_of(path: str) -> str:
    return path.partition(":")[0].strip()


def _folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]


def _module_name(parts: tuple[str, ...]) -> str | None:
    """The module that a file holds; ``None``: it is a file that modules read."""
    stem, dot, suffix = parts[-1].partition(".")
    if dot + suffix not in importlib.machinery.all_suffixes() or not stem.isidentifier():
        return None
    return ".".join(parts[:-1] if stem == "__init__" else (*parts[:-1], stem))


def _metadata(distribution: str) -> list[tuple[str, str]]:
    if version_of_distribution(distribution) is None:
        return []  # the family's own is known without
    hooks: Any = importlib.import_module("PyInstaller.utils.hooks")  # only where it runs us
    found: list[tuple[str, str]] = hooks.copy_metadata(distribution)
    return found
