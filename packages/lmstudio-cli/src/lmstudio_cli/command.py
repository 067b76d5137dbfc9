"""The command group: built from core's own commands and those of plugins."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, cast

import click

from lmstudio_core import __version__
from lmstudio_core.errors import LMStudioError
from lmstudio_core.lenient import error_text, is_interrupt
from lmstudio_core.plugins.installed import how_to_install
from lmstudio_core.plugins.registry import Plugins, plugins
from lmstudio_core.program.tracebacks import debugging

from .common import EXIT_INTERRUPTED, Group, echo, exit_code, plugins_print_aside
from .completion import completing, give_types
from .doctor import doctor_command
from .get import get_command
from .models import list_command, load_command, ps_command, unload_command
from .plugin_new import plugin_command
from .plugins import plugins_command
from .printing import colours, say_warnings
from .runtime import runtime_command
from .server_info import completion_command, log_command, version_command
from .server_status import server_command

__all__ = ["build", "end_with", "main", "run"]

_COMMANDS: Final = (
    list_command,
    ps_command,
    load_command,
    unload_command,
    get_command,
    log_command,
    runtime_command,
    version_command,
    plugin_command,
    plugins_command,
    doctor_command,
    completion_command,
)

_PACKAGES: Final[Mapping[str, str]] = {
    "agent": "lmstudio-agent",
    "batch": "lmstudio-batch",
    "chat": "lmstudio-llm",
    "complete": "lmstudio-llm",
    "dev": "lmstudio-plugin",
    "embed": "lmstudio-embed",
    "similar": "lmstudio-embed",
}


_UNLESS_ADDED: Final[Mapping[str, click.Command]] = {"server": server_command}
"""What core offers where no plugin does."""


Plugins.new_group = click.Group  # what hooks add commands to


class _Group(Group):
    """Core's own commands, and those of plugins, which are not imported for core's.

    It says which package an unknown command comes with.
    """

    def _of_plugins(self) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:
        if self._added is None:
            with plugins_print_aside():
                self._added = plugins.commands()
        return self._added

    _added: tuple[dict[str, Callable[[], Any]], dict[str, str]] | None = None

    def _added_command(self, name: str) -> click.Command | None:
        load = self._of_plugins()[0].get(name)
        if load is None:
            return _UNLESS_ADDED.get(name)
        with plugins_print_aside():
            command: click.Command | None = load()
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._of_plugins()[0], *_UNLESS_ADDED})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        added = self._added_command(cmd_name)
        return give_types(added) if added is not None and completing() else added

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name in self.commands:
            return super().resolve_command(ctx, args)
        added, contested = self._of_plugins()
        if name in contested:
            raise click.UsageError(contested[name])
        if name not in added and name in _PACKAGES:
            raise click.UsageError(
                f"{name!r} comes with the package {_PACKAGES[name]}, which is not installed "
                f"or turned off. Install it with: {how_to_install(_PACKAGES[name])}"
            )
        return super().resolve_command(ctx, args)


def build() -> click.Group:
    """The whole command; plugins add theirs when one is asked for."""
    group = _Group(
        "lmstudio",
        help="Use the language models that LM Studio runs on this machine.",
        context_settings={"help_option_names": ["-h", "--help"], "color": colours()},
    )
    click.version_option(__version__, prog_name="lmstudio")(group)
    for command in _COMMANDS:
        group.add_command(command)
    return group


def run(args: list[str] | None = None) -> NoReturn:
    """Run the command and exit as scripts expect; ``docs/command-line.md`` lists the codes."""
    if completing():
        logging.disable()  # the shell is in the middle of a line
    plugins.aside = plugins_print_aside
    end_with(build(), args, "lmstudio")


def main() -> None:  # public
    """Run the command line. Errors of this family end it with one message and an exit code."""
    run()


def end_with(command: click.Command, args: list[str] | None, name: str) -> NoReturn:  # public
    """Run a command to the end of this process.

    Args:
        command: The command.
        args: Its arguments; by default those of the process.
        name: What it is called.
    """
    out: object = sys.stdout
    if isinstance(out, io.TextIOWrapper):
        # Names of files that are not UTF-8, and whatever a terminal's encoding lacks.
        cast("io.TextIOWrapper", out).reconfigure(errors="replace")
    say_warnings()
    try:
        code = command.main(args=args, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)  # which may quote what servers and files say
        echo(shown.getvalue(), err=True, nl=False)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except SystemExit:
        raise
    except BaseException as error:  # a plugin's command may raise anything
        if isinstance(error, click.Abort) or is_interrupt(error):
            echo("Interrupted.", err=True)
            sys.exit(EXIT_INTERRUPTED)
        if debugging():
            raise
        known = isinstance(error, (LMStudioError, OSError))
        text = error_text(error, named=not known)
        hint = "" if known else "\nThis is a bug; LMSTUDIO_DEBUG=1 shows where."
        echo(f"Error: {text}{hint}", err=True)
        sys.exit(exit_code(error))
    sys.exit(code if isinstance(code, int) else 0)
