"""The command group: built from core's own commands and those of plugins."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from .. import __version__
from ..errors import LMStudioError
from ..plugins import plugins
from .plugins import plugins_command

__all__ = ["build", "run"]

EXIT_ERROR: Final = 1
EXIT_INTERRUPTED: Final = 130

_PACKAGES: Final[Mapping[str, str]] = {
    "chat": "lmstudio-llm",
    "complete": "lmstudio-llm",
    "server": "lmstudio-server",
}


class _Group(click.Group):
    """A group that says which package an unknown command comes with."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if self.get_command(ctx, name) is None and name in _PACKAGES:
            raise click.UsageError(
                f"{name!r} comes with the package {_PACKAGES[name]}, which is not installed "
                f"or turned off. Install it with: pip install {_PACKAGES[name]}"
            )
        return super().resolve_command(ctx, args)


def build() -> click.Group:
    """The whole command, with the commands of every plugin."""
    group = _Group(
        "lmstudio",
        help="Use the language models that LM Studio runs on this machine.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    click.version_option(__version__, prog_name="lmstudio")(group)
    group.add_command(plugins_command)
    for _ in plugins.call_each("lmstudio_register_commands", cli=group):
        pass
    return group


def run(args: list[str] | None = None) -> Any:
    """Run the command and exit as scripts expect: 0, 1 for errors, 2 for usage, 130 for Ctrl-C."""
    try:
        code = build().main(args=args, prog_name="lmstudio", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except (LMStudioError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(EXIT_ERROR)
    sys.exit(code if isinstance(code, int) else 0)
