"""What is known of each installed plugin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from .installed import distribution_of, is_of_family, normal, version_of, where

if TYPE_CHECKING:
    from .installed import EntryPoint

__all__ = ["PROBLEMS", "Kind", "PluginState", "Record", "State", "turned_off", "unknown_names"]

Kind = Literal["capability", "command", "hooks", "engine", "distribution"]
State = Literal["ok", "slow", "disabled", "failed", "conflict"]

_DISABLE_VARIABLE: Final = "LMSTUDIO_DISABLE_PLUGINS"

PROBLEMS: Final = ("failed", "conflict")
"""The states of plugins that do not work, or not whole."""

_WEIGHT: Final = ("ok", "slow", "disabled", "conflict", "failed")


@dataclass(frozen=True)
class PluginState:
    """One plugin as ``lmstudio plugins`` shows it.

    Attributes:
        name: The entry point's name.
        kind: What the entry point is for; ``"distribution"``: it could not even be read.
        distribution: The distribution that it came with.
        version: That distribution's version.
        state: ``"ok"``; ``"slow"``: it works, but others wait for it; ``"disabled"``;
            ``"failed"``; or ``"conflict"``: something else has a name that it claims.
        detail: What is wrong, and what to do about it.
        seconds: How long importing it took; 0 for what was not imported.
        value: What the entry point names, as ``"module:object"``.
    """

    name: str
    kind: Kind
    distribution: str
    version: str
    state: State
    detail: str = ""
    seconds: float = 0.0
    value: str = ""


@dataclass
class Record:
    """One entry point, and what became of it so far."""

    entry: EntryPoint
    kind: Kind
    state: State = "ok"
    details: list[str] = field(default_factory=list[str])
    seconds: float = 0.0
    error: BaseException | None = None
    """What it raised."""

    # Each of these reads the distribution's metadata, which is slow.

    @cached_property
    def label(self) -> str:
        """What it is called in messages and to pluggy."""
        return f"{self.entry.name} ({distribution_of(self.entry)})"

    @cached_property
    def where(self) -> str:
        """The distribution and its version."""
        return where(self.entry)

    @cached_property
    def of_family(self) -> bool:
        """Whether it is the family's own."""
        return is_of_family(self.entry)

    def note(self, state: State, detail: str) -> None:
        """Add something that is wrong with it; the worst of all is its state."""
        if _WEIGHT.index(state) > _WEIGHT.index(self.state):
            self.state = state
        if detail and detail not in self.details:
            self.details.append(detail)

    def shown(self) -> PluginState:
        """As ``lmstudio plugins`` shows it."""
        entry = self.entry
        return PluginState(
            entry.name,
            self.kind,
            distribution_of(entry),
            version_of(entry),
            self.state,
            "\n".join(self.details),
            round(self.seconds, 3),
            entry.value,
        )


def turned_off(environment: Mapping[str, Any], entry: EntryPoint) -> bool:
    """Whether ``LMSTUDIO_DISABLE_PLUGINS`` names the plugin, or the distribution it came with."""
    names = set(map(normal, disabled_names(environment)))
    return bool(names) and not names.isdisjoint(_names_of(entry))


def disabled_names(environment: Mapping[str, Any]) -> list[str]:
    """The names in ``LMSTUDIO_DISABLE_PLUGINS``, as they are written."""
    listed = str(environment.get(_DISABLE_VARIABLE, "")).split(",")
    return [name.strip() for name in listed if name.strip()]


def unknown_names(environment: Mapping[str, Any], entries: Iterable[EntryPoint]) -> list[str]:
    """Those of them that no installed plugin or distribution has."""
    if not (names := disabled_names(environment)):
        return []
    known = {name for entry in entries for name in _names_of(entry)}
    return [name for name in names if normal(name) not in known]


def _names_of(entry: EntryPoint) -> tuple[str, str]:
    return normal(entry.name), normal(distribution_of(entry))
