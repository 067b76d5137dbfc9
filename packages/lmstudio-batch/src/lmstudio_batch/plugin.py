"""This package's part in the ``lmstudio`` command: ``batch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.plugin_api import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["lmstudio_register_commands"]


@hookimpl
def lmstudio_register_commands(cli: click.Group) -> None:
    """Add the command for batches."""
    from .commands import batch

    cli.add_command(batch)
