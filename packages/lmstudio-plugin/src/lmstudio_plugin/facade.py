"""``client.plugins`` of both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import Unpack

from lmstudio_core.client.namespace import AsyncNamespace, SyncNamespace
from lmstudio_core.timeouts import CallLimits

from . import operations as ops
from .data import (
    ConfigSchematics,
    GeneratorFragment,
    GeneratorResult,
    PluginManifest,
    PredictionProcess,
)
from .development import (
    AsyncDevelopmentPlugin,
    AsyncHookStream,
    DevelopmentChannel,
    DevelopmentPlugin,
    HookStream,
)
from .generation import AsyncGeneratorStream, GeneratorChannel, GeneratorStream
from .operations import HookName
from .processing import AsyncPredictionController, PredictionController
from .sessions import AsyncToolUseSession, ToolUseSession
from .tool_calls import ToolSessionChannel

if TYPE_CHECKING:
    from .token_sources import AsyncGenerator, Generator


class PluginsNamespace(SyncNamespace):  # public
    """LM Studio plugins: their tools and generators, and what a plugin itself asks the server."""

    server_namespace = "plugins"

    def reindex_plugins(self, **limits: Unpack[CallLimits]) -> None:
        """Let the server look for installed plugins again."""
        self._client.run(ops.reindex(), **limits)

    def start_tool_use_session(
        self,
        plugin_identifier: str,
        *,
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        **limits: Unpack[CallLimits],
    ) -> ToolUseSession:
        """Use the tools of an installed plugin.

        Args:
            plugin_identifier: Which plugin, as ``"owner/name"``.
            config: The plugin's settings: key to value.
            working_directory: A folder on the server's machine that the plugin may work in.
            process: For plugins that use another one's tools: the prediction whose settings hold.
            **limits: ``timeout`` and ``idle_timeout``, in seconds, for the session's start; its
                calls take limits of their own.

        Returns:
            The session, for a ``with`` statement; its ``tools`` are what ``model.act`` takes.

        Raises:
            LMStudioServerError: There is no such plugin, or it does not start.

        Example:
            >>> with client.plugins.start_tool_use_session(  # doctest: +SKIP
            ...     "owner/name"
            ... ) as session:
            ...     model.act("What is new?", tools=session.tools)
        """
        specifier = ops.config_specifier(config, working_directory, process)
        channel = ToolSessionChannel(plugin_identifier, specifier)
        return ToolUseSession(channel, self._client, **limits)

    def generate_with_generator(
        self,
        plugin_identifier: str,
        history: Any,
        *,
        tools: Iterable[Mapping[str, Any]] = (),
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        on_fragment: Callable[[GeneratorFragment], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> GeneratorResult:
        """Let a plugin's generator answer a chat, as a model would.

        Args:
            plugin_identifier: Which plugin, as ``"owner/name"``.
            history: A text, a ``Chat``, or a chat as plain data.
            tools: Definitions of tools (``{"type": "function", "function": {...}}``) it may ask
                for; to call them is the caller's business.
            config: The plugin's settings: key to value.
            working_directory: A folder on the server's machine that the plugin may work in.
            process: For plugins that use another one: the prediction whose settings hold.
            on_fragment: Called with each piece of the answer.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioServerError: There is no such plugin, or it failed.
        """
        specifier = ops.config_specifier(config, working_directory, process)
        return self._client.run(
            GeneratorChannel(plugin_identifier, history, tools, specifier, on_fragment),
            **limits,
        )

    def generate_with_generator_stream(
        self,
        plugin_identifier: str,
        history: Any,
        *,
        tools: Iterable[Mapping[str, Any]] = (),
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        on_fragment: Callable[[GeneratorFragment], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> GeneratorStream:
        """The same as a stream: its fragments, progress and tool calls, as they come."""
        specifier = ops.config_specifier(config, working_directory, process)
        channel = GeneratorChannel(plugin_identifier, history, tools, specifier, on_fragment)
        return GeneratorStream(self._client.open(channel, **limits))

    def generator(
        self,
        plugin_identifier: str,
        *,
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
    ) -> Generator:
        """A generator as a handle with ``respond`` and ``act``; args: see ``generate_with_generator``."""
        from .token_sources import Generator, generator_source

        source = generator_source(plugin_identifier, config, working_directory, process)
        return Generator(source, self._client)

    def register_development_plugin(
        self, manifest: PluginManifest | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> DevelopmentPlugin:
        """Register a plugin that this program runs, until the result is closed.

        Args:
            manifest: What its ``manifest.json`` says.
            **limits: ``timeout`` and ``idle_timeout``, in seconds, for the registration.

        Returns:
            The registration, for a ``with`` statement; its ``credentials`` are for the plugin's
            own process.
        """
        channel = DevelopmentChannel(manifest)
        return DevelopmentPlugin(channel, self._client, **limits)

    # -- for a plugin's own process --------------------------------------------------------------

    def set_config_schematics(
        self, schematics: ConfigSchematics | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> None:
        """Tell the server which settings this plugin has in each chat."""
        self._client.run(ops.set_config_schematics(schematics, for_all_chats=False), **limits)

    def set_global_config_schematics(
        self, schematics: ConfigSchematics | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> None:
        """Tell the server which settings this plugin has for all chats together."""
        self._client.run(ops.set_config_schematics(schematics, for_all_chats=True), **limits)

    def open_hook(self, hook: HookName, **limits: Unpack[CallLimits]) -> HookStream:
        """Offer to do something for the server, and get its requests.

        Args:
            hook: ``"promptPreprocessor"``, ``"predictionLoopHandler"``, ``"toolsProvider"`` or
                ``"generator"``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; without them it waits for
                requests however long that takes.
        """
        return HookStream(ops.HookChannel(hook), self._client, **limits)

    def plugin_init_completed(self, **limits: Unpack[CallLimits]) -> None:
        """Tell the server that all hooks of this plugin are open."""
        self._client.run(ops.plugin_init_completed(), **limits)

    def report_error(
        self,
        kind: str,
        *,
        plugin_run_id: str,
        server_url: str,
        message: str,
        unavailable_host: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Tell the server of an error that the user can do something about.

        Args:
            kind: ``"unauthorized"`` or ``"networkUnavailable"``.
            plugin_run_id: The run that it happened in.
            server_url: The address that was used.
            message: What happened.
            unavailable_host: The host that could not be reached.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        self._client.run(
            ops.report_error(kind, plugin_run_id, server_url, message, unavailable_host),
            **limits,
        )

    def processing(self, process: PredictionProcess) -> PredictionController:
        """The prediction that a request of the server's is about: its chat, its user, its model."""
        return PredictionController(process, self._client)


