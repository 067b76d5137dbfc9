"""``lmstudio runtime``: the engines that the server runs models with."""

from __future__ import annotations

from typing import Any

import click

from lmstudio_core.program.progress import ProgressBar, size_text

from .common import Group, connected, echo, print_json, print_table, server_options

__all__ = ["runtime_command"]


@click.group("runtime", cls=Group)
def runtime_command() -> None:
    """Manage the engines that the server runs models with.

    ENGINE is NAME@VERSION everywhere.
    """


def _engine(given: str) -> tuple[str, str]:
    name, at, version = given.rpartition("@")
    if not (name and at and version):
        raise click.BadParameter(f"An engine is given as NAME@VERSION, not {given!r}.")
    return name, version


@runtime_command.command("ls")
@server_options
def list_engines(host: str | None, api_token: str | None, as_json: bool) -> None:
    """List the installed engines, and the formats they are selected for."""
    with connected(host, api_token) as client:
        engines = client.runtime.list_engines()
        selections = client.runtime.get_engine_selections()
    chosen: dict[tuple[str, str], list[str]] = {}
    for model_format, engine in selections.items():
        chosen.setdefault((engine.name, engine.version), []).append(model_format)
    if as_json:
        print_json(
            [{**e.to_dict(), "selectedFor": chosen.get((e.name, e.version), [])} for e in engines]
        )
        return
    rows = [
        (
            f"{e.name}@{e.version}",
            e.engine,
            ", ".join(e.supported_model_format_names),
            ", ".join(chosen.get((e.name, e.version), [])),
        )
        for e in engines
    ]
    print_table(("ENGINE", "KIND", "FORMATS", "SELECTED FOR"), rows)


@runtime_command.command("select")
@click.argument("engine")
@click.option("--format", "model_format", default="GGUF", show_default=True)
@server_options
def select(
    engine: str, model_format: str, host: str | None, api_token: str | None, as_json: bool
) -> None:
    """Run models of a format with ENGINE from now on."""
    name, version = _engine(engine)
    with connected(host, api_token) as client:
        client.runtime.select_engine(name, version, model_format)
    _done(as_json, f"{engine} runs {model_format} models now.", selected=engine)


@runtime_command.command("remove")
@click.argument("engine")
@server_options
def remove(engine: str, host: str | None, api_token: str | None, as_json: bool) -> None:
    """Uninstall ENGINE."""
    name, version = _engine(engine)
    with connected(host, api_token) as client:
        client.runtime.remove_engine(name, version)
    _done(as_json, f"{engine} is removed.", removed=engine)


@runtime_command.command("search")
@click.argument("query", default="")
@click.option("--channel", help="The release channel, such as beta.")
@click.option("--all", "every", is_flag=True, help="Those that cannot run here, too.")
@server_options
def search(
    query: str,
    channel: str | None,
    every: bool,
    host: str | None,
    api_token: str | None,
    as_json: bool,
) -> None:
    """List engines and frameworks that can be downloaded."""
    with connected(host, api_token) as client:
        found = client.runtime.search_extensions(query, channel=channel, include_incompatible=every)
    if as_json:
        print_json([extension.to_dict() for extension in found])
        return
    if not found:
        echo("No engine that can be downloaded was found.")
        return
    rows = [
        (
            f"{e.name}@{e.version}",
            e.type,
            ", ".join(e.supported_model_format_names),
            ", ".join(e.local_versions),
        )
        for e in found
    ]
    print_table(("ENGINE", "TYPE", "FORMATS", "INSTALLED"), rows)


@runtime_command.command("get")
@click.argument("engine")
@click.option("--keep-selections", is_flag=True, help="Do not run models with it yet.")
@server_options
def download(
    engine: str, keep_selections: bool, host: str | None, api_token: str | None, as_json: bool
) -> None:
    """Download and install ENGINE."""
    name, version = _engine(engine)
    with connected(host, api_token) as client, ProgressBar(f"Downloading {engine}") as bar:
        client.runtime.download_extension(
            name, version, update_selections=not keep_selections, on_progress=bar
        )
    _done(as_json, f"{engine} is installed.", installed=engine)


@runtime_command.command("survey")
@click.option("--all", "every", is_flag=True, help="Ask all engines, not the selected ones alone.")
@server_options
def survey(every: bool, host: str | None, api_token: str | None, as_json: bool) -> None:
    """Show what engines see of the server's machine."""
    with connected(host, api_token) as client:
        found = client.runtime.survey_hardware("all" if every else "selected")
    if as_json:
        print_json(found.to_dict())
        return
    for engine in found.engines:
        echo(f"{engine.name}@{engine.version}: {engine.compatibility.status}")
        for line in _hardware(engine):
            echo(f"  {line}")


def _hardware(engine: Any) -> list[str]:
    hardware, memory = engine.hardware_survey, engine.memory_info
    cpu = hardware.cpu_survey_result.cpu_info
    lines: list[str] = []
    if cpu is not None:
        extensions = ", ".join(cpu.supported_instruction_set_extensions)
        lines.append(
            f"processor: {cpu.name or 'unknown'}, {cpu.architecture} {extensions}".rstrip()
        )
    for gpu in hardware.gpu_survey_result.gpu_info:
        size = size_text(gpu.total_memory_capacity_bytes)
        lines.append(f"graphics: {gpu.name}, {size}, {gpu.detection_platform}")
    lines.append(
        f"memory: {size_text(memory.ram_capacity)}, graphics {size_text(memory.vram_capacity)}"
    )
    return lines


def _done(as_json: bool, words: str, **fields: str) -> None:
    if as_json:
        print_json(fields)
    else:
        echo(words)
