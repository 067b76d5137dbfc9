"""Plugins: the only module that touches entry points and pluggy.

Capabilities (``lmstudio.capabilities``) are one to one: a namespace name, and the package that
provides it; imported on first use. Hook plugins (``lmstudio.plugins``) are one to many: they are
loaded together when the first hook is called. One plugin's failure is reported and skips only it;
``LMSTUDIO_STRICT_PLUGINS=1`` raises instead. ``LMSTUDIO_DISABLE_PLUGINS=name,name`` turns plugins
off before they are imported.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, cast

import importlib_metadata
import pluggy

from . import hookspecs
from .capability import API_VERSION, CAPABILITY_GROUP, Capability
from .errors import CapabilityNotInstalledError, LMStudioError, PluginLoadError
from .hookspecs import PLUGIN_GROUP, PROJECT_NAME

__all__ = ["KNOWN_PACKAGES", "PluginState", "Plugins", "plugins"]

logger = logging.getLogger("lmstudio")

_T = TypeVar("_T")

KNOWN_PACKAGES: Final[Mapping[str, str]] = {
    "llm": "lmstudio-llm",
    "embedding": "lmstudio-embed",
    "agent": "lmstudio-agent",
}
"""Which package to install for a first-party capability that is missing."""


@dataclass(frozen=True)
class PluginState:
    """One plugin as ``lmstudio plugins`` shows it."""

    name: str
    kind: Literal["capability", "hooks"]
    distribution: str
    version: str
    state: Literal["ok", "disabled", "failed", "conflict"]
    detail: str = ""


def _disabled(environment: Mapping[str, str]) -> frozenset[str]:
    names = environment.get("LMSTUDIO_DISABLE_PLUGINS", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def _origin(entry: importlib_metadata.EntryPoint) -> tuple[str, str]:
    """The distribution's name and version; some entry points come without."""
    dist = getattr(entry, "dist", None)
    if dist is None:
        return "(unknown distribution)", ""
    return str(dist.metadata["Name"]), str(dist.version)


def _where(entry: importlib_metadata.EntryPoint) -> str:
    name, version = _origin(entry)
    return f"{name} {version}".strip()


