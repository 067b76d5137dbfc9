"""What goes to and comes from plugins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lmstudio_core.data import InputStruct, ServerStruct

__all__ = [
    "ConfigSchematics",
    "ConfigSchematicsField",
    "GeneratorEvent",
    "GeneratorFragment",
    "GeneratorProgress",
    "GeneratorResult",
    "GeneratorToolCall",
    "HookRequest",
    "PluginCredentials",
    "PluginInfo",
    "PluginManifest",
    "PluginTool",
    "PredictionProcess",
    "TokenSource",
    "ToolCallDecision",
]


# -- what programs write -------------------------------------------------------------------------


class PluginManifest(InputStruct):  # public
    """What a plugin is: the contents of its ``manifest.json``."""

    type: Literal["plugin"] = "plugin"
    runner: Literal["ecmascript", "node", "deno", "mcpBridge"] = "node"
    owner: str
    name: str
    revision: int | None = None
    dependencies: Sequence[Mapping[str, Any]] | None = None
    tags: Sequence[str] | None = None
    sandbox: Mapping[str, Any] | None = None


class ConfigSchematicsField(InputStruct):  # public
    """One setting of a plugin.

    ``type_key`` is ``"numeric"``, ``"string"``, ``"select"``, ``"boolean"``, ``"stringArray"``,
    ``"directory"`` or ``"directoryGroup"``; ``type_params`` are the parameters of that type.
    """

    short_key: str
    full_key: str
    type_key: str
    type_params: Any
    default_value: Any


class ConfigSchematics(InputStruct):  # public
    """The settings of a plugin."""

    fields_: Sequence[ConfigSchematicsField] = ()
    extension_prefixes: Sequence[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The form in which it goes over the wire."""
        wire: dict[str, Any] = {
            # Not by to_dict of the fields: a default value may well be None, and has to be there.
            "fields": [f.model_dump(mode="json", by_alias=True) for f in self.fields_]
        }
        if self.extension_prefixes is not None:
            wire["extensionPrefixes"] = list(self.extension_prefixes)
        return wire


@dataclass(frozen=True)
class PredictionProcess:  # public
    """The prediction that the server asked a plugin to work on, and the right to do so."""

    pci: str
    token: str = field(repr=False)


# -- what servers send ---------------------------------------------------------------------------


@dataclass(frozen=True)
class PluginTool:  # public
    """A tool that a plugin offers; ``parameters`` is a JSON schema of the type ``object``."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class PluginCredentials:  # public
    """As whom a plugin's own process connects to the server."""

    client_identifier: str
    client_passkey: str = field(repr=False)
    base_url: str | None = None
    deno_broker_ipc_path: str | None = None


class GeneratorFragment(ServerStruct):  # public
    """A piece of what a generator wrote."""

    content: str = ""
    tokens_count: int = 0
    contains_drafted: bool = False
    reasoning_type: str = "none"
    is_structural: bool = False


class GeneratorProgress(ServerStruct):  # public
    """How far a generator is with reading the chat: 0.0 to 1.0."""

    progress: float = 0.0


class GeneratorToolCall(ServerStruct):  # public
    """A tool call in the making: what has come of it by now.

    ``step`` is ``"start"``, ``"name"``, ``"arguments"``, ``"end"`` or ``"failed"``. ``content`` is
    the newest piece of the arguments' text; ``request`` is there at the end.
    """

    step: str = ""
    tool_call_id: str | None = None
    name: str | None = None
    content: str | None = None
    request: Mapping[str, Any] | None = None


GeneratorEvent = GeneratorFragment | GeneratorProgress | GeneratorToolCall
"""Whatever a generator's stream gives."""


@dataclass(frozen=True)
class GeneratorResult:  # public
    """All that a generator wrote."""

    content: str
    reasoning_content: str
    non_reasoning_content: str
    tool_call_requests: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        return self.content


class TokenSource(ServerStruct):  # public
    """What a prediction is to be made with: a model's ``identifier``, or a plugin's generator."""

    type: str = ""
    identifier: str | None = None
    plugin_identifier: str | None = None


class ToolCallDecision(ServerStruct):  # public
    """What the user decided of a tool call: ``type`` is ``"allow"`` or ``"deny"``."""

    type: str = ""
    tool_args_override: Mapping[str, Any] | None = None
    deny_reason: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the tool may be called."""
        return self.type == "allow"


class PluginInfo(ServerStruct):  # public
    """A plugin that is enabled in the chat that a request is about, and what it offers."""

    identifier: str = ""
    is_dev: bool = False
    is_trusted: bool = False
    has_prompt_preprocessor: bool = False
    has_prediction_loop_handler: bool = False
    has_tools_provider: bool = False
    has_generator: bool = False


class HookRequest(ServerStruct):  # public
    """What the server asks a plugin to do; further keys are kept as attributes of their names.

    ``type`` says what, such as ``"preprocess"`` or ``"callTool"``. The answer repeats the
    ``task_id``, or the ``session_id`` and ``call_id``. Configs are in the wire's form.
    """

    type: str = ""
    task_id: str | None = None
    session_id: str | None = None
    call_id: str | None = None
    pci: str | None = None
    token: str | None = None
    input: Any = None
    config: Any = None
    plugin_config: Any = None
    global_plugin_config: Any = None
    working_directory_path: str | None = None
    enabled_plugin_infos: Sequence[PluginInfo] | None = None
    tool_definitions: Sequence[Mapping[str, Any]] | None = None
    tool_name: str | None = None
    parameters: Any = None

    @property
    def process(self) -> PredictionProcess | None:
        """The prediction that this is about, for ``client.plugins.processing``."""
        if self.pci is None or self.token is None:
            return None
        return PredictionProcess(self.pci, self.token)

    def __repr__(self) -> str:  # without the token
        return f"HookRequest(type={self.type!r}, task_id={self.task_id!r}, session_id={self.session_id!r})"
