"""What a plugin can do while the server lets it work on a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...runner import AsyncRunner, SyncRunner
from . import operations as ops
from .data import PredictionProcess, TokenSource, ToolCallDecision

__all__ = ["AsyncPredictionController", "PredictionController"]


class PredictionController:
    """A prediction that the server asked a plugin to work on."""

    def __init__(self, process: PredictionProcess, client: SyncRunner) -> None:
        self._process = process
        self._client = client

    def handle_update(self, update: Mapping[str, Any]) -> None:
        """Change what the user sees: blocks, statuses, citations.

        Args:
            update: One of the protocol's ``processingUpdate`` packets, such as
                ``{"type": "contentBlock.appendText", "id": "1", "text": "Hello"}``.
        """
        self._client.run(ops.handle_update(self._process, update))

    def confirm_tool_call(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        plugin_identifier: str | None = None,
    ) -> ToolCallDecision:
        """Ask the user whether a tool may be called; waits for the answer."""
        return self._client.run(
            ops.confirm_tool_call(self._process, call_id, name, parameters, plugin_identifier)
        )

    def request_text(self, prompt: str) -> str:
        """Ask the user for a text; waits for it."""
        return self._client.run(ops.request_text(self._process, prompt))

    def pull_history(self, *, include_current: bool = False) -> dict[str, Any]:
        """The chat so far as plain data (``Chat.from_history`` takes it).

        Args:
            include_current: Whether the message that is being worked on belongs to it.
        """
        return self._client.run(ops.pull_history(self._process, include_current))

    def token_source(self) -> TokenSource:
        """What the user chose to predict with; a model is loaded if it is not yet."""
        return self._client.run(ops.token_source(self._process))

    def has_status(self) -> bool:
        """Whether a status is shown to the user."""
        return self._client.run(ops.has_status(self._process))

    def needs_naming(self) -> bool:
        """Whether the chat has no name yet."""
        return self._client.run(ops.needs_naming(self._process))

    def suggest_name(self, name: str) -> None:
        """Suggest a name for the chat."""
        self._client.run(ops.suggest_name(self._process, name))

    def set_sender_name(self, name: str) -> None:
        """Say who the message is shown to be from."""
        self._client.run(ops.set_sender_name(self._process, name))


class AsyncPredictionController:
    """A prediction that the server asked a plugin to work on, for asyncio."""

    def __init__(self, process: PredictionProcess, client: AsyncRunner) -> None:
        self._process = process
        self._client = client

    async def handle_update(self, update: Mapping[str, Any]) -> None:
        """Change what the user sees: blocks, statuses, citations.

        Args:
            update: One of the protocol's ``processingUpdate`` packets, such as
                ``{"type": "contentBlock.appendText", "id": "1", "text": "Hello"}``.
        """
        await self._client.run(ops.handle_update(self._process, update))

    async def confirm_tool_call(
        self,
        call_id: int,
        name: str,
        parameters: Mapping[str, Any],
        *,
        plugin_identifier: str | None = None,
    ) -> ToolCallDecision:
        """Ask the user whether a tool may be called; waits for the answer."""
        return await self._client.run(
            ops.confirm_tool_call(self._process, call_id, name, parameters, plugin_identifier)
        )

    async def request_text(self, prompt: str) -> str:
        """Ask the user for a text; waits for it."""
        return await self._client.run(ops.request_text(self._process, prompt))

    async def pull_history(self, *, include_current: bool = False) -> dict[str, Any]:
        """The chat so far as plain data (``Chat.from_history`` takes it).

        Args:
            include_current: Whether the message that is being worked on belongs to it.
        """
        return await self._client.run(ops.pull_history(self._process, include_current))

    async def token_source(self) -> TokenSource:
        """What the user chose to predict with; a model is loaded if it is not yet."""
        return await self._client.run(ops.token_source(self._process))

    async def has_status(self) -> bool:
        """Whether a status is shown to the user."""
        return await self._client.run(ops.has_status(self._process))

    async def needs_naming(self) -> bool:
        """Whether the chat has no name yet."""
        return await self._client.run(ops.needs_naming(self._process))

    async def suggest_name(self, name: str) -> None:
        """Suggest a name for the chat."""
        await self._client.run(ops.suggest_name(self._process, name))

    async def set_sender_name(self, name: str) -> None:
        """Say who the message is shown to be from."""
        await self._client.run(ops.set_sender_name(self._process, name))
