"""The ``server`` commands: start, status, stop."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmstudio_cli import Group, colours, echo, network_options, print_json
from lmstudio_core.errors import FrozenProgramError

from ._version import __version__
from .access import TOKENS_VARIABLE, access_options, refuse_open, tokens_of
from .daemon import state
from .daemon.paths import STATE_DIR_VARIABLE, in_words, state_dir
from .daemon.spawn import Settings, StartError, spawn
from .daemon.stop import StopError, stop_server
from .options import (
    CONFIG_VARIABLE,
    Seconds,
    Setting,
    address,
    config_option,
    origins,
    plugins_of_file,
)

if TYPE_CHECKING:
    from .serving.server import RunningServer

__all__ = ["main", "server"]

DEFAULT_PORT = 1234
NOT_RUNNING_CODE = 3


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "color": colours()}
)
@click.version_option(__version__, prog_name="lmstudio-server")
def server() -> None:
    """Run LM Studio's API over llama.cpp, without LM Studio."""


@server.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar=CONFIG_VARIABLE,
    is_eager=True,
    expose_value=False,
    callback=config_option,
    help="TOML file with options; the command line and the environment go before it.",
)
@click.option(
    "--host",
    cls=Setting,
    default="127.0.0.1",
    callback=address,
    show_default=True,
    envvar="LMSTUDIO_SERVER_HOST",
    show_envvar=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    cls=Setting,
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    envvar="LMSTUDIO_SERVER_PORT",
    show_envvar=True,
    help="Port to listen on; 0 lets the system choose.",
)
@click.option("--daemon", is_flag=True, help="Run in the background.")
@click.option("--json", "as_json", is_flag=True, help="Report the start as one line of JSON.")
@click.option(
    "--api-token",
    "api_tokens",
    cls=Setting,
    multiple=True,
    help=f"Accept only clients with this token (repeatable; those of {TOKENS_VARIABLE} count too).",
)
@click.option(
    "--api-token-file",
    cls=Setting,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="LMSTUDIO_SERVER_API_TOKEN_FILE",
    show_envvar=True,
    help="Read accepted tokens from a file, one a line.",
)
@click.option(
    "--models",
    cls=Setting,
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="LMSTUDIO_SERVER_MODELS",
    show_envvar=True,
    help="Folder with GGUF models (repeatable); default: LM Studio's folder.",
)
@click.option(
    "--allow-origin",
    "allowed_origins",
    cls=Setting,
    multiple=True,
    callback=origins,
    envvar="LMSTUDIO_SERVER_ALLOW_ORIGIN",
    show_envvar=True,
    help="Origin of web pages let in (repeatable).",
)
@access_options
@click.option(
    "--idle-timeout",
    cls=Setting,
    type=Seconds(min=0, min_open=True),
    envvar="LMSTUDIO_SERVER_IDLE_TIMEOUT",
    show_envvar=True,
    help="End after idle seconds.",
)
@click.option(
    "--jit-ttl",
    cls=Setting,
    type=Seconds(min=0),
    default=3600.0,
    show_default=True,
    envvar="LMSTUDIO_SERVER_JIT_TTL",
    show_envvar=True,
    help="Unload a model that an HTTP request loaded after idle seconds; 0: never.",
)
@click.option(
    "--jit-models",
    cls=Setting,
    type=click.IntRange(min=0),
    default=0,
    envvar="LMSTUDIO_SERVER_JIT_MODELS",
    show_envvar=True,
    help="Keep at most so many models that were loaded on demand; 0: as many as fit in memory.",
)
@click.option(
    "--shutdown-grace",
    cls=Setting,
    type=Seconds(min=0),
    default=10.0,
    show_default=True,
    envvar="LMSTUDIO_SERVER_SHUTDOWN_GRACE",
    show_envvar=True,
    help="Seconds that predictions may go on when the server ends.",
)
@click.option(
    "--log-level",
    cls=Setting,
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="LMSTUDIO_SERVER_LOG_LEVEL",
    show_envvar=True,
)
def start(
    host: str,
    port: int,
    daemon: bool,
    as_json: bool,
    api_tokens: tuple[str, ...],
    api_token_file: Path | None,
    models: tuple[Path, ...],
    allowed_origins: tuple[str, ...],
    allowed_hosts: tuple[str, ...],
    insecure: bool,
    make_token: bool,
    trust_local: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    idle_timeout: float | None,
    jit_ttl: float,
    jit_models: int,
    shutdown_grace: float,
    log_level: str,
) -> None:
    """Start a server.

    Ctrl-C ends it, unless it runs in the background (--daemon).
    """
    _check_state_dir()
    _refuse_second(port)
    if tls_key is not None and tls_cert is None:
        raise click.UsageError("--tls-key goes with --tls-cert.")
    tokens = tokens_of(api_tokens, api_token_file, make=make_token)
    refuse_open(host, tokens, insecure)
    settings = Settings(
        kind="standalone",
        host=host,
        port=port,
        idle_timeout=idle_timeout,
        models=tuple(str(folder.absolute()) for folder in models) or None,
        allowed_origins=allowed_origins,
        allowed_hosts=allowed_hosts,
        trust_local=trust_local,
        insecure=insecure,
        tls_cert=None if tls_cert is None else str(tls_cert.absolute()),
        tls_key=None if tls_key is None else str(tls_key.absolute()),
        jit_ttl=jit_ttl or None,
        jit_models=jit_models or None,
        shutdown_grace=shutdown_grace,
        log_level=log_level,
        api_tokens=tokens,
        plugins=plugins_of_file(click.get_current_context()),
    )
    if daemon:
        _start_in_background(settings, as_json)
    else:
        sys.exit(_run_in_foreground(settings, as_json))


