"""``lmstudio plugins``: what is installed, from where, and whether it works."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from ..plugins import PluginState, plugins

__all__ = ["plugins_command"]


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins_command(as_json: bool) -> None:
    """List the installed plugins and whether they work."""
    states = plugins.states()
    if as_json:
        click.echo(json.dumps([asdict(state) for state in states], indent=2))
    else:
        for line in _table(states):
            click.echo(line)
    if any(state.state in ("failed", "conflict") for state in states):
        raise click.exceptions.Exit(1)


def _table(states: list[PluginState]) -> list[str]:
    rows = [("NAME", "KIND", "DISTRIBUTION", "VERSION", "STATE")]
    rows += [(s.name, s.kind, s.distribution, s.version, s.state) for s in states]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines: list[str] = []
    for row, detail in zip(rows, ["", *(s.detail for s in states)], strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        if detail:
            lines.append(f"    {detail}")
    return lines
