"""The ``system`` namespace: what is installed, and the server itself."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

from lmstudio_server._version import __version__
from lmstudio_server.convert.info import model_info
from lmstudio_server.errors import WireError, unsupported_feature

from . import parameters as p
from .endpoint import ABSENT, Call, Channel, Namespace

__all__ = ["namespace"]

_log = logging.getLogger(__name__)

BUILD = 1

namespace = Namespace("system")


@namespace.rpc("listDownloadedModels")
async def list_downloaded_models(call: Call, _parameter: Any) -> Any:
    """Every model that can be loaded. Broken files are left out and logged."""
    files = await asyncio.to_thread(call.services.library.scan)
    for file in files:
        if file.problem is not None:
            _log.warning("left out of the list: %s: %s", file.file, file.problem)
    return [model_info(file) for file in files if file.problem is None]


@namespace.rpc("listDownloadedModelVariants", p.ModelVariants)
async def list_downloaded_model_variants(call: Call, parameter: p.ModelVariants) -> Any:
    """A model's variants: its quantizations, each with a key of its own."""
    files = await asyncio.to_thread(call.services.library.variants, parameter.model_key)
    return [model_info(file) for file in files if file.problem is None]


@namespace.rpc("version")
async def version(_call: Call, _parameter: Any) -> Any:
    """The version of this server, where LM Studio tells its own."""
    return {"version": __version__, "build": BUILD}


@namespace.rpc("info")
async def info(call: Call, _parameter: Any) -> Any:
    """The process."""
    return {"pid": os.getpid(), "isDaemon": call.services.config.is_daemon, "version": __version__}


@namespace.rpc("notify", p.Notification)
async def notify(_call: Call, parameter: p.Notification) -> Any:
    """Without a screen, a notification goes to the log."""
    text = (
        f"{parameter.title}: {parameter.description}" if parameter.description else parameter.title
    )
    _log.info("notification: %s", text)
    return ABSENT


@namespace.rpc("setExperimentFlag", p.ExperimentFlag)
async def set_experiment_flag(call: Call, parameter: p.ExperimentFlag) -> Any:
    """Remember a flag until the server ends."""
    flags = call.services.experiment_flags
    (flags.add if parameter.value else flags.discard)(parameter.code)
    return ABSENT


@namespace.rpc("getExperimentFlags")
async def get_experiment_flags(call: Call, _parameter: Any) -> Any:
    """The flags that are set."""
    return sorted(call.services.experiment_flags)


@namespace.rpc("startHttpServer", p.StartHttpServer)
async def start_http_server(_call: Call, _parameter: p.StartHttpServer) -> Any:
    """This server has one port, and serves it already."""
    raise _no_second_server()


@namespace.rpc("stopHttpServer")
async def stop_http_server(_call: Call, _parameter: Any) -> Any:
    """Stopping the port alone would leave a server that nobody can reach."""
    raise _no_second_server()


def _no_second_server() -> WireError:
    return unsupported_feature(
        "Starting and stopping a separate HTTP server",
        "lmstudio-server serves one port for as long as it runs; `lmstudio server stop` ends it.",
    )


@namespace.rpc("requestShutdown")
async def request_shutdown(call: Call, _parameter: Any) -> Any:
    """End the server, after this answer."""
    if not call.trusted:
        raise WireError(
            "This client may not shut the server down.",
            cause="It comes from another machine and has shown no API token.",
            suggestion="Run `lmstudio server stop` on the server's machine.",
        )
    _log.info("a client asked for the end of this server")
    call.services.shutdown.set()
    return ABSENT


@namespace.channel("alive", messages=())
async def alive(channel: Channel, _parameter: Any) -> None:
    """Stay open for as long as the server runs; clients watch for its end."""
    await channel.services.shutdown.wait()
