"""``lmstudio dev``."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import click

from lmstudio_cli import connection_options, echo

__all__ = ["dev"]


def _values(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any]:
    """``KEY=VALUE`` each; a value that is JSON is taken as such (a click callback)."""
    found: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE.", ctx, parameter)
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=Path())
@connection_options
@click.option("--no-reload", is_flag=True, help="Do not start it anew when files change.")
@click.option("--no-notify", is_flag=True, help="Show nothing in the app when it is started anew.")
@click.option(
    "--config",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_values,
    help="Another default of a setting; may be repeated.",
)
@click.option(
    "--global",
    "global_config",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_values,
    help="The same of a setting for all chats.",
)
@click.option("--debug", is_flag=True, help="Log what happens, in detail.")
def dev(
    path: Path,
    host: str | None,
    api_token: str | None,
    no_reload: bool,
    no_notify: bool,
    config: dict[str, Any],
    global_config: dict[str, Any],
    debug: bool,
) -> None:
    """Run an LM Studio plugin while it is written.

    It is started anew when its files change.

    PATH is the plugin's folder or anything in it; by default the current folder. Ctrl-C ends it.
    """
    # Not at the top: the command's name alone is wanted whenever any command is.
    from .developing import Development
    from .errors import LMStudioPluginInitError
    from .manifest import find_project

    if debug:
        logging.basicConfig(level=logging.DEBUG)
    try:
        project = find_project(path)
    except LMStudioPluginInitError as error:
        raise click.ClickException(str(error)) from error
    given = {"config": config, "global": global_config}
    development = Development(
        project.folder,
        api_host=host,
        api_token=api_token,
        reload=not no_reload,
        notify=not no_notify,
        debug=debug,
        defaults={key: values for key, values in given.items() if values},
        say=lambda text: echo(text, err=True),
    )
    echo(f"Developing {project.identifier} in {project.folder}.", err=True)
    try:
        code = asyncio.run(development.run())
    except KeyboardInterrupt:
        code = 0
    click.get_current_context().exit(code)
