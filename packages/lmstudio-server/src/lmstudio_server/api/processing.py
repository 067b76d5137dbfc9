"""What a plugin's process asks while it works on a prediction: the ``processing…`` endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmstudio_server.bridge.process import no_process

from . import processing_parameters as pp
from .endpoint import ABSENT, Call, Namespace

if TYPE_CHECKING:
    from lmstudio_server.bridge.host import Plugin
    from lmstudio_server.bridge.process import PredictionProcess

__all__ = ["namespace"]

namespace = Namespace("plugins")


def _process(call: Call, parameter: pp.Processing) -> tuple[Plugin, PredictionProcess]:
    """The process that is named, if whoever asks was asked to work on it.

    Raises:
        WireError: It is none of that client's; whether there is one is not said.
    """
    host = call.services.plugins
    plugin = host.with_credentials(call.client)
    if plugin is None:
        raise no_process()
    return plugin, call.services.processes.find(plugin, parameter.pci, parameter.token)


@namespace.rpc("processingHandleUpdate", pp.HandleUpdate)
async def handle_update(call: Call, parameter: pp.HandleUpdate) -> Any:
    """Show something."""
    plugin, process = _process(call, parameter)
    await process.update(plugin, parameter.update.model_dump(by_alias=True, exclude_none=True))
    return ABSENT


@namespace.rpc("processingHandleRequest", pp.HandleRequest)
async def handle_request(call: Call, parameter: pp.HandleRequest) -> Any:
    """Ask the user."""
    plugin, process = _process(call, parameter)
    asked = parameter.request.model_dump(by_alias=True, exclude_none=True)
    return {"response": await process.ask(plugin.identifier, asked)}


@namespace.rpc("processingPullHistory", pp.PullHistory)
async def pull_history(call: Call, parameter: pp.PullHistory) -> Any:
    """The chat so far."""
    _, process = _process(call, parameter)
    return {"messages": process.history(with_current=parameter.include_current)}


@namespace.rpc("processingGetOrLoadTokenSource", pp.Processing)
async def get_or_load_token_source(call: Call, parameter: pp.Processing) -> Any:
    """What predicts; it was loaded before any plugin was asked."""
    _, process = _process(call, parameter)
    return {"tokenSourceIdentifier": process.source}


@namespace.rpc("processingHasStatus", pp.Processing)
async def has_status(call: Call, parameter: pp.Processing) -> Any:
    """Whether a status is shown."""
    _, process = _process(call, parameter)
    return bool(process.statuses)


@namespace.rpc("processingNeedsNaming", pp.Processing)
async def needs_naming(call: Call, parameter: pp.Processing) -> Any:
    """Whether the chat has no name yet."""
    _, process = _process(call, parameter)
    return process.name is None


@namespace.rpc("processingSuggestName", pp.Named)
async def suggest_name(call: Call, parameter: pp.Named) -> Any:
    """Name the chat, if it has no name."""
    _, process = _process(call, parameter)
    process.name = process.name or parameter.name
    return ABSENT


@namespace.rpc("processingSetSenderName", pp.Named)
async def set_sender_name(call: Call, parameter: pp.Named) -> Any:
    """Say who the answer is shown to be from."""
    plugin, process = _process(call, parameter)
    await process.update(plugin, {"type": "setSenderName", "name": parameter.name})
    return ABSENT
