"""``lmstudio server status`` where no package has a server of its own.

A package that has one shows the servers of others with the same functions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import click

from lmstudio_core.lenient import as_mapping, is_list
from lmstudio_core.plugins.installed import how_to_install

from .common import EXIT_NO_SERVER, Group, echo, json_option, network_options, print_json

__all__ = ["in_words", "no_answer", "server_command", "server_that_answers"]


class _Group(Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in ("start", "stop"):
            raise click.UsageError(
                f"'server {args[0]}' comes with the package lmstudio-server, which is not installed "
                f"or turned off. Install it with: {how_to_install('lmstudio-server')}"
            )
        return super().resolve_command(ctx, args)


server_command: Final = _Group("server", help="Show the server that runs.")


@server_command.command("status")
@click.option("--host", help="host:port of the server; a local one by default.")
@network_options
@json_option
def status_command(host: str | None, as_json: bool) -> None:
    """Show the server that answers.

    Starts none; the exit code is 3 when there is none.
    """
    found = server_that_answers(host)
    servers = [found] if found else []
    if as_json:
        print_json({"running": bool(servers), "servers": servers})
    elif not servers:
        echo(no_answer(host) or "No LM Studio server is running.")
    else:
        echo(in_words(found))
    if not servers:
        raise click.exceptions.Exit(EXIT_NO_SERVER)


def _named(host: str | None) -> str | None:
    """Where somebody said that a server is."""
    from lmstudio_core.client.discovery import API_HOST_VARIABLE

    return host or os.environ.get(API_HOST_VARIABLE) or None


def no_answer(host: str | None) -> str | None:  # public
    """What to say when the server of that name does not answer; ``None`` if none was named."""
    from lmstudio_core.protocol.address import parse_api_host

    where = _named(host)
    return f"No server answers at {parse_api_host(where)}." if where else None


def server_that_answers(host: str | None) -> dict[str, Any]:  # public
    """What the server at ``host`` says of itself, with its address; nothing if there is none.

    Without ``host`` it is the one that the environment names, or else LM Studio on this machine.
    """
    from lmstudio_core.client import Client
    from lmstudio_core.client.discovery import get_json
    from lmstudio_core.client.network import Network
    from lmstudio_core.protocol.address import parse_api_host

    where = _named(host) or Client.find_default_local_api_host()
    if where is None:
        return {}
    address = Network().to(parse_api_host(where), written=True)
    found = as_mapping(get_json(address, "/lms-status")) or as_mapping(
        get_json(address, "/lmstudio-greeting")
    )
    return {"address": str(address), **found} if found else {}


def in_words(found: Mapping[str, Any]) -> str:  # public
    """The same for people."""
    name = " ".join(str(found[key]) for key in ("package", "version") if found.get(key))
    lines = [f"{name or 'LM Studio'} at {found['address']}"]
    loaded = found.get("loadedModels")
    if is_list(loaded):
        lines.append(f"  loaded models: {', '.join(map(str, loaded)) or 'none'}")
    if found.get("requiresToken") is True:
        lines.append("  asks for an API token")
    return "\n".join(lines)
