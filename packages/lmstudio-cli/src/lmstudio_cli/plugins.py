"""``lmstudio plugins``: what is installed, from where, and whether it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from lmstudio_core.plugins.registry import plugins
from lmstudio_core.plugins.state import PROBLEMS, PluginState

from .common import echo, json_option, plugins_print_aside, print_json, print_table

__all__ = ["plugins_command", "problem_lines"]

_COLOURS: Final = {"ok": "green", "slow": "yellow", "conflict": "red", "failed": "red"}


@click.command("plugins")
@json_option
def plugins_command(as_json: bool) -> None:
    """List the installed plugins and whether they work."""
    with plugins_print_aside():
        states = plugins.states()
    if as_json:
        print_json([asdict(state) for state in states])
    else:
        rows = [(s.name, s.kind, s.distribution, s.version, s.state) for s in states]
        print_table(("NAME", "KIND", "DISTRIBUTION", "VERSION", "STATE"), rows)
        for text, style in problem_lines(states):
            echo(text, **style)
    if any(state.state in PROBLEMS for state in states):
        raise click.exceptions.Exit(1)


def problem_lines(states: Sequence[PluginState]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is wrong with plugins, below the table that names them: lines and their styles."""
    for state in states:
        if not state.detail:
            continue
        whence = f"{state.kind} of {state.distribution} {state.version}".rstrip()
        value = f", {state.value}" if state.value else ""
        yield "", {}
        yield (
            f"{state.state}: {state.name or state.distribution} ({whence}{value})",
            {"fg": _COLOURS.get(state.state)},
        )
        yield from ((f"  {line}", {}) for line in state.detail.splitlines())
