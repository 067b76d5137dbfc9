"""What the commands share: their groups, how they reach a server, and how they end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import click

from lmstudio_core.errors import (
    LMStudioConnectionError,
    LMStudioError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
    LMStudioValueError,
)
from lmstudio_core.lazy import lazy_hints
from lmstudio_core.program.tracebacks import debugging

from .given import get_model
from .printing import echo, print_json
from .tables import print_table

if TYPE_CHECKING:
    from lmstudio_core.client import Client

__all__ = [
    "EXIT_ERROR",
    "EXIT_INTERRUPTED",
    "EXIT_NO_MODEL",
    "EXIT_NO_SERVER",
    "EXIT_USAGE",
    "Group",
    "connected",
    "connection_options",
    "echo",
    "exit_code",
    "get_model",
    "json_option",
    "network_options",
    "new_client",
    "plugins_print_aside",
    "print_json",
    "print_table",
    "server_options",
    "starting_none",
]

EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_SERVER: Final = 3
EXIT_NO_MODEL: Final = 4
EXIT_INTERRUPTED: Final = 130

_F = TypeVar("_F", bound=Callable[..., Any])


def exit_code(error: BaseException) -> int:
    """The exit code by which scripts tell errors apart."""
    if isinstance(error, LMStudioConnectionError):
        return EXIT_NO_SERVER
    if isinstance(error, LMStudioModelNotFoundError):
        return EXIT_NO_MODEL
    if isinstance(error, LMStudioValueError) and not isinstance(error, LMStudioServerError):
        return EXIT_USAGE
    return EXIT_ERROR


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def network_options(command: _F) -> _F:  # public
    """``--header``, ``--ca``, ``--insecure`` and ``--proxy``, for every client that the command makes."""

    def option(name: str, **details: Any) -> None:
        nonlocal command
        command = click.option(name, expose_value=False, callback=_use, **details)(command)

    option("--proxy", metavar="URL", help="The proxy that leads to the server; 'none' for none.")
    option("--insecure", is_flag=True, help="Do not check the server's certificate.")
    option("--ca", metavar="PATH", help="Certificates of the CA that the server's comes from.")
    option(
        "--header",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="A header for a proxy before the server; may be repeated.",
    )
    return command


def _use(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Let clients use what an option says, until the command ends."""
    if not value or ctx.resilient_parsing:
        return
    from lmstudio_core.client.network import command_options, read_headers, read_switch

    given: dict[str, Any] = {}
    try:
        match parameter.name:
            case "proxy":
                given["proxy"] = read_switch(value)
            case "header":
                given["headers"] = read_headers("\n".join(value))
            case name:
                given["ssl"] = False if name == "insecure" else value
    except LMStudioValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error
    ctx.with_resource(command_options(**given))


def connection_options(command: _F) -> _F:  # public
    """``--host``, ``--api-token``, and those that say how the server is reached."""
    command = network_options(command)
    command = click.option("--api-token", help="The server's API token.")(command)
    return click.option("--host", help="host:port of the server; a local one by default.")(command)


def server_options(command: _F) -> _F:  # public
    """``--host``, ``--api-token`` and ``--json``."""
    return connection_options(json_option(command))


class Group(click.Group):  # public
    """Shows the first sentence of each command's help whole, and knows what is nearly a command."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands and what they do; what is too long for a line is continued below."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, command.get_short_help_str(limit=sys.maxsize))
            for name, command in found
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; one that there is not is answered with the nearest."""
        name = args[0] if args else ""
        if name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        from lmstudio_core.data import nearest  # which is heavy, and for mistakes alone

        like = nearest(name, self.list_commands(ctx))
        hint = f"Did you mean {like!r}?" if like else f"{ctx.command_path} --help lists them."
        raise click.UsageError(f"There is no command {name!r}. {hint}", ctx)


def new_client(host: str | None = None, api_token: str | None = None) -> Client:
    """A client, with which hook plugins are loaded."""
    from lmstudio_core.client import Client

    with plugins_print_aside():
        return Client(host, api_token)


@lazy_hints
@contextlib.contextmanager
def connected(host: str | None, api_token: str | None) -> Generator[Client, None, None]:  # public
    """A client; errors inside end the command with one message."""
    try:
        with new_client(host, api_token) as client:
            yield client
    except LMStudioError as error:
        if debugging():
            raise
        echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(exit_code(error)) from error


def plugins_print_aside() -> contextlib.redirect_stdout[TextIO]:
    """Inside, where plugins are loaded, what they print goes to standard error.

    Standard output is the command's own, and may be JSON.
    """
    return contextlib.redirect_stdout(sys.stderr)


@contextlib.contextmanager
def starting_none() -> Generator[None, None, None]:
    """Inside, the bundled server is used if it runs, and not started if it does not."""
    before = os.environ.get("LMSTUDIO_EMBEDDED")
    if before is None:
        os.environ["LMSTUDIO_EMBEDDED"] = "running"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LMSTUDIO_EMBEDDED"]
