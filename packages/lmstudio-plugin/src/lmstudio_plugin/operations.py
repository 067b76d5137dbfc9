"""The plugins' calls, and the channels on which a plugin is asked to do its work; without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast

from lmstudio_core.config import kv_config
from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import as_mapping
from lmstudio_core.protocol.operations import VOID, Call, Channel, Endpoint

from .data import ConfigSchematics, HookRequest, PredictionProcess, TokenSource, ToolCallDecision

__all__ = [
    "HOOKS",
    "HookChannel",
    "HookName",
    "config_specifier",
    "confirm_tool_call",
    "handle_update",
    "has_status",
    "needs_naming",
    "plugin_init_completed",
    "plugin_text",
    "pull_history",
    "reindex",
    "report_error",
    "request_text",
    "set_config_schematics",
    "set_sender_name",
    "suggest_name",
    "token_source",
]

HookName = Literal["promptPreprocessor", "predictionLoopHandler", "toolsProvider", "generator"]

HOOKS: Final[Mapping[str, Endpoint]] = {
    "promptPreprocessor": Endpoint("plugins", "setPromptPreprocessor", "channel"),
    "predictionLoopHandler": Endpoint("plugins", "setPredictionLoopHandler", "channel"),
    "toolsProvider": Endpoint("plugins", "setToolsProvider", "channel"),
    "generator": Endpoint("plugins", "setGenerator", "channel"),
}
"""What a plugin can do for the server."""


def _endpoint(name: str) -> Endpoint:
    return Endpoint("plugins", name)


def _nothing(_: Any) -> None:
    return None


def plugin_text(what: str, value: object) -> str:
    """``value`` if it is a string with something in it.

    Raises:
        LMStudioValueError: It is not.
    """
    if not isinstance(value, str) or not value:
        raise LMStudioValueError(f"{what} must be a string that is not empty.")
    return value


def config_specifier(
    config: Mapping[str, Any] | None,
    working_directory: str | None,
    process: PredictionProcess | None,
) -> dict[str, Any]:
    """Where the plugin takes its settings from: those given, or those of a prediction."""
    if process is None:
        wire: dict[str, Any] = {"type": "direct", "config": kv_config(config or {})}
        if working_directory is not None:
            wire["workingDirectoryPath"] = plugin_text("working_directory", working_directory)
        return wire
    if config is not None or working_directory is not None:
        raise LMStudioValueError(
            "With process=, the plugin takes its settings from that prediction: leave out config "
            "and working_directory."
        )
    return {"type": "predictionProcess", **_process(process)}


# -- any program ---------------------------------------------------------------------------------


def reindex() -> Call[None]:
    """Look for plugins again."""
    return Call(_endpoint("reindexPlugins"), VOID, _nothing)


# -- a plugin's own process ----------------------------------------------------------------------


def set_config_schematics(
    schematics: ConfigSchematics | Mapping[str, Any], *, for_all_chats: bool
) -> Call[None]:
    """Tell which settings the plugin has."""
    given: object = schematics
    wire = given.to_dict() if isinstance(given, ConfigSchematics) else dict(as_mapping(given))
    if "fields" not in wire:
        raise LMStudioValueError("schematics is a ConfigSchematics, or a dict with 'fields'.")
    name = "setGlobalConfigSchematics" if for_all_chats else "setConfigSchematics"
    return Call(_endpoint(name), {"schematics": wire}, _nothing)


def plugin_init_completed() -> Call[None]:
    """Tell that the plugin is ready."""
    return Call(_endpoint("pluginInitCompleted"), VOID, _nothing)


def report_error(
    kind: str, plugin_run_id: str, server_url: str, message: str, unavailable_host: str | None
) -> Call[None]:
    """Tell of an error that the user can do something about."""
    if kind not in ("unauthorized", "networkUnavailable"):
        raise LMStudioValueError(f"kind is 'unauthorized' or 'networkUnavailable', not {kind!r}.")
    parameter = {
        "type": kind,
        "pluginRunId": plugin_text("plugin_run_id", plugin_run_id),
        "serverUrl": server_url,
        "message": message,
    }
    if unavailable_host is not None:
        parameter["unavailableHost"] = unavailable_host
    return Call(_endpoint("reportError"), parameter, _nothing)


class HookChannel(Channel[HookRequest, None]):
    """What the server asks of a plugin, as long as both sides like."""

    cancel_message: Mapping[str, Any] | None = None  # the server knows no such packet
    patient = True  # nobody may want anything for days

    def __init__(self, hook: str) -> None:
        if hook not in HOOKS:
            raise LMStudioValueError(f"hook is one of {', '.join(HOOKS)}, not {hook!r}.")
        self.endpoint: Endpoint = HOOKS[hook]

    def feed(self, message: Any) -> Sequence[HookRequest]:
        """Take one packet; see ``Channel.feed``."""
        packet = as_mapping(message)
        return (HookRequest.from_dict(packet),) if packet.get("type") else ()

    def result(self) -> None:
        """What it came to; see ``Channel.result``."""

    def on_close(self) -> None:
        """The server needs the plugin no longer; that is no error."""


# -- a prediction that a plugin works on ---------------------------------------------------------


def _process(process: object) -> dict[str, Any]:
    if not isinstance(process, PredictionProcess):
        raise LMStudioValueError(
            f"process is the PredictionProcess of a request, not {type(process).__name__}."
        )
    return {"pci": process.pci, "token": process.token}


def handle_update(process: PredictionProcess, update: Mapping[str, Any]) -> Call[None]:
    """Change what the user sees of the prediction."""
    wire = dict(as_mapping(cast("object", update)))
    plugin_text("update['type']", wire.get("type"))
    parameter = {**_process(process), "update": wire}
    return Call(_endpoint("processingHandleUpdate"), parameter, _nothing)


def _request(process: PredictionProcess, request: Mapping[str, Any]) -> dict[str, Any]:
    return {**_process(process), "request": request}


def confirm_tool_call(
    process: PredictionProcess,
    call_id: int,
    name: str,
    parameters: Mapping[str, Any],
    plugin_identifier: str | None,
) -> Call[ToolCallDecision]:
    """Ask the user whether a tool may be called."""
    request: dict[str, Any] = {
        "type": "confirmToolCall",
        "callId": call_id,
        "name": plugin_text("name", name),
        "parameters": dict(parameters),
    }
    if plugin_identifier is not None:
        request["pluginIdentifier"] = plugin_identifier

    def decode(raw: Any) -> ToolCallDecision:
        return ToolCallDecision.from_dict(as_mapping(as_mapping(raw["response"]).get("result")))

    return Call(_endpoint("processingHandleRequest"), _request(process, request), decode)


def request_text(process: PredictionProcess, prompt: str) -> Call[str]:
    """Ask the user for a text."""
    request = {"type": "textInput", "prompt": plugin_text("prompt", prompt)}

    def decode(raw: Any) -> str:
        return str(as_mapping(raw["response"]).get("result", ""))

    return Call(_endpoint("processingHandleRequest"), _request(process, request), decode)


def pull_history(process: PredictionProcess, include_current: bool) -> Call[dict[str, Any]]:
    """The chat so far, as plain data."""

    def decode(raw: Any) -> dict[str, Any]:
        return dict(as_mapping(raw))

    parameter = {**_process(process), "includeCurrent": bool(include_current)}
    return Call(_endpoint("processingPullHistory"), parameter, decode)


def token_source(process: PredictionProcess) -> Call[TokenSource]:
    """What the user chose to predict with; a model is loaded if it is not yet."""

    def decode(raw: Any) -> TokenSource:
        return TokenSource.from_dict(as_mapping(raw["tokenSourceIdentifier"]))

    return Call(_endpoint("processingGetOrLoadTokenSource"), _process(process), decode)


def has_status(process: PredictionProcess) -> Call[bool]:
    """Whether a status is shown."""
    return Call(_endpoint("processingHasStatus"), _process(process), bool)


def needs_naming(process: PredictionProcess) -> Call[bool]:
    """Whether the chat has no name yet."""
    return Call(_endpoint("processingNeedsNaming"), _process(process), bool)


def suggest_name(process: PredictionProcess, name: str) -> Call[None]:
    """Suggest a name for the chat."""
    parameter = {**_process(process), "name": plugin_text("name", name)}
    return Call(_endpoint("processingSuggestName"), parameter, _nothing)


def set_sender_name(process: PredictionProcess, name: str) -> Call[None]:
    """Say who the message is shown to be from."""
    parameter = {**_process(process), "name": plugin_text("name", name)}
    return Call(_endpoint("processingSetSenderName"), parameter, _nothing)
