"""What this package adds to the family: the embedded server, ``lmstudio server`` and ``get``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["lmstudio_find_server", "lmstudio_register_commands"]


@hookimpl
def lmstudio_find_server() -> str | None:
    """Find or start the on-demand server, unless ``LMSTUDIO_EMBEDDED=0``."""
    from .embedded import ensure_running, is_enabled

    return ensure_running() if is_enabled() else None


@hookimpl
def lmstudio_register_commands(cli: click.Group) -> None:
    """Add ``lmstudio server`` and ``lmstudio get``."""
    from .cli import server
    from .fetch.command import get

    cli.add_command(server)
    cli.add_command(get)