@server.command()
@click.option("--host", help="host:port of one server, whoever started it.")
@network_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(host: str | None, as_json: bool) -> None:
    """Show the servers that run.

    LM Studio's, too. The exit code is 3 when there is none.
    """
    from lmstudio_cli import in_words, no_answer, server_that_answers
    from lmstudio_core.errors import LMStudioValueError

    _check_state_dir()
    own = [] if host else state.all_running()
    try:
        other = server_that_answers(host)
    except LMStudioValueError as error:  # the host is none
        raise click.UsageError(str(error)) from error
    silent = [] if host else state.silent(own)
    known = {found.state.instance_id for found in own}
    others = [other] if other and other.get("instanceId") not in known else []
    if as_json:
        servers = [*map(_summary, own), *others]
        stuck = [{"pid": found.pid, "address": found.address} for found in silent]
        answer = {"running": bool(servers), "servers": servers, "notAnswering": stuck}
        print_json(answer, indent=None)
    elif missing := None if other else no_answer(host):
        echo(missing)
    elif not own and not others and not silent:
        echo("No lmstudio-server is running. `lmstudio server start` starts one.")
    if not as_json:
        for words in (*(_in_words(_summary(found)) for found in own), *map(in_words, others)):
            echo(words)
        for found in silent:
            echo(_no_answer(found))
    if not own and not others:
        sys.exit(NOT_RUNNING_CODE)


