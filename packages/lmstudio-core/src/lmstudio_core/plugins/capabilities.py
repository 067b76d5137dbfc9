"""Capabilities: which package provides a namespace, and the names that it exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ..errors import CapabilityNotInstalledError, LMStudioError, PluginLoadError
from ..lazy import load_object
from ..lenient import error_text, is_interrupt
from ..program.interpreter import frozen_by
from . import installed
from .capability import CAPABILITY_GROUP, Capability
from .checks import capability_problem
from .claims import Claims
from .loader import PluginLoader
from .state import Record

if TYPE_CHECKING:
    from .installed import EntryPoint

__all__ = ["KNOWN_PACKAGES", "Capabilities"]

_T = TypeVar("_T")

KNOWN_PACKAGES: Final[Mapping[str, str]] = {
    "llm": "lmstudio-llm",
    "embedding": "lmstudio-embed",
    "agent": "lmstudio-agent",
    "plugins": "lmstudio-plugin",
    "batch": "lmstudio-batch",
}
"""Which package to install for a first-party capability that is missing."""


class Capabilities(PluginLoader):
    """The installed capabilities; each is imported when it is first used."""

    def __init__(
        self,
        entry_points: Iterable[EntryPoint] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(entry_points, environment)
        self._capabilities: dict[str, Capability[Any, Any]] = {}

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
        problem = self.load_part(
            name, lambda: capability_problem(loaded, name, record.entry.value, record.where)
        )
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
        how = (
            f"Install it with: {installed.how_to_install(package)}"
            if package
            else f"Installed: {names}."
        )
        if (tool := frozen_by()) is not None:
            module = (package or "").replace("-", "_") or "its package"
            how = f"This program was frozen by {tool}: have it include {module}. Included: {names}."
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

    def load_export(self, path: str) -> Any:
        """What ``find_export`` found.

        Raises:
            PluginLoadError: It cannot be imported.
        """
        for record, exports in chain.from_iterable(map(self._exports, (True, False))):
            if path in exports.values():
                return self.load_part(record.entry.name, lambda: load_object(path))
        raise PluginLoadError(f"No installed package exports {path}.")

    def export_names(self) -> list[str]:
        """The facade names of the installed capabilities; those that are broken have none."""
        known = (*self._exports(True), *self._exports(False))
        return sorted({name for _, exports in known for name in exports})

    def _exports(self, of_family: bool) -> Iterator[tuple[Record, Mapping[str, str]]]:
        for capability in self.capability_names():
            claims = self._claimants(capability)
            if claims and claims[0].of_family == of_family:
                try:
                    yield claims[0], self.capability(capability).exports
                except PluginLoadError:
                    continue  # its own names say what is wrong when they are used

    def load_part(self, name: str, load: Callable[[], _T]) -> _T:
        """What ``load`` imports or makes of a capability's own code.

        Raises:
            PluginLoadError: It cannot be imported or made.
        """
        try:
            return load()
        except LMStudioError:
            raise
        except BaseException as error:
            if is_interrupt(error):
                raise
            records = self._claimants(name)
            where = records[0].where if records else "an unknown distribution"
            raise PluginLoadError(
                f"The capability {name!r} of {where} is broken: {error_text(error, named=True)}",
                plugin=name,
                distribution=installed.distribution_of(records[0].entry) if records else None,
            ) from error

    def try_capability(self, name: str) -> None:
        """Import a capability whole, and note what is wrong with it."""
        try:
            self.load_part(name, self.capability(name).load_sync)
            self.load_part(name, self.capability(name).load_async)
        except BaseException as error:
            if is_interrupt(error):
                raise
            for record in self._claimants(name):
                if record.state != "conflict":
                    record.note("failed", self._detail(record, error))
                    record.error = error
