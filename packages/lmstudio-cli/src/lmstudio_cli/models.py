"""``lmstudio ls``, ``ps``, ``load`` and ``unload``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lmstudio_core.errors import (
    LMStudioAmbiguousModelError,
    LMStudioModelNotFoundError,
    LMStudioServerError,
)
from lmstudio_core.program.notebook import DOWNLOADED_HEADER, downloaded_row
from lmstudio_core.program.progress import ProgressBar, size_text

from .common import connected, echo, print_json, print_table, server_options
from .completion import LoadedModel, ModelKey

if TYPE_CHECKING:
    from lmstudio_core.client import Client
    from lmstudio_core.models.specifiers import ModelDomain

__all__ = ["list_command", "load_command", "ps_command", "unload_command"]

_KIND = click.option("--kind", type=click.Choice(["llm", "embedding"]), help="Only this kind.")
_DEVICE = click.option("--device", help='The LM Link device; "local" for the server itself.')


@click.command("ls")
@click.argument("model", required=False, type=ModelKey())
@_KIND
@server_options
def list_command(
    model: str | None,
    kind: ModelDomain | None,
    host: str | None,
    api_token: str | None,
    as_json: bool,
) -> None:
    """List the downloaded models, or the variants of MODEL."""
    with connected(host, api_token) as client:
        found = client.models.list_downloaded(kind) if model is None else _variants(client, model)
        loaded = {info.model_key for info in _loaded(client, kind)}
    infos = [entry.info for entry in found if kind in (None, entry.type)]
    if as_json:
        print_json([info.to_dict() for info in infos])
    elif not infos:
        echo("No model is downloaded.")
    else:
        marks = ["loaded" if info.model_key in loaded else "" for info in infos]
        rows = [(*downloaded_row(i), mark) for i, mark in zip(infos, marks, strict=True)]
        print_table((*DOWNLOADED_HEADER, ""), rows)
        echo(f"{len(infos)} in all, {size_text(sum(info.size_bytes for info in infos))}")


def _variants(client: Client, model: str) -> list[Any]:
    """The variants of a model, which a server may have none of; then the model alone."""
    variants = client.models.list_downloaded_variants(model)
    if not variants:
        return [client.models.find_downloaded(model)]
    try:
        client.models.find_downloaded(model)
    except LMStudioAmbiguousModelError as error:  # the server took one: of several models?
        if not {variant.model_key for variant in variants}.issuperset(error.close_matches):
            raise
    except LMStudioModelNotFoundError:  # the server's names for it are its own
        pass
    return variants


def _loaded(client: Client, kind: str | None) -> list[Any]:
    """The infos of loaded models, whichever packages are installed."""
    from lmstudio_core.models.generic import GENERIC_KINDS
    from lmstudio_core.models.operations import list_loaded

    kinds = [GENERIC_KINDS[name] for name in GENERIC_KINDS if kind in (None, name)]
    return [info for one in kinds for info in client.run(list_loaded(one))]


@click.command("ps")
@_KIND
@server_options
def ps_command(kind: str | None, host: str | None, api_token: str | None, as_json: bool) -> None:
    """List the loaded models and what they are doing."""
    with connected(host, api_token) as client:
        infos = [(info, _state(client, info)) for info in _loaded(client, kind)]
    if as_json:
        print_json(
            [{**i.to_dict(), **({"processingState": state} if state else {})} for i, state in infos]
        )
    elif not infos:
        echo("No model is loaded.")
    else:
        header = ("IDENTIFIER", "MODEL", "KIND", "STATUS", "CONTEXT", "SIZE", "TTL", "DEVICE")
        print_table(header, [_loaded_row(info, state) for info, state in infos])


def _state(client: Client, info: Any) -> dict[str, Any] | None:
    from lmstudio_core.models.generic import GENERIC_KINDS
    from lmstudio_core.models.operations import processing_state

    try:
        return client.run(processing_state(GENERIC_KINDS[info.type], info)).to_dict()
    except LMStudioServerError:  # an old server, or a model that has just been unloaded
        return None


def _loaded_row(info: Any, state: dict[str, Any] | None) -> tuple[str, ...]:
    status = str(state["status"]) if state else "unknown"
    if state and state["queued"]:
        status += f" (+{state['queued']} queued)"
    return (
        info.identifier,
        info.model_key,
        info.type,
        status,
        str(info.context_length or ""),
        size_text(info.size_bytes),
        _duration(info.ttl_ms),
        info.device_identifier or "",
    )


def _duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    seconds = milliseconds // 1000
    return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"


@click.command("load")
@click.argument("model", type=ModelKey())
@click.option("--identifier", help="What to call the instance; the server chooses otherwise.")
@click.option("--ttl", type=click.IntRange(min=1), help="Unload after so many seconds unused.")
@click.option("--context-length", type=click.IntRange(min=1), help="Tokens of context.")
@click.option("--gpu", help='Share of the layers on the GPU: "max", "off", or 0.0 to 1.0.')
@click.option("--estimate", is_flag=True, help="Only show what it would take.")
@_DEVICE
@server_options
def load_command(
    model: str,
    identifier: str | None,
    ttl: int | None,
    context_length: int | None,
    gpu: str | None,
    estimate: bool,
    device: str | None,
    host: str | None,
    api_token: str | None,
    as_json: bool,
) -> None:
    """Load a model into memory.

    MODEL is a key as `lmstudio ls` shows it, or its last part. It stays loaded until it is unloaded, unless --ttl is given.
    """
    config = _load_config(context_length, gpu)
    with connected(host, api_token) as client:
        found = client.models.find_downloaded(model)
        if estimate:
            namespace = client.capability(found.type)
            _show_estimate(
                namespace.estimate_resources(found.model_key, config, device=device), as_json
            )
            return
        with ProgressBar(f"Loading {found.model_key}") as bar:
            handle = found.load_new_instance(
                ttl=ttl,
                instance_identifier=identifier,
                config=config,
                on_load_progress=bar,
                device=device,
            )
        info = handle.get_info()
    if as_json:
        print_json(info.to_dict())
    else:
        context = f", context {info.context_length} tokens" if info.context_length else ""
        echo(f"{info.identifier} is loaded ({size_text(info.size_bytes)}{context}).")


def _load_config(context_length: int | None, gpu: str | None) -> dict[str, Any] | None:
    config: dict[str, Any] = {}
    if context_length is not None:
        config["contextLength"] = context_length
    if gpu is not None:
        config["gpu"] = {"ratio": _gpu_ratio(gpu)}
    return config or None


def _gpu_ratio(given: str) -> str | float:
    if given in ("max", "off"):
        return given
    try:
        ratio = float(given)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise click.BadParameter(f'"max", "off" or a number from 0 to 1, not {given!r}.')
    return ratio


def _show_estimate(estimate: Any, as_json: bool) -> None:
    if as_json:
        print_json(estimate.to_dict())
        return
    memory = estimate.memory
    echo(
        f"{size_text(memory.total_bytes)} of memory: {size_text(memory.model_bytes)} for the "
        f"model, {size_text(memory.context_bytes)} for the context; "
        f"{size_text(memory.total_vram_bytes)} of it on graphics cards "
        f"(confidence: {memory.confidence})."
    )
    verdict = "would load it" if estimate.passes_guardrails else "would refuse to load it"
    echo(f"The server {verdict}.")


@click.command("unload")
@click.argument("identifiers", nargs=-1, type=LoadedModel())
@click.option("--all", "every", is_flag=True, help="Unload every model.")
@_DEVICE
@server_options
def unload_command(
    identifiers: tuple[str, ...],
    every: bool,
    device: str | None,
    host: str | None,
    api_token: str | None,
    as_json: bool,
) -> None:
    """Unload models from memory.

    IDENTIFIERS are those that `lmstudio ps` shows.
    """
    if every == bool(identifiers):
        raise click.UsageError("Say which models to unload, or --all, and not both.")
    done: list[str] = []
    with connected(host, api_token) as client:
        if every:
            identifiers = tuple(info.identifier for info in _loaded(client, None))
        for identifier in identifiers:
            try:
                client.models.unload(identifier, device=device)
            except LMStudioModelNotFoundError:
                if every:  # it is on another device, or has gone by itself
                    continue
                raise
            done.append(identifier)
            if not as_json:
                echo(f"{identifier} is unloaded.")
    if as_json:
        print_json({"unloaded": done})
    elif not done:
        echo("No model is loaded" + (f" on the device {device!r}." if device else "."))
