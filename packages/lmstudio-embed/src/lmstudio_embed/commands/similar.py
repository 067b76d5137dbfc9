"""``lmstudio similar``: the texts nearest to a query."""

from __future__ import annotations

from pathlib import Path

import click

from lmstudio_core.halves import json_text

from ..nearest import EmbeddingMatch, search
from .common import connect, connection_options, find_model
from .indexes import Index, read_index

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
@connection_options
def similar(
    query: str,
    index: Path,
    texts: Path | None,
    top: int,
    as_json: bool,
    model_key: str | None,
    host: str | None,
    api_token: str | None,
) -> None:
    """Find the texts nearest to QUERY, by the same model that made the index."""
    found = read_index(index, texts)
    with connect(host, api_token) as client:
        model = find_model(client, model_key or found.model)
        vector = model.embed(query)
    if len(found.vectors) and len(vector) != found.vectors.shape[1]:
        raise click.ClickException(
            f"{model.identifier} makes vectors of {len(vector)} numbers, and {index} holds vectors of "
            f"{found.vectors.shape[1]}: it was made by another model. Name that with --model."
        )
    for match in search(vector, found.vectors, k=top):
        click.echo(_json(match, found) if as_json else _line(match, found))


def _line(match: EmbeddingMatch, index: Index) -> str:
    text = f"row {match.position}" if index.texts is None else index.texts[match.position]
    return f"{match.score:.4f}  {text}"


def _json(match: EmbeddingMatch, index: Index) -> str:
    fields: dict[str, object] = {"row": match.position, "score": round(match.score, 6)}
    if index.texts is not None:
        fields["text"] = index.texts[match.position]
    return json_text(fields)
