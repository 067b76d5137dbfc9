"""This package's part in the ``lmstudio`` command: ``dev``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["lmstudio_register_commands"]


@hookimpl
def lmstudio_register_commands(cli: click.Group) -> None:
    """Add the command for developing plugins."""
    from .commands import dev

    cli.add_command(dev)
