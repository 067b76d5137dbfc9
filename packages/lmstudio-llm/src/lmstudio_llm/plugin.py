"""This package's part in the ``lmstudio`` command: ``chat`` and ``complete``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["lmstudio_register_commands"]


@hookimpl
def lmstudio_register_commands(cli: click.Group) -> None:
    """Add the commands of language models."""
    from .cli import chat, complete

    cli.add_command(chat)
    cli.add_command(complete)