@server.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Stop the server on this port.")
@click.option("--all", "every", is_flag=True, help="Stop every server of this user.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stop(port: int | None, every: bool, as_json: bool) -> None:
    """Stop a running server."""
    _check_state_dir()
    servers = state.all_running()
    chosen = [s for s in servers if port is None or s.state.port == port]
    silent = [s for s in state.silent(servers) if port is None or s.port == port]
    if not chosen and silent:
        raise click.ClickException(
            f"{_no_answer(silent[0])} If it stays so, end process {silent[0].pid}."
        )
    if not chosen:
        nothing = "No lmstudio-server is running" + (f" on port {port}." if port else ".")
        print_json({"stopped": []}, indent=None) if as_json else echo(nothing)
        sys.exit(NOT_RUNNING_CODE)
    if len(chosen) > 1 and not every:
        ports = ", ".join(str(found.state.port) for found in chosen)
        raise click.ClickException(
            f"Several servers are running (ports {ports}). Choose one with --port, or use --all."
        )
    stopped = [_stop(found.state, quiet=as_json) for found in chosen]
    if as_json:
        print_json({"stopped": stopped}, indent=None)


def main() -> None:
    """The ``lmstudio-server`` command."""
    from lmstudio_cli import end_with

    end_with(server, None, "lmstudio-server")


def _stop(target: state.ServerState, *, quiet: bool) -> dict[str, Any]:
    try:
        how = stop_server(target)
    except StopError as error:
        raise click.ClickException(str(error)) from error
    if not quiet:
        echo(f"Stopped lmstudio-server (pid {target.pid}) at {target.address}{how}.")
    return {"pid": target.pid, "address": target.address, "forced": bool(how)}


def _check_state_dir() -> None:
    try:
        state_dir()
    except OSError as error:
        raise click.ClickException(
            f"The folder for the servers' state cannot be used: {in_words(error)}. Set {STATE_DIR_VARIABLE} "
            "to a folder that this user may write to."
        ) from error


def _refuse_second(port: int) -> None:
    first = state.running(f"server-{port}") if port else None
    if first is not None:
        raise click.ClickException(
            f"lmstudio-server already runs at {first.state.address} (pid {first.state.pid}). Use "
            "it, stop it with `lmstudio server stop`, or choose another --port."
        )


def _start_in_background(settings: Settings, as_json: bool) -> None:
    try:
        ready = spawn(settings)
    except (FrozenProgramError, StartError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        print_json(ready, indent=None)
    else:
        echo(f"lmstudio-server (pid {ready['pid']}) listens at {ready['host']}.")


def _run_in_foreground(settings: Settings, as_json: bool) -> int:
    import logging

    from .daemon.background import LOG_FORMAT
    from .daemon.leftovers import clear_leftovers
    from .daemon.run import config_of, run
    from .logs import LineFormatter
    from .serving.server import ListenError

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(LOG_FORMAT, datefmt="%H:%M:%S"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    clear_leftovers()
    config = config_of(settings, is_daemon=False)

    def on_ready(running: RunningServer) -> None:
        pid = os.getpid()
        if as_json:
            print_json({"pid": pid, "host": running.host, "port": running.port}, indent=None)
        echo(f"lmstudio-server listens at {running.host}. Ctrl-C ends it.", err=True)

    try:
        return run(config, kind="standalone", on_ready=on_ready)
    except ListenError as error:
        raise click.ClickException(str(error)) from error


def _summary(found: state.Running) -> dict[str, Any]:
    return {
        "kind": found.state.kind,
        "pid": found.state.pid,
        "address": found.state.address,
        "host": found.state.host,
        "port": found.state.port,
        "version": found.state.version,
        "uptimeSeconds": round(max(0.0, time.time() - found.state.started_at), 1),
        "connections": found.status.get("connections", 0),
        "requiresToken": found.state.requires_token,
        "loadedModels": found.status.get("loadedModels"),
        "log": found.state.log,
        **_way_in(found.state),
    }


def _way_in(found: state.ServerState) -> dict[str, str]:
    """For the owner of a server that was started on demand, who has seen no token of it."""
    if not found.api_token:
        return {}
    page = f"http://{found.address}/#token={found.api_token}"
    return {"apiToken": found.api_token, "page": page}


def _in_words(summary: dict[str, Any]) -> str:
    models = summary["loadedModels"]
    loaded = "not shown without a token" if models is None else ", ".join(models) or "none"
    started = "on demand" if summary["kind"] == "embedded" else "by hand"
    lines = [
        f"lmstudio-server {summary['version']} at {summary['address']}",
        f"  started {started}, pid {summary['pid']}, up {_duration(summary['uptimeSeconds'])}",
        f"  connections: {summary['connections']}",
        f"  loaded models: {loaded}",
    ]
    if summary["log"]:
        lines.append(f"  log: {summary['log']}")
    return "\n".join(lines)


def _no_answer(found: state.ServerState) -> str:
    return (
        f"lmstudio-server (pid {found.pid}) at {found.address} does not answer: it is very busy, or "
        "stuck."
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
