"""What is installed, and how it is used: the only door to entry points and hooks.

Capabilities (``lmstudio.capabilities``) are one to one: a namespace name, and the package that
provides it; imported on first use. Hook plugins (``lmstudio.plugins``) are one to many: they are
loaded together when the first hook is called. Packages of the family that take plugins of a kind of
their own (the server's engines) read them through ``load_each``. One plugin's failure is reported
and skips only it; ``LMSTUDIO_STRICT_PLUGINS=1`` raises instead. ``LMSTUDIO_DISABLE_PLUGINS=a,b``
turns plugins off, by their name or their distribution's, before they are imported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import pluggy

from ..errors import LMStudioError, LMStudioValueError, PluginLoadError
from ..lenient import error_text, is_interrupt
from .capabilities import KNOWN_PACKAGES, Capabilities
from .capability import CAPABILITY_GROUP
from .checks import hook_problem, new_manager
from .checks import register as register_plugin
from .claims import (
    RESERVED_COMMANDS,
    Claims,
    commands_of,
    findings_of,
    host_of,
    offers_of,
    toolsets_of,
)
from .health import Finding
from .hookspecs import COMMAND_GROUP, PLUGIN_GROUP
from .installed import made_by_hand
from .loader import SLOW_IMPORT, logger
from .state import PROBLEMS, PluginState, Record

if TYPE_CHECKING:
    from .installed import EntryPoint

__all__ = ["KNOWN_PACKAGES", "PluginState", "Plugins", "plugins"]

_T = TypeVar("_T")

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


class Plugins(Capabilities):
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
        super().__init__(entry_points, environment)
        self._manager: pluggy.PluginManager | None = None
        self.aside: Callable[[], AbstractContextManager[object]] = nullcontext
        """Entered around each hook: the command has what plugins print go to standard error."""
        self.preloaded: bool = False
        """Whether ``preload`` is done."""

    def preload(self) -> None:
        """Look for plugins, load the hooks, and import the family's capabilities for asyncio.

        All that would hold up an event loop, so that its clients have a thread do it. What is wrong
        with one is said when it is used, and not to those who do not use it.
        """
        with suppress(Exception):  # as plugin errors are, whatever the plugin raised
            self.observer_hook()
        for name in KNOWN_PACKAGES:
            with suppress(Exception):
                self.load_part(name, self.capability(name).load_async)
        self.preloaded = True

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
            if self._manager is None and self._strict:
                self._raise_problems()
            if self._manager is None:
                manager = new_manager()
                for record in self._of_group(PLUGIN_GROUP):
                    if record.state != "disabled":
                        self._register(manager, record)
                self._manager = manager
            return self._manager

    def _register(self, manager: pluggy.PluginManager, record: Record) -> None:
        try:
            plugin = self._load(record)
            problem = hook_problem(plugin, record.where)
            if problem is not None:
                raise self._error(record, f"could not be used: {problem}")
            for warning in register_plugin(manager, plugin, record.label):
                record.note("ok", warning)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the plugin's
            self._skip(record, error)

    def _raise_problems(self) -> None:
        problems = [state for state in self.states() if state.state in PROBLEMS]
        if problems:
            self._manager = None  # the next use says the same
            first = problems[0]
            wheres = [f"{p.distribution} {p.version}".strip() for p in problems]
            lines = [f"{p.name} ({at}): {p.detail}" for p, at in zip(problems, wheres, strict=True)]
            causes = [r.error for r in self._records or [] if r.error is not None]
            raise PluginLoadError(
                "\n".join(lines), plugin=first.name, distribution=first.distribution
            ) from (causes[0] if causes else None)

    def _ask_each(
        self, hook: str, ask: Callable[[Any], _T], passing: type[Exception] | None = None
    ) -> Iterator[tuple[Record, _T]]:
        """Ask plugin by plugin, the last registered first, and yield what each says.

        A plugin that raises is reported and skipped, unless plugins are strict.

        Args:
            hook: The hook's name.
            ask: Calls one plugin's hook, and makes something of what it returns.
            passing: Exceptions that a plugin may raise on purpose; they reach the caller.
        """
        for record, caller in self._callers(hook):
            started = time.perf_counter()
            before, self.busy = self.busy, f"{hook} of {record.label}"
            try:
                with self.aside():
                    value = ask(caller)
            except BaseException as error:
                if is_interrupt(error) or (passing is not None and isinstance(error, passing)):
                    raise
                what = f"failed in {hook}: {error_text(error, named=True)}"
                record.note("failed", f"It {what}")
                if self._strict:
                    raise self._error(record, what) from error
                self._log("the plugin %s failed in %s", record.label, hook, exc_info=True)
            else:
                self._time(record, hook, started)
                yield record, value
            finally:
                self.busy = before

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
        return Record(made_by_hand(name, "__main__", PLUGIN_GROUP), "hooks")

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

        def ask(call: Any) -> str | None:
            return host_of(call(tried=tried))

        answers = self._ask_each("lmstudio_find_server", ask, passing=LMStudioError)
        return next((answer for _, answer in answers if answer is not None), None)

    def observer_hook(self, hook: str = "lmstudio_request_finished") -> Callable[..., None] | None:
        """What tells plugins that something happened, if any of them listens; else ``None``."""
        callers = self._callers(hook)
        told: set[str] = set()

        def observe(**arguments: Any) -> None:
            for record, caller in callers:
                started = time.perf_counter()
                try:
                    with self.aside():
                        caller(**arguments)
                except BaseException as error:
                    if is_interrupt(error):
                        raise
                    what = f"failed in {hook}: {error_text(error, named=True)}"
                    record.note("failed", f"It {what}")
                    if self._strict:
                        raise self._error(record, what) from error
                    level = logging.DEBUG if record.label in told else logging.ERROR
                    told.add(record.label)
                    text = "the plugin %s failed in %s; if it does again, the level is DEBUG"
                    logger.log(level, text, record.label, hook, exc_info=True)
                else:
                    self._time(record, hook, started)

        return observe if callers else None

    # -- what plugins add by name ----------------------------------------------------------------

    new_group: ClassVar[type[Any] | None] = None
    """Makes a group for hooks to add commands to. The command line sets it: core has no click."""

    def commands(self) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
        """The commands that packages and plugins add, and why the names that two claim are nobody's.

        A command of the group ``lmstudio.commands`` is imported when its function is called, which
        returns ``None`` if it is broken; that is logged.
        """
        taken = dict.fromkeys(RESERVED_COMMANDS, "lmstudio-core's own")
        claims: Claims[Callable[[], Any]] = Claims("command", taken)
        for record in self._of_group(COMMAND_GROUP):
            if record.state != "disabled":
                claims.add(record, {record.entry.name: partial(self._try, record)})
        if (new_group := self.new_group) is not None:
            hook = "lmstudio_register_commands"
            for record, named in self._ask_each(hook, lambda call: commands_of(call, new_group())):
                claims.add(record, named)
        return claims.settle()

    def _try(self, record: Record) -> Any:
        try:
            return self._load(record)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the plugin's
            self._skip(record, error)

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
            return self.states_so_far()

    def states_so_far(self) -> list[PluginState]:
        """What is known of every plugin already: waits for none, not even for one that hangs."""
        order = ("capability", "engine", "command", "hooks")
        records = sorted(self._records or [], key=lambda r: (order.index(r.kind), r.entry.name))
        return [record.shown() for record in records] + [
            PluginState("", "distribution", u.distribution, u.version, "failed", u.reason)
            for u in self._unreadable
        ]

    def health(self, found: list[Finding] | None = None) -> list[Finding]:
        """What plugins find of what they need, for ``lmstudio doctor``.

        Args:
            found: Gets each plugin's findings as they come.
        """
        found = [] if found is None else found
        with self._reporting():
            for _, findings in self._ask_each("lmstudio_check_health", findings_of):
                found += findings
        return found

    def _examine(self) -> None:
        for name in self.capability_names():
            self.try_capability(name)
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


plugins: Plugins = Plugins()  # api
"""The plugins of this process."""
