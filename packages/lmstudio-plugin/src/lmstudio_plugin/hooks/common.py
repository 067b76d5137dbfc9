"""What the controllers of all hooks have: settings, folder, session, and blocks that show a status."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ..config_schemas import BaseConfigSchema
from ..data import HookRequest
from ..errors import LMStudioPluginRuntimeError
from ..facade import AsyncPluginsNamespace

__all__ = [
    "HookController",
    "PluginRequest",
    "ServerRequestError",
    "StatusBlockController",
    "StatusStepStatus",
    "StatusUpdateCallback",
    "TConfig",
    "TGlobalConfigSchema",
    "TPluginConfigSchema",
    "TPluginRequest",
]

_AsyncSessionPlugins = AsyncPluginsNamespace
StatusStepStatus = Literal["waiting", "loading", "done", "error", "canceled"]
StatusUpdateCallback = Callable[[str, StatusStepStatus, str], Any]

PluginRequest = HookRequest
TPluginRequest = TypeVar("TPluginRequest", bound=HookRequest)
# Not bound to BaseConfigSchema: a PluginConfig serves as well.
TPluginConfigSchema = TypeVar("TPluginConfigSchema")
TGlobalConfigSchema = TypeVar("TGlobalConfigSchema")
TConfig = TypeVar("TConfig")

_numbers = itertools.count(1)
_RUN = secrets.token_hex(6)


class ServerRequestError(LMStudioPluginRuntimeError):
    """The server asked for something that this plugin cannot do."""


class HookController(Generic[TPluginRequest, TPluginConfigSchema, TGlobalConfigSchema]):
    """What a hook is given beside its input.

    Attributes:
        session: ``client.plugins`` of the plugin's own client; ``session.client`` is that client.
        request: What the server asks, with snake_case fields.
        plugin_config: The settings of this chat.
        global_config: The settings for all chats.
        working_path: The folder that belongs to the chat, if there is one.
    """

    def __init__(
        self,
        session: Any,
        request: TPluginRequest,
        plugin_config_schema: type[TPluginConfigSchema],
        global_config_schema: type[TGlobalConfigSchema],
    ) -> None:
        self.session = session
        self.request = request
        self.plugin_config = self._parse_config(request.plugin_config, plugin_config_schema)
        self.global_config = self._parse_config(request.global_plugin_config, global_config_schema)
        folder = request.working_directory_path
        self.working_path: Path | None = Path(folder) if folder else None

    @property
    def client(self) -> Any:
        """The plugin's client: models, files and all else of the server."""
        return self.session.client

    @classmethod
    def _parse_config(cls, config: Any, schema: type[TConfig] | None) -> TConfig:
        chosen: Any = schema or BaseConfigSchema
        parsed: TConfig = chosen._parse(config)  # noqa: SLF001 - the official name
        return parsed

    @classmethod
    def _create_ui_block_id(cls) -> str:
        """An id that no other block has; it tells nothing."""
        return f"{_RUN}-{next(_numbers)}"


class StatusBlockController:
    """A status that users see, changed in its place."""

    def __init__(self, block_id: str, update_ui: StatusUpdateCallback) -> None:
        self._id = block_id
        self._update_ui = update_ui

    @property
    def block_id(self) -> str:
        """The id that its updates name."""
        return self._id

    async def notify_waiting(self, message: str) -> None:
        """Show that it waits."""
        await self._update_ui(self._id, "waiting", message)

    async def notify_working(self, message: str) -> None:
        """Show that it works."""
        await self._update_ui(self._id, "loading", message)

    async def notify_error(self, message: str) -> None:
        """Show that it failed."""
        await self._update_ui(self._id, "error", message)

    async def notify_canceled(self, message: str) -> None:
        """Show that it was cancelled."""
        await self._update_ui(self._id, "canceled", message)

    async def notify_done(self, message: str) -> None:
        """Show that it is done."""
        await self._update_ui(self._id, "done", message)

    @asynccontextmanager
    async def notify_aborted(self, message: str) -> AsyncGenerator[None, None]:
        """Show ``message`` if the block below is cancelled, as an abort by the user does.

        Example:
            >>> async with status.notify_aborted("Stopped"):  # doctest: +SKIP
            ...     await work()
        """
        try:
            yield
        except asyncio.CancelledError:
            # In a task of its own, which the cancellation does not reach; nobody waits long for it.
            told = asyncio.ensure_future(self.notify_canceled(message))
            with suppress(asyncio.CancelledError):
                await asyncio.wait({told}, timeout=0.2)
            raise
