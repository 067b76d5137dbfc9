"""The program of a plugin, ``src/plugin.py``: run, and asked what it offers."""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lmstudio_core.data import nearest

from .definition import HOOK_FUNCTIONS, Definition, Hook, checked_schema
from .errors import init_error
from .manifest import Project
from .plugin import Plugin

__all__ = ["definition_of", "load_definition"]

_SCHEMAS: Final = ("ConfigSchema", "GlobalConfigSchema")


def load_definition(project: Project, *, allow_local_imports: bool = True) -> Definition:
    """Run ``src/plugin.py`` and read what it offers.

    Args:
        project: The plugin.
        allow_local_imports: Put ``src`` onto ``sys.path``, where it stays.

    Raises:
        LMStudioPluginInitError: The file is missing, or offers nothing.
        Exception: Whatever the file raises.
    """
    source = project.source
    if not source.is_file():
        raise init_error("There is no such file; it is what is run.", file=source)
    if allow_local_imports:
        sys.path.insert(0, str(source.parent))
    return definition_of(runpy.run_path(str(source), run_name="__lms_plugin__"), source)


def definition_of(namespace: Mapping[str, Any], file: Path) -> Definition:
    """What a module offers: its ``Plugin``, its functions with the official names, or both.

    Raises:
        LMStudioPluginInitError: It offers nothing, or the same twice, or what is no function.
    """
    plugins = list({id(v): v for v in namespace.values() if isinstance(v, Plugin)}.values())
    if len(plugins) > 1:
        raise init_error("It makes several Plugin objects; make one.", file=file, key="Plugin")
    own = plugins[0].definition() if plugins else Definition({})
    functions = {n: namespace[n] for n in HOOK_FUNCTIONS if namespace.get(n) is not None}
    for name, function in functions.items():
        if not callable(function):
            raise init_error(
                f"{name} must be a function, got {function!r}.", file=file, key=name, value=function
            )
        if HOOK_FUNCTIONS[name] in own.hooks:
            raise init_error(f"{name} and the Plugin both set that hook.", file=file, key=name)
    hooks: dict[Hook, Any] = {**own.hooks, **{HOOK_FUNCTIONS[n]: f for n, f in functions.items()}}
    if not hooks:
        raise _no_hook(namespace, file)
    chosen = [
        checked_schema(name, namespace.get(name), file) if namespace.get(name) else given
        for name, given in zip(_SCHEMAS, (own.config, own.global_config), strict=True)
    ]
    return Definition(hooks, *chosen)


def _no_hook(namespace: Mapping[str, Any], file: Path) -> Exception:
    wanted = ", ".join(sorted(HOOK_FUNCTIONS))
    own = [n for n, v in namespace.items() if inspect.isfunction(v) and not n.startswith("__")]
    almost = {name: near for name in own if (near := nearest(name, HOOK_FUNCTIONS))}
    seen = "".join(f" {name!r} is almost {near!r}." for name, near in almost.items())
    error = init_error(
        f"No hook is defined. Define at least one of: {wanted}; or make a Plugin and use its "
        f"decorators.{seen}",
        file=file,
        key=next(iter(almost), None),
    )
    error.nearest = next(iter(almost.values()), None)
    return error