class Plugins:
    """What is installed. ``plugins`` is the process's own; tests make others.

    Args:
        entry_points: Entry points to use instead of the installed ones.
        environment: Environment variables to heed.
    """

    def __init__(
        self,
        entry_points: Iterable[importlib_metadata.EntryPoint] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._given = None if entry_points is None else tuple(entry_points)
        self._environment = os.environ if environment is None else environment
        self._lock = threading.RLock()
        self._capability_entries: dict[str, list[importlib_metadata.EntryPoint]] | None = None
        self._capabilities: dict[str, Capability[Any, Any]] = {}
        self._manager: pluggy.PluginManager | None = None
        self._hook_states: list[PluginState] = []

    def _entries(self, group: str) -> list[importlib_metadata.EntryPoint]:
        found: list[importlib_metadata.EntryPoint]
        if self._given is not None:
            found = [entry for entry in self._given if entry.group == group]
        else:
            # Untyped in some versions of importlib_metadata.
            found = list(cast("Any", importlib_metadata).entry_points(group=group))
        unique: dict[tuple[str, str, str], importlib_metadata.EntryPoint] = {}
        for entry in found:  # an editable install beside a wheel lists its entries twice
            unique.setdefault((entry.name, entry.value, _origin(entry)[0]), entry)
        return list(unique.values())

    # -- capabilities ----------------------------------------------------------------------------

    def _by_name(self) -> dict[str, list[importlib_metadata.EntryPoint]]:
        with self._lock:
            if self._capability_entries is None:
                self._capability_entries = {}
                for entry in self._entries(CAPABILITY_GROUP):
                    self._capability_entries.setdefault(entry.name, []).append(entry)
            return self._capability_entries

    def capability_names(self) -> list[str]:
        """The names of all installed capabilities that are not turned off; nothing is imported."""
        disabled = _disabled(self._environment)
        return sorted(name for name in self._by_name() if name not in disabled)

    def capability(self, name: str) -> Capability[Any, Any]:
        """The capability of that name.

        Raises:
            CapabilityNotInstalledError: No installed package provides it, or it is turned off.
            PluginLoadError: Its package is broken, or two packages claim the name.
        """
        with self._lock:
            if name not in self._capabilities:
                self._capabilities[name] = self._load_capability(name)
            return self._capabilities[name]

    def _load_capability(self, name: str) -> Capability[Any, Any]:
        entries = self._by_name().get(name, [])
        if not entries:
            package = KNOWN_PACKAGES.get(name)
            how = f"Install it with: pip install {package}" if package else self._available()
            raise CapabilityNotInstalledError(
                f"No installed package provides {name!r}. {how}", capability=name, package=package
            )
        if name in _disabled(self._environment):
            raise CapabilityNotInstalledError(
                f"{name!r} is turned off by LMSTUDIO_DISABLE_PLUGINS.", capability=name
            )
        if len(entries) > 1:
            claimants = " and ".join(_where(entry) for entry in entries)
            raise PluginLoadError(
                f"Both {claimants} provide {name!r}. Uninstall one of them.", plugin=name
            )
        entry = entries[0]
        loaded = self._load(entry)
        if not isinstance(loaded, Capability):
            raise PluginLoadError(
                f"The capability {name!r} of {_where(entry)} is broken: {entry.value} is "
                f"{type(loaded).__name__}, not a Capability.",
                plugin=name,
                distribution=_origin(entry)[0],
            )
        if loaded.api_version > API_VERSION:
            raise PluginLoadError(
                f"{_where(entry)} needs plugin API {loaded.api_version}; this lmstudio-core has "
                f"{API_VERSION}. Upgrade lmstudio-core.",
                plugin=name,
                distribution=_origin(entry)[0],
            )
        return cast("Capability[Any, Any]", loaded)

    def _available(self) -> str:
        names = self.capability_names()
        return f"Installed: {', '.join(names) if names else 'none'}."

    @staticmethod
    def _load(entry: importlib_metadata.EntryPoint) -> Any:
        try:
            return entry.load()
        except Exception as error:
            raise PluginLoadError(
                f"The plugin {entry.name!r} of {_where(entry)} could not be loaded: "
                f"{type(error).__name__}: {error}",
                plugin=entry.name,
                distribution=_origin(entry)[0],
            ) from error

    def find_export(self, name: str) -> str | None:
        """Where the installed capabilities keep the facade name, as ``"module:attribute"``."""
        for capability in self.capability_names():
            try:
                exports = self.capability(capability).exports
            except PluginLoadError:
                continue  # its own names say what is wrong when they are used
            if name in exports:
                return exports[name]
        return None

    # -- hooks -----------------------------------------------------------------------------------

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of all installed plugins, which are loaded now if they were not before."""
        return self.manager.hook

    @property
    def manager(self) -> pluggy.PluginManager:
        """Pluggy's manager with every usable plugin registered."""
        with self._lock:
            if self._manager is None:
                manager = pluggy.PluginManager(PROJECT_NAME)
                manager.add_hookspecs(hookspecs)
                disabled = _disabled(self._environment)
                for entry in self._entries(PLUGIN_GROUP):
                    self._register(manager, entry, disabled)
                self._manager = manager
            return self._manager

    def _register(
        self,
        manager: pluggy.PluginManager,
        entry: importlib_metadata.EntryPoint,
        disabled: frozenset[str],
    ) -> None:
        if entry.name in disabled:
            self._note(entry, "disabled")
            return
        try:
            plugin = self._load(entry)
            self._check_hooks(plugin)
            manager.register(plugin, name=f"{entry.name} ({_origin(entry)[0]})")
        except Exception as error:
            if self._strict:
                if isinstance(error, PluginLoadError):
                    raise
                raise PluginLoadError(
                    f"The plugin {entry.name!r} of {_where(entry)} could not be used: {error}",
                    plugin=entry.name,
                    distribution=_origin(entry)[0],
                ) from error
            logger.warning("skipped the plugin %r of %s: %s", entry.name, _where(entry), error)
            self._note(entry, "failed", str(error))
        else:
            self._note(entry, "ok")

    @property
    def _strict(self) -> bool:
        return self._environment.get("LMSTUDIO_STRICT_PLUGINS", "") not in ("", "0")

    @staticmethod
    def _check_hooks(plugin: Any) -> None:
        """Try a plugin on its own: one that does not fit cannot be taken out of a manager again."""
        trial = pluggy.PluginManager(PROJECT_NAME)
        trial.add_hookspecs(hookspecs)
        trial.register(plugin)
        trial.check_pending()

    def _note(
        self,
        entry: importlib_metadata.EntryPoint,
        state: Literal["ok", "disabled", "failed", "conflict"],
        detail: str = "",
    ) -> None:
        self._hook_states.append(PluginState(entry.name, "hooks", *_origin(entry), state, detail))

    def call_each(
        self, hook: str, *, passing: type[Exception] | None = None, **arguments: Any
    ) -> Any:
        """Call a hook plugin by plugin, the last registered first, and yield what each returns.

        A plugin that raises is reported and skipped, unless plugins are strict.

        Args:
            hook: The hook's name.
            passing: Exceptions that a plugin may raise on purpose; they reach the caller.
            arguments: The hook's arguments.
        """
        for name, caller in self._callers(hook):
            try:
                value = caller(**arguments)
            except Exception as error:
                if passing is not None and isinstance(error, passing):
                    raise
                if self._strict:
                    raise PluginLoadError(
                        f"The plugin {name} failed in {hook}: {type(error).__name__}: {error}",
                        plugin=name,
                    ) from error
                logger.exception("the plugin %s failed in %s", name, hook)
            else:
                yield value

    def _callers(self, hook: str) -> list[tuple[str, pluggy.HookCaller]]:
        manager = self.manager
        found = list(reversed(getattr(manager.hook, hook).get_hookimpls()))
        plugins = {impl.plugin_name: impl.plugin for impl in found}
        return [
            (name, manager.subset_hook_caller(hook, [p for n, p in plugins.items() if n != name]))
            for name in plugins
        ]

    def find_server(self, tried: tuple[str, ...]) -> str | None:
        """What the first plugin that knows of a server, or starts one, says of where it is."""
        answers = self.call_each("lmstudio_find_server", passing=LMStudioError, tried=tried)
        return next((answer for answer in answers if answer is not None), None)

    def observer_hook(self) -> Callable[..., None] | None:
        """What tells plugins of finished requests, if any of them listens; else ``None``."""
        callers = self._callers("lmstudio_request_finished")

        def observe(**arguments: Any) -> None:
            for name, caller in callers:
                try:
                    caller(**arguments)
                except Exception:
                    logger.exception("the plugin %s failed in lmstudio_request_finished", name)

        return observe if callers else None

    def load_part(self, name: str, load: Callable[[], _T]) -> _T:
        """What ``load`` imports for a capability.

        Raises:
            PluginLoadError: It cannot be imported.
        """
        try:
            return load()
        except LMStudioError:
            raise
        except Exception as error:
            entries = self._by_name().get(name)
            where = _where(entries[0]) if entries else "an unknown distribution"
            raise PluginLoadError(
                f"The capability {name!r} of {where} is broken: {type(error).__name__}: {error}",
                plugin=name,
                distribution=_origin(entries[0])[0] if entries else None,
            ) from error

    # -- reporting -------------------------------------------------------------------------------

    def states(self) -> list[PluginState]:
        """Every installed plugin and whether it can be used; imports them all to find out."""
        disabled = _disabled(self._environment)
        result: list[PluginState] = []
        for name, entries in sorted(self._by_name().items()):
            for entry in entries:
                state, detail = self._capability_state(name, entries, disabled)
                result.append(PluginState(name, "capability", *_origin(entry), state, detail))
        _ = self.manager
        return result + sorted(self._hook_states, key=lambda s: s.name)

    def _capability_state(
        self,
        name: str,
        entries: list[importlib_metadata.EntryPoint],
        disabled: frozenset[str],
    ) -> tuple[Literal["ok", "disabled", "failed", "conflict"], str]:
        if name in disabled:
            return "disabled", ""
        try:
            self.capability(name).load_sync()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it is what to show
            return ("conflict" if len(entries) > 1 else "failed"), str(error)
        return "ok", ""


plugins = Plugins()
"""The plugins of this process."""
