"""``lmstudio get``: from the server's repository, or from a plugin that knows the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lmstudio_core.data import nearest
from lmstudio_core.errors import (
    LMStudioAmbiguousModelError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
    add_hint,
)
from lmstudio_core.plugins.registry import plugins
from lmstudio_core.program.progress import ProgressBar, size_text

from .common import connected, echo, print_json, print_table, server_options

if TYPE_CHECKING:
    from lmstudio_core.client import Client

__all__ = ["get_command"]


class _Get(click.Command):
    """Hands a model that a plugin offers over to that plugin's command, with all arguments."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        offered: dict[str, click.Command] = plugins.offers()
        chosen = next((offered[a.lower()] for a in args if a.lower() in offered), None)
        if chosen is not None:
            return chosen.make_context(info_name, args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if offered := plugins.offers():
            formatter.write_paragraph()
            formatter.write_text(f"Without LM Studio too: {', '.join(offered)}")


@click.command("get", cls=_Get)
@click.argument("model")
@click.option("--quant", help="The quantization, such as Q4_K_M; by default what is recommended.")
@click.option("--list", "only_list", is_flag=True, help="Only show the ways to download it.")
@server_options
def get_command(
    model: str,
    quant: str | None,
    only_list: bool,
    host: str | None,
    api_token: str | None,
    as_json: bool,
) -> None:
    """Download a model to the server.

    MODEL is a name to search for, or a whole identifier.
    """
    with connected(host, api_token) as client:
        found = _choose(model, _search(client, model))
        options = found.get_download_options()
        if only_list:
            _show_options([option.info for option in options], as_json)
            return
        option = _option(found, options, quant)
        with ProgressBar(f"Downloading {option.info.name}") as bar:
            key = option.download(bar)
    if as_json:
        print_json({"modelKey": key, "option": option.info.to_dict()})
    else:
        echo(f"{key} is ready: lmstudio load {key}")


def _search(client: Client, term: str) -> Sequence[Any]:
    try:
        return client.repository.search_models(term)
    except LMStudioServerError as error:
        offered: dict[str, click.Command] = plugins.offers()
        if offered:  # this server has no repository, but there is another way for some models
            like = nearest(term, offered) or next((k for k in offered if term.lower() in k), None)
            guess = f" Did you mean {like!r}?" if like else ""
            add_hint(error, f"Without it you can get: {', '.join(offered)}.{guess}")
        raise


def _choose(term: str, found: Sequence[Any]) -> Any:
    """The model that is meant: the only one, or the one called exactly that."""
    if not found:
        raise LMStudioModelNotFoundError(
            f"Nothing in the repository matches {term!r}. Try a shorter name."
        )
    wanted = term.lower()
    by_identifier = {f.search_result.identifier.identifier: f for f in found}
    exact = [
        entry
        for identifier, entry in by_identifier.items()
        if entry.search_result.exact
        or wanted in (identifier.lower(), entry.search_result.name.lower())
    ]
    candidates = exact or list(by_identifier.values())
    if len(candidates) > 1:
        names = [c.search_result.identifier.identifier for c in candidates]
        error = LMStudioAmbiguousModelError(
            f"Several models match {term!r}: {', '.join(names)}. Use one of these identifiers."
        )
        error.close_matches = tuple(names)
        raise error
    return candidates[0]


def _option(found: Any, options: Sequence[Any], quant: str | None) -> Any:
    """The option with that quantization; else the recommended one, else one that fits."""
    if not options:
        raise LMStudioModelNotFoundError(f"{found.search_result.name} has nothing to download.")
    if quant is None:
        recommended = [o for o in options if o.info.recommended]
        fitting = [o for o in options if o.info.fit_estimation not in ("", "willNotFit")]
        return (recommended or fitting or options)[0]
    for option in options:
        if (option.info.quantization or "").lower() == quant.lower():
            return option
    known = ", ".join(o.info.quantization for o in options if o.info.quantization)
    raise LMStudioModelNotFoundError(
        f"{found.search_result.name} has no quantization {quant!r}; it has: {known or 'none'}."
    )


_FITS: Mapping[str, str] = {
    "fullGPUOffload": "on the GPU",
    "partialGPUOffload": "partly on the GPU",
    "fitWithoutGPU": "without a GPU",
    "willNotFit": "does not fit",
}


def _show_options(infos: Sequence[Any], as_json: bool) -> None:
    if as_json:
        print_json([info.to_dict() for info in infos])
        return
    rows = [
        (
            info.quantization or "",
            info.name,
            info.compatibility_type,
            size_text(info.size_bytes),
            _FITS.get(info.fit_estimation, info.fit_estimation),
            "recommended" if info.recommended else "",
        )
        for info in infos
    ]
    print_table(("QUANT", "NAME", "FORMAT", "SIZE", "FITS", ""), rows)
