"""``lmstudio similar``: the texts nearest to a query."""

from __future__ import annotations

from pathlib import Path

import click

from lmstudio_cli import connection_options, echo, model_option, print_json

from ..nearest import EmbeddingMatch
from .common import connect, find_model
from .indexes import Index, nearest_in, read_index

__all__ = ["similar"]


@click.command()
@click.argument("query")
@click.option(
    "--index",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Vectors that `lmstudio embed` wrote: a .npy, .parquet or .jsonl file.",
)
@click.option(
    "--texts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The lines that were embedded, for a .npy index.",
)
@click.option(
    "-k", "--top", type=click.IntRange(min=1), default=10, show_default=True, help="How many."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@model_option
@connection_options
def similar(
    query: str,
    index: Path,
    texts: Path | None,
    top: int,
    as_json: bool,
    model: str | None,
    host: str | None,
    api_token: str | None,
) -> None:
    """Find the texts nearest to a query.

    QUERY is embedded by the model that made the index.
    """
    found = read_index(index, texts)
    with connect(host, api_token) as client:
        chosen = find_model(client, model or found.model)
        vector = chosen.embed(query)
    if len(found.vectors) and len(vector) != found.vectors.shape[1]:
        raise click.ClickException(
            f"{chosen.identifier} makes vectors of {len(vector)} numbers, and {index} holds vectors "
            f"of {found.vectors.shape[1]}: it was made by another model. Name that with --model."
        )
    for match in nearest_in(found, vector, top):
        if as_json:
            print_json(_fields(match, found), indent=None)
        else:
            echo(_line(match, found))


def _line(match: EmbeddingMatch, index: Index) -> str:
    text = f"row {match.position}" if index.texts is None else index.texts[match.position]
    return f"{match.score:.4f}  {text}"


def _fields(match: EmbeddingMatch, index: Index) -> dict[str, object]:
    fields: dict[str, object] = {"row": match.position, "score": round(match.score, 6)}
    if index.texts is not None:
        fields["text"] = index.texts[match.position]
    return fields
