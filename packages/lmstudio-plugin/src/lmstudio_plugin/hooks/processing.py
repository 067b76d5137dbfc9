"""The controller of preprocessors and loops: the chat, what users see and say, and who predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from lmstudio_core.config import kv_values
from lmstudio_llm.chat import Chat

from ..data import PluginInfo, PredictionProcess, ToolCallDecision
from ..errors import LMStudioPluginRuntimeError
from ..processing import AsyncPredictionController
from ..token_sources import token_source_handle
from .blocks import ContentBlock, Role, StatusBlock, ToolStatus, told
from .common import (
    HookController,
    StatusStepStatus,
    TGlobalConfigSchema,
    TPluginConfigSchema,
    TPluginRequest,
)
from .tool_sets import EnabledTools
from .updates import Updates

if TYPE_CHECKING:
    from lmstudio_llm.messages import ChatHistoryDataDict

__all__ = ["ProcessingController"]


class ProcessingController(
    HookController[TPluginRequest, TPluginConfigSchema, TGlobalConfigSchema]
):
    """A prediction that the plugin works on.

    What it shows goes out in the order of the calls; nothing of it needs to be awaited.

    Attributes:
        task_id: The task.
        pci: Which prediction it is.
        token: The right to work on it.
    """

    _with_current = False

    def __init__(
        self,
        session: Any,
        request: TPluginRequest,
        plugin_config_schema: type[TPluginConfigSchema],
        global_config_schema: type[TGlobalConfigSchema],
    ) -> None:
        super().__init__(session, request, plugin_config_schema, global_config_schema)
        process = request.process
        if process is None:
            raise LMStudioPluginRuntimeError("The server named no prediction to work on.")
        self.task_id: str | None = request.task_id
        self.pci: str = process.pci
        self.token: str = process.token
        self._process: PredictionProcess = process
        self._updates = Updates(session, process)

    @cached_property
    def _calls(self) -> AsyncPredictionController:
        return AsyncPredictionController(self._process, self.client)

    @property
    def enabled_plugins(self) -> Sequence[PluginInfo]:
        """The plugins that are enabled in this chat."""
        return self.request.enabled_plugin_infos or ()

    def update(self, update: Mapping[str, Any]) -> None:
        """Send one of the protocol's updates as it is."""
        self._updates.put(update)

    async def flush(self) -> None:
        """Wait until the server has all that was shown."""
        await self._updates.flush()

    # -- what users see --------------------------------------------------------------------------

    def status(self, text: str, status: StatusStepStatus = "waiting") -> StatusBlock:
        """A new status."""
        made = StatusBlock(
            self._create_ui_block_id(), self.update, self._create_ui_block_id, status, text
        )
        self._create_status(made.block_id, status, text)
        return made

    def _create_status(self, block_id: str, status: StatusStepStatus, text: str) -> None:
        state = {"status": status, "text": text}
        self.update({"type": "status.create", "id": block_id, "state": state})

    def citation(
        self,
        text: str,
        *,
        file_name: str,
        file_identifier: str,
        page: int | tuple[int, int] | None = None,
        line: int | tuple[int, int] | None = None,
    ) -> None:
        """Say where something is from.

        Args:
            text: The passage.
            file_name: The file's name for users.
            file_identifier: The file's identifier.
            page: A page, or the first and the last.
            line: A line, or the first and the last.
        """
        block_id = self._create_ui_block_id()
        source = told(file_name=file_name, file_identifier=file_identifier)
        place = told(page_number=page, line_number=line)
        cited = {"type": "citationBlock.create", "id": block_id, "citedText": text}
        self.update({**cited, **source, **place})

    def add_citations(self, found: Any) -> None:
        """Cite what a retrieval found: its result, or a list of its entries."""
        for entry in getattr(found, "entries", found):
            source = entry.source
            self.citation(entry.content, file_name=source.name, file_identifier=source.identifier)

    def debug(self, *values: object) -> None:
        """Show something to developers."""
        text = " ".join(value if isinstance(value, str) else repr(value) for value in values)
        block_id = self._create_ui_block_id()
        self.update({"type": "debugInfoBlock.create", "id": block_id, "debugInfo": text})

    def content_block(
        self,
        *,
        role: Role | None = None,
        in_context: bool = True,
        style: Mapping[str, Any] | None = None,
        prefix: str | None = None,
        suffix: str | None = None,
    ) -> ContentBlock:
        """A new message in the chat.

        Args:
            role: Whose message it is; the assistant's by default.
            in_context: Whether the model sees it in later rounds.
            style: How it looks.
            prefix: A text before it, for the model alone.
            suffix: A text after it, for the model alone.
        """
        block_id = self._create_ui_block_id()
        more = told(role_override=role, style=style, prefix=prefix, suffix=suffix)
        base = {"type": "contentBlock.create", "id": block_id, "includeInContext": in_context}
        self.update({**base, **more})
        return ContentBlock(block_id, self.update, role or "assistant")

    def tool_status(self, call_id: int, status: Mapping[str, Any]) -> ToolStatus:
        """What users see of a tool call, beginning with ``status``, such as ``{"type": "callingTool"}``."""
        made = ToolStatus(self._create_ui_block_id(), self.update, status)
        block_id = made.block_id
        kind = "toolStatus.create"
        self.update({"type": kind, "id": block_id, "callId": call_id, "state": made.state})
        return made

    def set_sender_name(self, name: str) -> None:
        """Say who the answer is shown to be from."""
        self.update({"type": "setSenderName", "name": name})

    # -- the chat and its user -------------------------------------------------------------------

    async def pull_history(self) -> Chat:
        """The chat so far; for a loop with the user's newest message, for a preprocessor without."""
        await self.flush()  # what it has shown may be a part of the chat
        history = await self._calls.pull_history(include_current=self._with_current)
        return Chat.from_history(cast("ChatHistoryDataDict", history))

    async def has_status(self) -> bool:
        """Whether a status is shown."""
        await self.flush()
        return await self._calls.has_status()

    async def needs_naming(self) -> bool:
        """Whether the chat has no name yet."""
        return await self._calls.needs_naming()

    async def suggest_name(self, name: str) -> None:
        """Suggest a name for the chat."""
        await self._calls.suggest_name(name)

    async def confirm_tool_call(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        plugin_identifier: str | None = None,
    ) -> ToolCallDecision:
        """Ask the user whether a tool may be called; ``.allowed`` says it."""
        return await self._calls.confirm_tool_call(
            call_id, name, parameters, plugin_identifier=plugin_identifier
        )

    async def request_text(self, prompt: str) -> str:
        """Ask the user for a text."""
        return await self._calls.request_text(prompt)

    # -- who predicts ----------------------------------------------------------------------------

    async def token_source(self) -> Any:
        """What the user chose to predict with: a model, or a generator; both have the chat's settings.

        Returns:
            A handle with ``respond``, ``respond_stream`` and ``act``.
        """
        source = await self._calls.token_source()
        config = kv_values(self.request.config)
        return await token_source_handle(self.client, source, config, self._process)

    def tools(self) -> EnabledTools:
        """The tools of all enabled plugins, for ``async with``; entered, it is what ``act`` takes."""
        names = [info.identifier for info in self.enabled_plugins if info.has_tools_provider]
        return EnabledTools(self.session, names, self._process)
