"""What a plugin can do while the server lets it work on a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import Unpack

from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.runner import AsyncRunner, SyncRunner
from lmstudio_core.timeouts import CallLimits

from . import operations as ops
from .data import PredictionProcess, TokenSource, ToolCallDecision


class PredictionController(Short):  # public
    """A prediction that the server asked a plugin to work on."""

    def __init__(self, process: PredictionProcess, client: SyncRunner) -> None:
        self._process = process
        self._client = client

    def handle_update(self, update: Mapping[str, Any], **limits: Unpack[CallLimits]) -> None:
        """Change what the user sees: blocks, statuses, citations.

        Args:
            update: One of the protocol's ``processingUpdate`` packets, such as
                ``{"type": "contentBlock.appendText", "id": "1", "text": "Hello"}``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        self._client.run(ops.handle_update(self._process, update), **limits)

    def confirm_tool_call(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        plugin_identifier: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> ToolCallDecision:
        """Ask the user whether a tool may be called; waits for the answer."""
        return self._client.run(
            ops.confirm_tool_call(self._process, call_id, name, parameters, plugin_identifier),
            **limits,
        )

    def request_text(self, prompt: str, **limits: Unpack[CallLimits]) -> str:
        """Ask the user for a text; waits for it."""
        return self._client.run(ops.request_text(self._process, prompt), **limits)

    def pull_history(
        self, *, include_current: bool = False, **limits: Unpack[CallLimits]
    ) -> dict[str, Any]:
        """The chat so far as plain data (``Chat.from_history`` takes it).

        Args:
            include_current: Whether the message that is being worked on belongs to it.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return self._client.run(ops.pull_history(self._process, include_current), **limits)

    def token_source(self, **limits: Unpack[CallLimits]) -> TokenSource:
        """What the user chose to predict with; a model is loaded if it is not yet."""
        return self._client.run(ops.token_source(self._process), **limits)

    def has_status(self, **limits: Unpack[CallLimits]) -> bool:
        """Whether a status is shown to the user."""
        return self._client.run(ops.has_status(self._process), **limits)

    def needs_naming(self, **limits: Unpack[CallLimits]) -> bool:
        """Whether the chat has no name yet."""
        return self._client.run(ops.needs_naming(self._process), **limits)

    def suggest_name(self, name: str, **limits: Unpack[CallLimits]) -> None:
        """Suggest a name for the chat."""
        self._client.run(ops.suggest_name(self._process, name), **limits)

    def set_sender_name(self, name: str, **limits: Unpack[CallLimits]) -> None:
        """Say who the message is shown to be from."""
        self._client.run(ops.set_sender_name(self._process, name), **limits)


class AsyncPredictionController(Short):  # public
    """A prediction that the server asked a plugin to work on, for asyncio."""

    def __init__(self, process: PredictionProcess, client: AsyncRunner) -> None:
        self._process = process
        self._client = client

    async def handle_update(self, update: Mapping[str, Any], **limits: Unpack[CallLimits]) -> None:
        """Change what the user sees: blocks, statuses, citations.

        Args:
            update: One of the protocol's ``processingUpdate`` packets, such as
                ``{"type": "contentBlock.appendText", "id": "1", "text": "Hello"}``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(ops.handle_update(self._process, update), **limits)

    async def confirm_tool_call(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        plugin_identifier: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> ToolCallDecision:
        """Ask the user whether a tool may be called; waits for the answer."""
        return await self._client.run(
            ops.confirm_tool_call(self._process, call_id, name, parameters, plugin_identifier),
            **limits,
        )

    async def request_text(self, prompt: str, **limits: Unpack[CallLimits]) -> str:
        """Ask the user for a text; waits for it."""
        return await self._client.run(ops.request_text(self._process, prompt), **limits)

    async def pull_history(
        self, *, include_current: bool = False, **limits: Unpack[CallLimits]
    ) -> dict[str, Any]:
        """The chat so far as plain data (``Chat.from_history`` takes it).

        Args:
            include_current: Whether the message that is being worked on belongs to it.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return await self._client.run(ops.pull_history(self._process, include_current), **limits)

    async def token_source(self, **limits: Unpack[CallLimits]) -> TokenSource:
        """What the user chose to predict with; a model is loaded if it is not yet."""
        return await self._client.run(ops.token_source(self._process), **limits)

    async def has_status(self, **limits: Unpack[CallLimits]) -> bool:
        """Whether a status is shown to the user."""
        return await self._client.run(ops.has_status(self._process), **limits)

    async def needs_naming(self, **limits: Unpack[CallLimits]) -> bool:
        """Whether the chat has no name yet."""
        return await self._client.run(ops.needs_naming(self._process), **limits)

    async def suggest_name(self, name: str, **limits: Unpack[CallLimits]) -> None:
        """Suggest a name for the chat."""
        await self._client.run(ops.suggest_name(self._process, name), **limits)

    async def set_sender_name(self, name: str, **limits: Unpack[CallLimits]) -> None:
        """Say who the message is shown to be from."""
        await self._client.run(ops.set_sender_name(self._process, name), **limits)
