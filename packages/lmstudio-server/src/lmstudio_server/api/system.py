"""The ``system`` namespace: what is installed, and the server itself."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.lenient import error_text
from lmstudio_server._version import __version__
from lmstudio_server.config import is_loopback
from lmstudio_server.convert.info import model_info
from lmstudio_server.errors import WireError

from . import parameters as p
from .endpoint import ABSENT, Call, Channel, Namespace

if TYPE_CHECKING:
    from lmstudio_server.serving.second import SecondPort

__all__ = ["namespace"]

_log = logging.getLogger(__name__)

BUILD = 1

namespace: Final = Namespace("system")


@namespace.rpc("listDownloadedModels")
async def list_downloaded_models(call: Call, _parameter: Any) -> Any:
    """Every model that can be loaded. Broken files are left out; the library logs them."""
    files = await asyncio.to_thread(call.services.library.scan)
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


def _second_port(call: Call) -> SecondPort:
    second = call.services.second_port
    if second is None:
        raise WireError("This server is not listening yet.", suggestion="Try again in a moment.")
    return second


@namespace.rpc("startHttpServer", p.StartHttpServer)
async def start_http_server(call: Call, parameter: p.StartHttpServer) -> Any:
    """Serve everything on one more port. The server's own port is open anyway."""
    _require_trust(call, "open a port")
    second, port = _second_port(call), parameter.port
    config = call.services.config
    beyond = not is_loopback(parameter.network_interface or "127.0.0.1")
    if beyond and not call.services.authenticator.requires_token and not config.insecure:
        raise WireError(
            "The HTTP server was not started: other machines could use it without a token.",
            suggestion="Start lmstudio-server with --api-token, or with --insecure if that is meant.",
        )
    try:
        await second.start(port, parameter.network_interface, cors=parameter.cors is True)
    except OSError as error:
        raise WireError(
            "The HTTP server could not be started.",
            cause=error_text(error),
            suggestion="Choose another port or interface.",
        ) from error
    return ABSENT


@namespace.rpc("stopHttpServer")
async def stop_http_server(call: Call, _parameter: Any) -> Any:
    """Close the port that ``startHttpServer`` opened."""
    _require_trust(call, "close a port")
    if not _second_port(call).stop():
        raise WireError(
            "No HTTP server was started besides lmstudio-server's own.",
            cause="Its own port is open for as long as it runs.",
            suggestion="`lmstudio server stop` ends it.",
        )
    return ABSENT


def _require_trust(call: Call, what: str) -> None:
    if not call.trusted:
        raise WireError(
            f"This client may not {what}.",
            cause="It comes from another machine and has shown no API token.",
            suggestion="Do it on the server's machine.",
        )


@namespace.rpc("requestShutdown")
async def request_shutdown(call: Call, _parameter: Any) -> Any:
    """End the server, after this answer."""
    _require_trust(call, "shut the server down")
    _log.info("a client asked for the end of this server")
    call.services.shutdown.set()
    return ABSENT


@namespace.channel("alive", messages=())
async def alive(channel: Channel, _parameter: Any) -> None:
    """Stay open for as long as the server runs; clients watch for its end."""
    await channel.services.shutdown.wait()
