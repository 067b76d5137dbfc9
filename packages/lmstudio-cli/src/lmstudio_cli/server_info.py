"""``lmstudio version``, ``log`` and ``completion``."""

from __future__ import annotations

from typing import Any

import click

from lmstudio_core import __version__
from lmstudio_core.errors import LMStudioError, LMStudioValueError

from .common import connected, echo, new_client, print_json, server_options, starting_none

__all__ = ["completion_command", "log_command", "version_command"]


@click.command("version")
@server_options
def version_command(host: str | None, api_token: str | None, as_json: bool) -> None:
    """Show the versions of this package and of the server.

    A server is not started for it.
    """
    server: dict[str, Any] | None = None
    if (where := host or _running()) is not None:
        with connected(where, api_token) as client:
            version = client.system.version()
            server = {"host": where, "version": version.version, "build": version.build}
    if as_json:
        print_json({"lmstudio": __version__, "server": server})
        return
    echo(f"lmstudio {__version__}")
    if server is None:
        echo("No LM Studio server is running.")
    else:
        echo(f"server {server['version']} (build {server['build']}) at {server['host']}")


def _running() -> str | None:
    """Where a server runs: LM Studio, or the bundled one."""
    try:
        with starting_none(), new_client() as client:
            return client.api_host
    except LMStudioValueError:  # what the environment says of it cannot be right
        raise
    except LMStudioError:
        return None


@click.command("log")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many events.")
@server_options
def log_command(limit: int | None, host: str | None, api_token: str | None, as_json: bool) -> None:
    """Show the server's log from now on.

    It holds every prediction's input and output. Ctrl-C ends it. With --json, each line is one event.
    """
    with connected(host, api_token) as client, client.diagnostics.stream_logs() as log:
        try:
            for number, event in enumerate(log, 1):
                if as_json:
                    print_json(event.to_dict(), indent=None)
                else:
                    echo(_line(event))
                if number == limit:
                    break
        except KeyboardInterrupt:
            echo(err=True)  # this is how one ends it, and no error


def _line(event: Any) -> str:
    time = event.time.astimezone().strftime("%H:%M:%S")
    what = " ".join(filter(None, (event.level, event.type, event.model_identifier)))
    text = "\n    ".join(event.text.splitlines())
    return f"{time} {what}: {text}"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes this command in SHELL.

    For bash, put this into ~/.bashrc: eval "$(lmstudio completion bash)"
    """
    from click.shell_completion import get_completion_class

    cls = get_completion_class(shell)
    if cls is None:
        raise click.UsageError(f"This version of click cannot complete for {shell}.")
    cli = ctx.find_root().command
    echo(cls(cli, {}, "lmstudio", "_LMSTUDIO_COMPLETE").source())
