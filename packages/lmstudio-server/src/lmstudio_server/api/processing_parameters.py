"""The parameters of the ``processing…`` endpoints: the nineteen updates and the two requests."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from .parameters import Int, Optional, OptionalBool, Parameter

__all__ = ["HandleRequest", "HandleUpdate", "Named", "Processing", "PullHistory"]


class Processing(Parameter):
    """What every ``processing…`` endpoint takes: the prediction, and the right to work on it."""

    pci: str
    token: str


class PullHistory(Processing):
    include_current: bool


class Named(Processing):
    name: str


class _StatusState(Parameter):
    status: Literal["waiting", "loading", "done", "error", "canceled"]
    text: str


class _Location(Parameter):
    type: Literal["beforeId", "afterId"]
    id: str


class _Update(Parameter):
    id: str


class _StatusCreate(_Update):
    type: Literal["status.create"]
    state: _StatusState
    location: _Location | None = None
    indentation: Int | None = None


class _StatusUpdate(_Update):
    type: Literal["status.update"]
    state: _StatusState


class _StatusRemove(_Update):
    type: Literal["status.remove"]


class _Citation(_Update):
    type: Literal["citationBlock.create"]
    cited_text: str
    file_name: str
    file_identifier: str
    page_number: Any = None
    line_number: Any = None


class _DebugInfo(_Update):
    type: Literal["debugInfoBlock.create"]
    debug_info: str


class _ContentCreate(_Update):
    type: Literal["contentBlock.create"]
    include_in_context: bool
    role_override: Literal["user", "assistant", "system", "tool"] | None = None
    style: dict[str, Any] | None = None
    prefix: Optional = None
    suffix: Optional = None


class _AppendText(_Update):
    type: Literal["contentBlock.appendText"]
    text: str
    tokens_count: Int | None = None
    from_draft_model: OptionalBool = None
    is_structural: OptionalBool = None


class _ReplaceText(_Update):
    type: Literal["contentBlock.replaceText"]
    text: str


class _ToolRequest(_Update):
    type: Literal["contentBlock.appendToolRequest", "contentBlock.replaceToolRequest"]
    call_id: Int
    tool_call_request_id: Optional = None
    name: str
    parameters: dict[str, Any]
    plugin_identifier: Optional = None


class _ToolResult(_Update):
    type: Literal["contentBlock.appendToolResult"]
    call_id: Int
    tool_call_request_id: Optional = None
    content: str
    name: Optional = None


class _SetPrefix(_Update):
    type: Literal["contentBlock.setPrefix"]
    prefix: str


class _SetSuffix(_Update):
    type: Literal["contentBlock.setSuffix"]
    suffix: str


class _SetStyle(_Update):
    type: Literal["contentBlock.setStyle"]
    style: dict[str, Any]


class _AttachInfo(_Update):
    type: Literal["contentBlock.attachGenInfo"]
    gen_info: dict[str, Any]


class _ToolState(Parameter):
    status: dict[str, Any]
    custom_status: str
    custom_warnings: list[str]


class _ToolStatusCreate(_Update):
    type: Literal["toolStatus.create"]
    call_id: Int
    state: _ToolState


class _ToolStatusUpdate(_Update):
    type: Literal["toolStatus.update"]
    state: _ToolState


class _ToolArguments(_Update):
    type: Literal["toolStatus.argumentFragment"]
    content: str


class _SenderName(Parameter):
    type: Literal["setSenderName"]
    name: str


class HandleUpdate(Processing):
    update: Annotated[
        _StatusCreate
        | _StatusUpdate
        | _StatusRemove
        | _Citation
        | _DebugInfo
        | _ContentCreate
        | _AppendText
        | _ReplaceText
        | _ToolRequest
        | _ToolResult
        | _SetPrefix
        | _SetSuffix
        | _SetStyle
        | _AttachInfo
        | _ToolStatusCreate
        | _ToolStatusUpdate
        | _ToolArguments
        | _SenderName,
        Field(discriminator="type"),
    ]


class _Confirm(Parameter):
    type: Literal["confirmToolCall"]
    call_id: Int
    plugin_identifier: Optional = None
    name: str
    parameters: dict[str, Any]


class _TextInput(Parameter):
    type: Literal["textInput"]
    prompt: str


class HandleRequest(Processing):
    request: Annotated[_Confirm | _TextInput, Field(discriminator="type")]
