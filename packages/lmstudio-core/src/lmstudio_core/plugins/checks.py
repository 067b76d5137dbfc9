"""Whether a plugin fits this core: the version it was written for, and the hooks it takes part in."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any, Final

import pluggy

from . import hookspecs
from .capability import API_VERSION, OLDEST_API_VERSION, Capability
from .hookspecs import PROJECT_NAME

__all__ = [
    "API_VERSION_ATTRIBUTE",
    "RESERVED_NAMES",
    "capability_problem",
    "hook_problem",
    "new_manager",
    "register",
]

API_VERSION_ATTRIBUTE: Final = "lmstudio_api_version"
"""Where a hook plugin says which version of the plugin API it was written for; 1 without it."""

RESERVED_NAMES: Final = frozenset(
    [
        "aclose",
        "api_host",
        "capability",
        "close",
        "close_idle",
        "connect",
        "disconnect",
        "find_default_local_api_host",
        "is_connected",
        "is_valid_api_host",
        "list_downloaded_models",
        "list_loaded_models",
        "open",
        "prepare_image",
        "run",
        "stream",
    ]
)
"""What the clients have of their own, which no capability may be called."""


def new_manager() -> pluggy.PluginManager:
    """A manager that knows the hooks and no plugins."""
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    return manager


def version_problem(version: Any, where: str) -> str | None:
    """What is wrong with the API version that a plugin was written for; ``None`` if nothing."""
    if isinstance(version, bool) or not isinstance(version, int):
        return f"{where} declares the plugin API version {version!r}, which is not a whole number."
    if version > API_VERSION:
        return (
            f"{where} needs plugin API {version}; this lmstudio-core has {API_VERSION}. "
            "Upgrade lmstudio-core."
        )
    if version < OLDEST_API_VERSION:
        return (
            f"{where} was written for plugin API {version}; this lmstudio-core has "
            f"{OLDEST_API_VERSION} to {API_VERSION}. Upgrade {where.partition(' ')[0]}."
        )
    return None


def capability_problem(loaded: Any, name: str, value: str, where: str) -> str | None:
    """What is wrong with what a capability's entry point led to; ``None`` if nothing."""
    if not isinstance(loaded, Capability):
        return (
            f"The capability {name!r} of {where} is broken: {value} is "
            f"{type(loaded).__name__}, not a Capability."
        )
    if loaded.name != name:
        return (
            f"The capability {name!r} of {where} is broken: {value} calls itself "
            f"{loaded.name!r}. Its name and its entry point's must be the same."
        )
    if not name.isidentifier() or name.startswith("_"):
        return f"The capability {name!r} of {where} is no name that can follow 'client.'."
    if name in RESERVED_NAMES:
        return f"The capability {name!r} of {where} would hide behind the clients' own {name!r}."
    return version_problem(loaded.api_version, where)


def hook_problem(plugin: Any, where: str) -> str | None:
    """What is wrong with a hook plugin; ``None`` if nothing."""
    problem = version_problem(getattr(plugin, API_VERSION_ATTRIBUTE, 1), where)
    return problem or next(_hook_problems(plugin), None)


def _hook_problems(plugin: Any) -> Iterator[str]:
    specs = new_manager().hook
    known = sorted(name for name in vars(hookspecs) if name.startswith(PROJECT_NAME + "_"))
    trial = pluggy.PluginManager(PROJECT_NAME)  # without specs: it takes any hook
    trial.register(plugin)
    implemented = trial.get_hookcallers(plugin) or []
    for caller in implemented:
        spec = getattr(specs, caller.name, None)
        if spec is None:
            yield f"There is no hook {caller.name!r}{_did_you_mean(caller.name, known)}"
            continue
        if (unfit := _unfit(plugin, caller)) is not None:
            yield unfit
        taken = spec.spec.argnames
        for argument in caller.get_hookimpls()[0].argnames:
            if argument not in taken:
                has = _did_you_mean(argument, list(taken)) if taken else "; it has none."
                yield f"The hook {caller.name} has no argument {argument!r}{has}"
    unmarked = [name for name in known if hasattr(plugin, name)]
    marked = {caller.name for caller in implemented}
    for name in unmarked:
        if name not in marked:
            yield f"{name} is not marked with @hookimpl, so it would never be called."
    if not implemented:
        yield "It implements no hook: mark its functions with @hookimpl."


def _unfit(plugin: Any, caller: pluggy.HookCaller) -> str | None:
    """Why a hook's function could be called, but never do its work."""
    function = caller.get_hookimpls()[0].function
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return f"{caller.name} is asynchronous, so nobody would await it: write it without async."
    if inspect.isclass(plugin) and inspect.isfunction(inspect.getattr_static(plugin, caller.name)):
        return (
            f"{caller.name} needs an object: give an instance of {plugin.__name__}, not the class."
        )
    return None


def _did_you_mean(name: str, known: list[str]) -> str:
    from ..data import nearest  # which is heavy, and seldom needed

    like = nearest(name, known)
    return f": did you mean {like!r}?" if like else f"; there are: {', '.join(known)}."


def register(manager: pluggy.PluginManager, plugin: Any, name: str) -> list[str]:
    """Register a plugin that was checked; returns what pluggy warns of, such as deprecated hooks."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        manager.register(plugin, name=name)
    return [str(warning.message) for warning in caught]
