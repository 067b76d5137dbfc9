"""What is installed, and how it is used: the only door to entry points and hooks.

Capabilities (``lmstudio.capabilities``) are one to one: a namespace name, and the package that
provides it; imported on first use. Hook plugins (``lmstudio.plugins``) are one to many: they are
loaded together when the first hook is called. Packages of the family that take plugins of a kind of
their own (the server's engines) read them through ``load_each``. One plugin's failure is reported
and skips only it; ``LMSTUDIO_STRICT_PLUGINS=1`` raises instead. ``LMSTUDIO_DISABLE_PLUGINS=a,b``
turns plugins off, by their name or their distribution's, before they are imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import pluggy

from . import installed
from .capability import API_VERSION, CAPABILITY_GROUP, Capability
from .contributions import (
    RESERVED_COMMANDS,
    Claims,
    commands_of,
    findings_of,
    offers_of,
    toolsets_of,
)
from .errors import (
    CapabilityNotInstalledError,
    LMStudioError,
    LMStudioValueError,
    PluginLoadError,
)
from .health import Finding
from .hookspecs import ENGINE_GROUP, PLUGIN_GROUP
from .installed import EntryPoint, Unreadable
from .plugin_checks import capability_problem, hook_problem, new_manager
from .plugin_checks import register as register_plugin
from .plugin_state import PROBLEMS, Kind, PluginState, Record, turned_off

__all__ = ["KNOWN_PACKAGES", "PluginState", "Plugins", "plugins"]

logger = logging.getLogger("lmstudio")

_T = TypeVar("_T")

KNOWN_PACKAGES: Final[Mapping[str, str]] = {
    "llm": "lmstudio-llm",
    "embedding": "lmstudio-embed",
    "agent": "lmstudio-agent",
}
"""Which package to install for a first-party capability that is missing."""

SLOW_IMPORT: Final = 1.0
"""Seconds from which on importing a plugin is reported as slow."""

SLOW_HOOK: Final = 0.1
"""Seconds from which on a hook is reported as slow, where everything else waits for it."""

_SLOW_FROM: Final[Mapping[str, float]] = {
    "lmstudio_find_server": float("inf"),
    "lmstudio_check_health": float("inf"),
    # Plugins import what they offer here, once a run.
    "lmstudio_register_commands": SLOW_IMPORT,
    "lmstudio_register_toolsets": SLOW_IMPORT,
    "lmstudio_offer_models": SLOW_IMPORT,
}

_Raised = (Exception, SystemExit)
"""What a plugin may raise without harm to others: all but what the user did, such as Ctrl-C."""


class Plugins:
    """What is installed. ``plugins`` is the process's own; tests make others.

    Args:
        entry_points: Entry points to use instead of the installed ones.
        environment: Environment variables to heed.
    """

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._given = None if entry_points is None else list(entry_points)
        self._environment = os.environ if environment is None else environment
        self._lock = threading.RLock()
        self._records: list[Record] | None = None
        self._unreadable: list[Unreadable] = []
        self._capabilities: dict[str, Capability[Any, Any]] = {}
        self._manager: pluggy.PluginManager | None = None
        self.busy: str | None = None
        """Whose code runs now, for whoever waits for it in another thread."""
        self._examining = False
        self._strict = self._environment.get("LMSTUDIO_STRICT_PLUGINS", "") not in ("", "0")

    # -- what is installed -----------------------------------------------------------------------

    def _of_group(self, group: str) -> list[Record]:
        """The entry points of a group, turned off or not; read once for all groups."""
        with self._lock:
            if self._records is None:
                found = self._given
                if found is None:
                    found, self._unreadable = installed.entry_points()
                self._records = [self._record(entry) for entry in installed.unique(found)]
            return [record for record in self._records if record.entry.group == group]

    def _record(self, entry: EntryPoint) -> Record:
        kinds: dict[str, Kind] = {CAPABILITY_GROUP: "capability", ENGINE_GROUP: "engine"}
        record = Record(entry, kinds.get(entry.group, "hooks"))
        if turned_off(self._environment, entry):
            record.note("disabled", "")
        return record

    def _load(self, record: Record) -> Any:
        entry = record.entry
        started = time.perf_counter()
        self.busy = f"the import of {record.label}"
        try:
            return entry.load()
        except _Raised as error:
            what = f"could not be loaded: {type(error).__name__}: {error}"
            if isinstance(error, ImportError) and error.name == f"{__package__}.plugin_api":
                what += f". This lmstudio-core has plugin API {API_VERSION}"
            raise self._error(record, what) from error
        finally:
            self.busy = None
            record.seconds += time.perf_counter() - started
            if record.seconds >= SLOW_IMPORT:
                record.note("slow", f"Importing it took {record.seconds:.1f} s.")

    @staticmethod
    def _error(record: Record, what: str) -> PluginLoadError:
        return PluginLoadError(
            f"The plugin {record.entry.name!r} of {record.where} {what}",
            plugin=record.entry.name,
            distribution=installed.distribution_of(record.entry),
        )

    def _skip(self, record: Record, error: BaseException) -> None:
        """A plugin cannot be used: raise if plugins are strict, else note and log it."""
        unusable = error
        if not isinstance(error, PluginLoadError):
            unusable = self._error(record, f"could not be used: {error}")
        record.note("failed", str(unusable))
        if self._strict:
            raise unusable from (None if unusable is error else error)
        self._log("skipped the plugin %r of %s: %s", record.entry.name, record.where, error)

    def _log(self, message: str, *arguments: Any, exc_info: bool = False) -> None:
        """What is examined is reported by whoever examines it."""
        level = logging.DEBUG if self._examining else logging.WARNING
        logger.log(level, message, *arguments, exc_info=exc_info)

    # -- capabilities ----------------------------------------------------------------------------

    def _claimants(self, name: str) -> list[Record]:
        """Who provides a capability: nobody, its owner, or all who claim it with equal right."""
        claims = [r for r in self._of_group(CAPABILITY_GROUP) if r.entry.name == name]
        claims = [r for r in claims if r.state != "disabled"]
        family = [r for r in claims if r.of_family]
        if len(claims) > 1:
            for record in claims:
                if family and record not in family:
                    record.note("conflict", f"{name!r} is that of {family[0].where}.")
        return family or claims

    def capability_names(self) -> list[str]:
        """The names of all installed capabilities that are not turned off; nothing is imported."""
        records = self._of_group(CAPABILITY_GROUP)
        return sorted({r.entry.name for r in records if r.state != "disabled"})

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
        claims = self._claimants(name)
        if not claims:
            raise self._not_installed(name)
        if len(claims) > 1:
            claimants = " and ".join(record.where for record in claims)
            message = f"Both {claimants} provide {name!r}. Uninstall or turn off one of them."
            for record in claims:
                record.note("conflict", message)
            raise PluginLoadError(message, plugin=name)
        (record,) = claims
        loaded = self._load(record)
        problem = capability_problem(loaded, name, record.entry.value, record.where)
        if problem is not None:
            distribution = installed.distribution_of(record.entry)
            raise PluginLoadError(problem, plugin=name, distribution=distribution)
        return cast("Capability[Any, Any]", loaded)

    def _not_installed(self, name: str) -> CapabilityNotInstalledError:
        if any(r.entry.name == name for r in self._of_group(CAPABILITY_GROUP)):
            return CapabilityNotInstalledError(
                f"{name!r} is turned off by LMSTUDIO_DISABLE_PLUGINS.", capability=name
            )
        package = KNOWN_PACKAGES.get(name)
        names = ", ".join(self.capability_names()) or "none"
        how = f"Install it with: pip install {package}" if package else f"Installed: {names}."
        return CapabilityNotInstalledError(
            f"No installed package provides {name!r}. {how}", capability=name, package=package
        )

    def find_export(self, name: str) -> str | None:
        """Where the installed capabilities keep the facade name, as ``"module:attribute"``.

        Raises:
            PluginLoadError: Two packages outside of the family claim the name.
        """
        for of_family in (True, False):  # others' packages are not imported for the family's names
            claims: Claims[str] = Claims("name", {})
            for record, exports in self._exports(of_family):
                claims.add(record, {k: v for k, v in exports.items() if k == name})
            owned, contested = claims.settle()
            if contested:
                raise PluginLoadError(contested[name], plugin=name)
            if owned:
                return owned[name]
        return None

    def _exports(self, of_family: bool) -> Iterator[tuple[Record, Mapping[str, str]]]:
        for capability in self.capability_names():
            claims = self._claimants(capability)
            if claims and claims[0].of_family == of_family:
                try:
                    yield claims[0], self.capability(capability).exports
                except PluginLoadError:
                    continue  # its own names say what is wrong when they are used

    def load_part(self, name: str, load: Callable[[], _T]) -> _T:
        """What ``load`` imports for a capability.

        Raises:
            PluginLoadError: It cannot be imported.
        """
        try:
            return load()
        except LMStudioError:
            raise
        except _Raised as error:
            records = self._claimants(name)
            where = records[0].where if records else "an unknown distribution"
            raise PluginLoadError(
                f"The capability {name!r} of {where} is broken: {type(error).__name__}: {error}",
                plugin=name,
                distribution=installed.distribution_of(records[0].entry) if records else None,
            ) from error

    # -- plugins of other kinds ------------------------------------------------------------------

    def load_each(self, group: str, use: Callable[[str, Any], _T]) -> list[_T]:
        """Load every plugin of an entry-point group, and return what ``use`` makes of each.

        One that cannot be loaded, or of which ``use`` can make nothing, is reported and skipped,
        unless plugins are strict.

        Args:
            group: The entry points' group.
            use: Called with an entry's name and its object.

        Raises:
            PluginLoadError: Plugins are strict, and one is broken.
        """
        made: list[_T] = []
        for record in self._of_group(group):
            if record.state == "disabled":
                continue
            try:
                made.append(use(record.entry.name, self._load(record)))
            except _Raised as error:
                self._skip(record, error)
        return made

    # -- hooks -----------------------------------------------------------------------------------

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks of all installed plugins, which are loaded now if they were not before."""
        return self.manager.hook

    @property
    def manager(self) -> pluggy.PluginManager:
        """Pluggy's manager with every usable plugin registered.

        Raises:
            PluginLoadError: Plugins are strict, and something is wrong with one, of any kind.
        """
        with self._lock:
            if self._manager is None:
                manager = new_manager()
                for record in self._of_group(PLUGIN_GROUP):
                    if record.state != "disabled":
                        self._register(manager, record)
                self._manager = manager
                if self._strict:
                    self._raise_problems()
            return self._manager

    def _register(self, manager: pluggy.PluginManager, record: Record) -> None:
        try:
            plugin = self._load(record)
            problem = hook_problem(plugin, record.where)
            if problem is not None:
                raise self._error(record, f"could not be used: {problem}")
            for warning in register_plugin(manager, plugin, record.label):
                record.note("ok", warning)
        except _Raised as error:
            self._skip(record, error)

    def _raise_problems(self) -> None:
        problems = [state for state in self.states() if state.state in PROBLEMS]
        if problems:
            self._manager = None  # the next use says the same
            lines = [f"{p.name} ({p.distribution}): {p.detail}" for p in problems]
            raise PluginLoadError("\n".join(lines), plugin=problems[0].name)

    def call_each(
        self, hook: str, *, passing: type[Exception] | None = None, **arguments: Any
    ) -> Iterator[Any]:
        """Call a hook plugin by plugin, the last registered first, and yield what each returns.

        A plugin that raises is reported and skipped, unless plugins are strict.

        Args:
            hook: The hook's name.
            passing: Exceptions that a plugin may raise on purpose; they reach the caller.
            arguments: The hook's arguments.
        """
        for _, value in self._ask_each(hook, lambda call: call(**arguments), passing):
            yield value

    def _ask_each(
        self, hook: str, ask: Callable[[Any], _T], passing: type[Exception] | None = None
    ) -> Iterator[tuple[Record, _T]]:
        for record, caller in self._callers(hook):
            started = time.perf_counter()
            self.busy = f"{hook} of {record.label}"
            try:
                value = ask(caller)
            except _Raised as error:
                if passing is not None and isinstance(error, passing):
                    raise
                what = f"failed in {hook}: {type(error).__name__}: {error}"
                record.note("failed", f"It {what}")
                if self._strict:
                    raise self._error(record, what) from error
                self._log("the plugin %s failed in %s", record.label, hook, exc_info=True)
            else:
                self._time(record, hook, started)
                yield record, value
            finally:
                self.busy = None

    def _time(self, record: Record, hook: str, started: float) -> None:
        """Report a plugin that keeps others waiting, the first time."""
        seconds = time.perf_counter() - started
        if seconds >= _SLOW_FROM.get(hook, SLOW_HOOK) and record.state == "ok":
            record.note("slow", f"It took {seconds:.2f} s in {hook}, and others wait for it.")
            self._log("the plugin %s took %.2f s in %s", record.label, seconds, hook)

    def _callers(self, hook: str) -> list[tuple[Record, pluggy.HookCaller]]:
        manager = self.manager
        found = list(reversed(getattr(manager.hook, hook).get_hookimpls()))
        plugins = {impl.plugin_name: impl.plugin for impl in found}
        records = {record.label: record for record in reversed(self._of_group(PLUGIN_GROUP))}
        return [
            (
                records.get(name) or self._by_hand(name),
                manager.subset_hook_caller(hook, [p for n, p in plugins.items() if n != name]),
            )
            for name in plugins
        ]

    @staticmethod
    def _by_hand(name: str) -> Record:
        """For a plugin that a program registered itself."""
        return Record(EntryPoint(name, "", PLUGIN_GROUP), "hooks")

    def register(self, plugin: object) -> None:
        """Add a plugin that has no entry point: an object or a module of the program's own.

        Raises:
            LMStudioValueError: It is no plugin, or it is added already.
        """
        manager = self.manager
        problem = hook_problem(plugin, repr(plugin))
        if problem is None and manager.is_registered(plugin):
            problem = "It is added already."
        if problem is not None:
            raise LMStudioValueError(f"{plugin!r} cannot be used as a plugin: {problem}")
        manager.register(plugin, name=f"{type(plugin).__name__} {id(plugin):#x}")

    def unregister(self, plugin: object) -> None:
        """Take away what ``register`` added; what is not there is left alone."""
        if self.manager.is_registered(plugin):
            self.manager.unregister(plugin)

    def find_server(self, tried: tuple[str, ...]) -> str | None:
        """What the first plugin that knows of a server, or starts one, says of where it is."""
        answers = self.call_each("lmstudio_find_server", passing=LMStudioError, tried=tried)
        return next((answer for answer in answers if answer is not None), None)

    def observer_hook(self, hook: str = "lmstudio_request_finished") -> Callable[..., None] | None:
        """What tells plugins that something happened, if any of them listens; else ``None``."""
        callers = self._callers(hook)

        def observe(**arguments: Any) -> None:
            for record, caller in callers:
                started = time.perf_counter()
                try:
                    caller(**arguments)
                except _Raised:
                    logger.exception("the plugin %s failed in %s", record.label, hook)
                else:
                    self._time(record, hook, started)

        return observe if callers else None

    # -- what plugins add by name ----------------------------------------------------------------

    def commands(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The commands that plugins add, and the names that two claim with what to say of them."""
        core = dict.fromkeys(RESERVED_COMMANDS, "lmstudio-core's own")
        return self._claimed("command", "lmstudio_register_commands", commands_of, core)

    def toolsets(self) -> tuple[dict[str, Any], dict[str, str]]:
        """The factories of toolsets that plugins offer, and the names that two claim."""
        return self._claimed("toolset", "lmstudio_register_toolsets", toolsets_of)

    def offers(self) -> dict[str, Any]:
        """The models that plugins can get by themselves (keys in lower case), and how."""
        return self._claimed("model", "lmstudio_offer_models", offers_of)[0]

    def _claimed(
        self,
        what: str,
        hook: str,
        ask: Callable[[Any], Mapping[str, _T]],
        taken: Mapping[str, str] | None = None,
    ) -> tuple[dict[str, _T], dict[str, str]]:
        claims: Claims[_T] = Claims(what, taken or {})
        for record, named in self._ask_each(hook, ask):
            claims.add(record, named)
        return claims.settle()

    # -- reporting -------------------------------------------------------------------------------

    def states(self) -> list[PluginState]:
        """Every installed plugin and whether it can be used; imports them all to find out."""
        with self._reporting():
            self._examine()
            order = ("capability", "engine", "hooks")
            records = sorted(self._records or [], key=lambda r: (order.index(r.kind), r.entry.name))
            return [record.shown() for record in records] + [
                PluginState("", "distribution", u.distribution, u.version, "failed", u.reason)
                for u in self._unreadable
            ]

    def health(self) -> list[Finding]:
        """What plugins find of what they need, for ``lmstudio doctor``."""
        with self._reporting():
            asked = self._ask_each("lmstudio_check_health", findings_of)
            return [finding for _, findings in asked for finding in findings]

    @contextlib.contextmanager
    def _reporting(self) -> Generator[None, None, None]:
        """Meanwhile what is wrong is noted, and neither raised nor logged."""
        with self._lock:
            strict, self._strict, self._examining = self._strict, False, True
            try:
                yield
            finally:
                self._strict, self._examining = strict, False

    def _examine(self) -> None:
        for name in self.capability_names():
            self._try_capability(name)
        claims: Claims[str] = Claims("name", {})
        for record, exports in (*self._exports(True), *self._exports(False)):
            claims.add(record, exports)
        claims.settle()
        for group in self._other_groups():
            self.load_each(group, lambda _, loaded: loaded)
        for claimed in (self.commands, self.toolsets, self.offers):
            claimed()

    def _other_groups(self) -> set[str]:
        known = (CAPABILITY_GROUP, PLUGIN_GROUP)
        return {r.entry.group for r in self._records or [] if r.entry.group not in known}

    def _try_capability(self, name: str) -> None:
        try:
            self.capability(name).load_sync()
            self.capability(name).load_async()
        except _Raised as error:
            for record in self._claimants(name):
                if record.state != "conflict":
                    record.note("failed", str(error))


plugins = Plugins()
"""The plugins of this process."""
