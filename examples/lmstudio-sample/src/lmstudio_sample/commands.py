"""``lmstudio sample``. The package lmstudio-cli alone imports this, and brings click."""

from __future__ import annotations

import click
from lmstudio_cli import connected, echo, print_json, server_options

from .capability import SAMPLE
from .operations import KINDS
from .tools import readable_size


@click.command("sample")
@click.option("--kind", type=click.Choice(KINDS), help="Count models of this kind alone.")
@server_options
def command(kind: str | None, host: str | None, api_token: str | None, as_json: bool) -> None:
    """Sum up what is on the server's disk."""
    with connected(host, api_token) as client:
        found = client.capability(SAMPLE).overview(kind)
    if as_json:
        print_json(found.to_dict())
    else:
        size = readable_size(found.size_bytes)
        echo(f"{found.models} models, {size}, on a server {found.version}")