class AsyncPluginsNamespace(AsyncNamespace):  # public
    """LM Studio plugins: their tools and generators, and what a plugin itself asks the server, for asyncio."""

    server_namespace = "plugins"

    async def reindex_plugins(self, **limits: Unpack[CallLimits]) -> None:
        """Let the server look for installed plugins again."""
        await self._client.run(ops.reindex(), **limits)

    async def start_tool_use_session(
        self,
        plugin_identifier: str,
        *,
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        **limits: Unpack[CallLimits],
    ) -> AsyncToolUseSession:
        """Use the tools of an installed plugin.

        Args:
            plugin_identifier: Which plugin, as ``"owner/name"``.
            config: The plugin's settings: key to value.
            working_directory: A folder on the server's machine that the plugin may work in.
            process: For plugins that use another one's tools: the prediction whose settings hold.
            **limits: ``timeout`` and ``idle_timeout``, in seconds, for the session's start; its
                calls take limits of their own.

        Returns:
            The session, for a ``with`` statement; its ``tools`` are what ``model.act`` takes.

        Raises:
            LMStudioServerError: There is no such plugin, or it does not start.

        Example:
            >>> async with await client.plugins.start_tool_use_session(  # doctest: +SKIP
            ...     "owner/name"
            ... ) as session:
            ...     await model.act("What is new?", tools=session.tools)
        """
        specifier = ops.config_specifier(config, working_directory, process)
        channel = ToolSessionChannel(plugin_identifier, specifier)
        return await AsyncToolUseSession(channel, self._client, **limits).start()

    async def generate_with_generator(
        self,
        plugin_identifier: str,
        history: Any,
        *,
        tools: Iterable[Mapping[str, Any]] = (),
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        on_fragment: Callable[[GeneratorFragment], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> GeneratorResult:
        """Let a plugin's generator answer a chat, as a model would.

        Args:
            plugin_identifier: Which plugin, as ``"owner/name"``.
            history: A text, a ``Chat``, or a chat as plain data.
            tools: Definitions of tools (``{"type": "function", "function": {...}}``) it may ask
                for; to call them is the caller's business.
            config: The plugin's settings: key to value.
            working_directory: A folder on the server's machine that the plugin may work in.
            process: For plugins that use another one: the prediction whose settings hold.
            on_fragment: Called with each piece of the answer.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioServerError: There is no such plugin, or it failed.
        """
        specifier = ops.config_specifier(config, working_directory, process)
        return await self._client.run(
            GeneratorChannel(plugin_identifier, history, tools, specifier, on_fragment),
            **limits,
        )

    def generate_with_generator_stream(
        self,
        plugin_identifier: str,
        history: Any,
        *,
        tools: Iterable[Mapping[str, Any]] = (),
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
        on_fragment: Callable[[GeneratorFragment], object] | None = None,
        **limits: Unpack[CallLimits],
    ) -> AsyncGeneratorStream:
        """The same as a stream: its fragments, progress and tool calls, as they come."""
        specifier = ops.config_specifier(config, working_directory, process)
        channel = GeneratorChannel(plugin_identifier, history, tools, specifier, on_fragment)
        return AsyncGeneratorStream(self._client.open(channel, **limits))

    def generator(
        self,
        plugin_identifier: str,
        *,
        config: Mapping[str, Any] | None = None,
        working_directory: str | None = None,
        process: PredictionProcess | None = None,
    ) -> AsyncGenerator:
        """A generator as a handle with ``respond`` and ``act``; args: see ``generate_with_generator``."""
        from .token_sources import AsyncGenerator, generator_source

        source = generator_source(plugin_identifier, config, working_directory, process)
        return AsyncGenerator(source, self._client)

    async def register_development_plugin(
        self, manifest: PluginManifest | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> AsyncDevelopmentPlugin:
        """Register a plugin that this program runs, until the result is closed.

        Args:
            manifest: What its ``manifest.json`` says.
            **limits: ``timeout`` and ``idle_timeout``, in seconds, for the registration.

        Returns:
            The registration, for a ``with`` statement; its ``credentials`` are for the plugin's
            own process.
        """
        channel = DevelopmentChannel(manifest)
        return await AsyncDevelopmentPlugin(channel, self._client, **limits).start()

    # -- for a plugin's own process --------------------------------------------------------------

    async def set_config_schematics(
        self, schematics: ConfigSchematics | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> None:
        """Tell the server which settings this plugin has in each chat."""
        await self._client.run(ops.set_config_schematics(schematics, for_all_chats=False), **limits)

    async def set_global_config_schematics(
        self, schematics: ConfigSchematics | Mapping[str, Any], **limits: Unpack[CallLimits]
    ) -> None:
        """Tell the server which settings this plugin has for all chats together."""
        await self._client.run(ops.set_config_schematics(schematics, for_all_chats=True), **limits)

    def open_hook(self, hook: HookName, **limits: Unpack[CallLimits]) -> AsyncHookStream:
        """Offer to do something for the server, and get its requests.

        Args:
            hook: ``"promptPreprocessor"``, ``"predictionLoopHandler"``, ``"toolsProvider"`` or
                ``"generator"``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds; without them it waits for
                requests however long that takes.
        """
        return AsyncHookStream(ops.HookChannel(hook), self._client, **limits)

    async def plugin_init_completed(self, **limits: Unpack[CallLimits]) -> None:
        """Tell the server that all hooks of this plugin are open."""
        await self._client.run(ops.plugin_init_completed(), **limits)

    async def report_error(
        self,
        kind: str,
        *,
        plugin_run_id: str,
        server_url: str,
        message: str,
        unavailable_host: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Tell the server of an error that the user can do something about.

        Args:
            kind: ``"unauthorized"`` or ``"networkUnavailable"``.
            plugin_run_id: The run that it happened in.
            server_url: The address that was used.
            message: What happened.
            unavailable_host: The host that could not be reached.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(
            ops.report_error(kind, plugin_run_id, server_url, message, unavailable_host),
            **limits,
        )

    def processing(self, process: PredictionProcess) -> AsyncPredictionController:
        """The prediction that a request of the server's is about: its chat, its user, its model."""
        return AsyncPredictionController(process, self._client)
