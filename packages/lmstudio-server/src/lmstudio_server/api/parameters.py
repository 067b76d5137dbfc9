"""The parameters of endpoints, checked as strictly as LM Studio checks them.

Unknown keys are dropped. An optional key may be left out but is not allowed to be null, unless
the protocol says so (``Nullable``).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = [
    "ApplyTemplate",
    "CompleteRawText",
    "EmbedString",
    "EstimateUsage",
    "ExperimentFlag",
    "FileIdentifier",
    "GetBaseConfig",
    "GetInfo",
    "GetLoadConfig",
    "GetOrLoad",
    "History",
    "KVConfig",
    "KVStack",
    "LoadModel",
    "Message",
    "ModelVariants",
    "Notification",
    "ParseDocument",
    "ParserId",
    "Part",
    "Predict",
    "PreloadDraft",
    "Query",
    "Retrieve",
    "Specifier",
    "StartHttpServer",
    "TokenizeText",
    "Tool",
    "ToolCallRequest",
    "Unload",
    "UploadFile",
    "UseLocalFile",
]


def _whole(value: Any) -> Any:
    # JSON has one kind of number: 5.0 is an integer there.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def given(value: Any) -> Any:
    if value is None:
        raise ValueError("null is not allowed here; leave the key out")
    return value


class Parameter(BaseModel):
    """Base of all parameters: camelCase on the wire, no conversions, unknown keys dropped."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel,
        strict=True,
        extra="ignore",
        protected_namespaces=(),
        # Built when first used: there are many, and a server has to start quickly.
        defer_build=True,
    )


Int: TypeAlias = Annotated[int, BeforeValidator(_whole)]
Optional: TypeAlias = Annotated[str | None, BeforeValidator(given)]
OptionalMs: TypeAlias = Annotated[
    int | None, Field(ge=1), BeforeValidator(_whole), BeforeValidator(given)
]
OptionalBool: TypeAlias = Annotated[bool | None, BeforeValidator(given)]
Nullable: TypeAlias = str | None
Key: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")
]
OptionalKey: TypeAlias = Annotated[Key | None, BeforeValidator(given)]


class KVField(Parameter):
    key: str
    value: Any = None


class KVConfig(Parameter):
    fields_: list[KVField] = Field(alias="fields")


class KVLayer(Parameter):
    layer_name: str
    config: KVConfig


class KVStack(Parameter):
    layers: list[KVLayer]


class Query(Parameter):
    domain: Optional = None
    device_identifier: Nullable = None
    identifier: OptionalKey = None
    path: OptionalKey = None
    vision: OptionalBool = None


class QuerySpecifier(Parameter):
    type: Literal["query"]
    query: Query


class InstanceSpecifier(Parameter):
    type: Literal["instanceReference"]
    instance_reference: str


Specifier: TypeAlias = Annotated[QuerySpecifier | InstanceSpecifier, Field(discriminator="type")]


class ToolCallRequest(Parameter):
    type: Literal["function"]
    name: str
    id: Optional = None
    arguments: Annotated[dict[str, Any] | None, BeforeValidator(given)] = None


class TextPart(Parameter):
    type: Literal["text"]
    text: str


class FilePart(Parameter):
    type: Literal["file"]
    name: str
    identifier: str
    size_bytes: Int
    file_type: Literal[
        "image", "text/plain", "application/pdf", "application/word", "text/other", "unknown"
    ]


class CallPart(Parameter):
    type: Literal["toolCallRequest"]
    tool_call_request: ToolCallRequest


class ResultPart(Parameter):
    type: Literal["toolCallResult"]
    content: str
    tool_call_id: Optional = None
    name: Optional = None


Part: TypeAlias = Annotated[
    TextPart | FilePart | CallPart | ResultPart, Field(discriminator="type")
]


class Message(Parameter):
    role: Literal["system", "user", "assistant", "tool"]
    content: list[Part]


class History(Parameter):
    messages: list[Message]


class ToolParameters(Parameter):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True)
    type: Literal["object"]
    properties: dict[str, Any]
    required: Annotated[list[str] | None, BeforeValidator(given)] = None
    additionalProperties: Any = None  # noqa: N815 - JSON schema's own name
    defs: Annotated[dict[str, Any] | None, BeforeValidator(given)] = Field(None, alias="$defs")


class Function(Parameter):
    name: str
    description: Optional = None
    parameters: Annotated[ToolParameters | None, BeforeValidator(given)] = None


class Tool(Parameter):
    type: Literal["function"]
    function: Function


class LoadModel(Parameter):
    model_key: Key
    identifier: OptionalKey = None
    device_identifier: Nullable = None
    ttl_ms: OptionalMs = None
    load_config_stack: KVStack


class GetOrLoad(Parameter):
    identifier: str
    device_identifier: Nullable = None
    load_ttl_ms: OptionalMs = None
    load_config_stack: KVStack


class Unload(Parameter):
    identifier: str
    device_identifier: Nullable = None


class GetInfo(Parameter):
    specifier: Specifier
    throw_if_not_found: bool


class GetLoadConfig(Parameter):
    specifier: Specifier


class GetBaseConfig(Parameter):
    specifier: Specifier
    ignore_server_session_config: OptionalBool = None


class TokenizeText(Parameter):
    specifier: Specifier
    input_string: str


class EmbedString(Parameter):
    model_specifier: Specifier
    input_string: str


class PreloadDraft(Parameter):
    specifier: Specifier
    draft_model_key: str


class EstimateUsage(Parameter):
    model_key: str
    load_config_stack: KVStack
    device_identifier: Nullable = None


class TemplateOptions(Parameter):
    omit_bos_token: OptionalBool = None
    omit_eos_token: OptionalBool = None
    tool_definitions: Annotated[list[Tool] | None, BeforeValidator(given)] = None


class ApplyTemplate(Parameter):
    specifier: Specifier
    history: History
    prediction_config_stack: KVStack
    opts: TemplateOptions


class _Prediction(Parameter):
    model_specifier: Specifier
    prediction_config_stack: KVStack
    fuzzy_preset_identifier: Optional = None
    ignore_server_session_config: OptionalBool = None


class Predict(_Prediction):
    history: History


class CompleteRawText(_Prediction):
    raw_prompt: str


class ModelVariants(Parameter):
    model_key: str


class Notification(Parameter):
    title: str
    description: Optional = None
    no_auto_dismiss: OptionalBool = None


class ExperimentFlag(Parameter):
    code: str
    value: bool


class StartHttpServer(Parameter):
    port: Annotated[OptionalMs, Field(le=65535)] = None
    cors: OptionalBool = None
    network_interface: Optional = None


class UploadFile(Parameter):
    name: str
    content_base64: str


class UseLocalFile(Parameter):
    file_name: str


class FileIdentifier(Parameter):
    file_identifier: str


class ParserId(Parameter):
    library: str
    version: str


class ParseOptions(Parameter):
    parser_id: Annotated[ParserId | None, BeforeValidator(given)] = None


class ParseDocument(Parameter):
    file_identifier: str
    parse_opts: ParseOptions


class Retrieve(Parameter):
    query: str
    file_identifiers: list[str]
    config: KVConfig
