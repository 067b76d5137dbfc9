"""The parameters and messages of the ``plugins`` namespace."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Field

from .parameters import (
    History,
    Int,
    KVConfig,
    Message,
    Optional,
    OptionalBool,
    Parameter,
    Tool,
    ToolCallRequest,
)

__all__ = [
    "CLIENT_MESSAGES",
    "GENERATOR_MESSAGES",
    "PREPROCESSOR_MESSAGES",
    "TASK_MESSAGES",
    "TOOLS_PROVIDER_MESSAGES",
    "ErrorReport",
    "Generate",
    "RegisterPlugin",
    "SetSchematics",
    "StartSession",
]

_OWNER: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
_NAME: Final = r"^[a-z0-9]+([-.][a-z0-9]+)*$"
Messages: TypeAlias = dict[str, type[BaseModel] | None]


class Manifest(Parameter):
    type: Literal["plugin"]
    runner: Literal["ecmascript", "node", "deno", "mcpBridge"]
    owner: Annotated[str, Field(pattern=_OWNER, max_length=100)]
    name: Annotated[str, Field(pattern=_NAME, max_length=100)]


class RegisterPlugin(Parameter):
    manifest: Manifest


class DirectConfig(Parameter):
    type: Literal["direct"]
    config: KVConfig
    working_directory_path: Optional = None


class ProcessConfig(Parameter):
    type: Literal["predictionProcess"]
    pci: str
    token: str


class StartSession(Parameter):
    plugin_identifier: str
    plugin_config_specifier: Annotated[DirectConfig | ProcessConfig, Field(discriminator="type")]


class Generate(StartSession):
    tools: list[Tool]
    history: History


class SchematicsField(Parameter):
    short_key: str
    full_key: str
    type_key: str
    type_params: dict[str, Any]
    default_value: Any


class SerializedSchematics(Parameter):
    fields_: list[SchematicsField] = Field(alias="fields")


class SetSchematics(Parameter):
    schematics: SerializedSchematics


class ErrorReport(Parameter):
    type: Literal["unauthorized", "networkUnavailable"]
    plugin_run_id: str
    server_url: str
    message: str
    unavailable_host: Optional = None


# -- messages on channels ------------------------------------------------------------------------


class _CallTool(Parameter):
    call_id: float
    name: str
    arguments: Any


class _AbortCall(Parameter):
    call_id: float


CLIENT_MESSAGES: Final[Messages] = {
    "callTool": _CallTool,
    "abortToolCall": _AbortCall,
    "discardSession": None,
}


class _Session(Parameter):
    session_id: str


class _SessionReady(_Session):
    tool_definitions: list[Tool]


class _SessionFailed(_Session):
    error: dict[str, Any]


class _SessionCall(_Session):
    call_id: str


class _CallFailed(_SessionCall):
    error: dict[str, Any]


class _CallStatus(_SessionCall):
    status_text: str


class _CallWarning(_SessionCall):
    warn_text: str


TOOLS_PROVIDER_MESSAGES: Final[Messages] = {
    "sessionInitialized": _SessionReady,
    "sessionInitializationFailed": _SessionFailed,
    "toolCallComplete": _SessionCall,
    "toolCallError": _CallFailed,
    "toolCallStatus": _CallStatus,
    "toolCallWarn": _CallWarning,
}


class _Task(Parameter):
    task_id: str


class _TaskFailed(_Task):
    error: dict[str, Any]


TASK_MESSAGES: Final[Messages] = {"complete": _Task, "aborted": _Task, "error": _TaskFailed}


class _UserMessage(Message):
    role: Literal["user"]  # pyright: ignore[reportIncompatibleVariableOverride] # narrower


class _Preprocessed(_Task):
    processed: _UserMessage


PREPROCESSOR_MESSAGES: Final[Messages] = {**TASK_MESSAGES, "complete": _Preprocessed}


class _FragmentOptions(Parameter):
    token_count: Int | None = None
    contains_drafted: OptionalBool = None
    reasoning_type: Literal["none", "reasoning", "reasoningStartTag", "reasoningEndTag"] | None = (
        None
    )
    is_structural: OptionalBool = None
    tokens: list[dict[str, Any]] | None = None


class _Fragment(_Task):
    content: str
    opts: _FragmentOptions


class _CallStarted(_Task):
    tool_call_id: Optional = None


class _CallName(_Task):
    tool_name: str


class _CallArguments(_Task):
    content: str


class _CallEnded(_Task):
    tool_call_request: ToolCallRequest


GENERATOR_MESSAGES: Final[Messages] = {
    **TASK_MESSAGES,
    "fragmentGenerated": _Fragment,
    "toolCallGenerationStarted": _CallStarted,
    "toolCallGenerationNameReceived": _CallName,
    "toolCallGenerationArgumentFragmentGenerated": _CallArguments,
    "toolCallGenerationEnded": _CallEnded,
    "toolCallGenerationFailed": _TaskFailed,
}
