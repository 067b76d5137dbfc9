"""What plugins add by name: commands, toolsets, models to get; and what becomes of a name's clash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, TypeVar, cast

from ..errors import LMStudioValueError
from ..protocol.address import parse_api_host
from .health import Finding
from .state import Record

__all__ = [
    "RESERVED_COMMANDS",
    "Claims",
    "commands_of",
    "findings_of",
    "host_of",
    "offers_of",
    "toolsets_of",
]

T = TypeVar("T")

RESERVED_COMMANDS: Final = frozenset(
    [
        "completion",
        "doctor",
        "get",
        "load",
        "log",
        "ls",
        "plugin",
        "plugins",
        "ps",
        "runtime",
        "unload",
        "version",
    ]
)
"""The commands of ``lmstudio-cli`` itself, which no plugin replaces."""


def commands_of(call: Any, group: Any) -> dict[str, Callable[[], Any]]:
    """The commands that one plugin adds, each behind a function.

    ``group`` is of its own: a plugin can neither replace nor remove others' commands.
    """
    call(cli=group)
    return {name: partial(_itself, command) for name, command in group.commands.items()}


def _itself(command: Any) -> Any:
    return command


def toolsets_of(call: Any) -> dict[str, Any]:
    """The factories of the toolsets that one plugin offers."""
    found: dict[str, Any] = {}

    def register(name: str, factory: Callable[[], Any]) -> None:
        if not isinstance(cast("Any", name), str) or not name or not callable(factory):
            raise LMStudioValueError(
                f"register takes a name and a function, not {name!r} and {factory!r}."
            )
        if name in found:
            raise LMStudioValueError(f"The toolset {name!r} is registered twice.")
        found[name] = factory

    call(register=register)
    return found


def offers_of(call: Any) -> dict[str, Any]:
    """The models (keys in lower case) that one plugin can get, and the command for each."""
    return {key.lower(): command for offer in call() for key, command in offer.items()}


def findings_of(call: Any) -> list[Finding]:
    """What one plugin found of what it needs."""
    found = [finding for answer in call() for finding in answer]
    for finding in found:
        if not isinstance(finding, Finding):
            raise LMStudioValueError(f"lmstudio_check_health gives Findings, not {finding!r}.")
    return found


def host_of(answer: Any) -> str | None:
    """Where a plugin says that a server is, if that can be an address at all."""
    if answer is None:
        return None
    try:
        parse_api_host(answer)
    except LMStudioValueError as error:
        # Not one of ours: those are what a plugin says on purpose, and reach the caller.
        raise ValueError(str(error)) from error
    return cast("str", answer)  # as it is: it may come with a token


class Claims(Generic[T]):
    """Names that plugins claim for something: commands, toolsets, models.

    What is taken already stays with whoever has it, the family's names are the family's, and a name
    that two others claim is nobody's, whichever of them was read first.

    Args:
        what: What the names are for, such as ``"toolset"``.
        taken: Name → who has it already.
    """

    def __init__(self, what: str, taken: Mapping[str, str]) -> None:
        self._what = what
        self._taken = taken
        self._claims: dict[str, list[tuple[Record, T]]] = {}

    def add(self, record: Record, named: Mapping[str, T]) -> None:
        """One plugin's names."""
        for name, value in named.items():
            self._claims.setdefault(name, []).append((record, value))

    def settle(self) -> tuple[dict[str, T], dict[str, str]]:
        """What each name stands for; and why a name stands for nothing. Losers are told."""
        owned: dict[str, T] = {}
        contested: dict[str, str] = {}
        for name, claims in self._claims.items():
            claimants = sorted({record.label for record, _ in claims})
            family = [claim for claim in claims if claim[0].of_family]
            if name in self._taken:
                winner, reason = None, f"is {self._taken[name]}"
            elif len(claims) == 1:
                owned[name] = claims[0][1]
                continue
            elif len(family) == 1:
                winner, reason = family[0], f"is that of {family[0][0].where}"
            else:
                winner = None
                reason = f"is claimed by both {' and '.join(claimants)}. Uninstall or turn off one"
                contested[name] = f"The {self._what} {name!r} {reason}."
            for record, value in claims:
                if winner is not None and record is winner[0]:
                    owned[name] = value
                else:
                    record.note("conflict", f"The {self._what} {name!r} {reason}.")
        return owned, contested
