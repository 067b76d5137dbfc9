"""``client.runtime`` of both clients."""

from __future__ import annotations

from typing_extensions import Unpack

from ...client.namespace import AsyncNamespace, SyncNamespace
from ...timeouts import CallLimits
from ..repository.data import DownloadFinalizedCallback, DownloadProgressCallback
from . import operations as ops
from .data import HardwareSurvey, RuntimeEngine, RuntimeEngineSpecifier, RuntimeExtension
from .operations import EngineScope

__all__ = ["AsyncRuntimeNamespace", "RuntimeNamespace"]


class RuntimeNamespace(SyncNamespace):
    """The engines that the server runs models with."""

    server_namespace = "runtime"

    def list_engines(self, **limits: Unpack[CallLimits]) -> list[RuntimeEngine]:
        """The installed engines."""
        return self._client.run(ops.list_engines(), **limits)

    def get_engine_selections(
        self, **limits: Unpack[CallLimits]
    ) -> dict[str, RuntimeEngineSpecifier]:
        """Which engine runs models of which format (``"GGUF"``, ``"MLX"``, …)."""
        return self._client.run(ops.get_engine_selections(), **limits)

    def select_engine(
        self, name: str, version: str, model_format: str, **limits: Unpack[CallLimits]
    ) -> None:
        """Run models of a format with an engine from now on.

        Args:
            name: The engine's name.
            version: The engine's version.
            model_format: The format, such as ``"GGUF"``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioServerError: No such engine is installed, or it cannot run that format.
        """
        self._client.run(ops.select_engine(name, version, model_format), **limits)

    def remove_engine(self, name: str, version: str, **limits: Unpack[CallLimits]) -> None:
        """Uninstall an engine.

        Raises:
            LMStudioServerError: No such engine is installed, or it is in use.
        """
        self._client.run(ops.remove_engine(name, version), **limits)

    def survey_hardware(
        self, engines: EngineScope | None = None, **limits: Unpack[CallLimits]
    ) -> HardwareSurvey:
        """What engines see of the server's machine: processors, graphics cards, memory.

        Args:
            engines: Which of them are asked: ``"selected"``, ``"all"``, or a list of engines;
                without it the server chooses.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return self._client.run(ops.survey_hardware(engines), **limits)

    def search_extensions(
        self,
        query: str = "",
        *,
        channel: str | None = None,
        include_incompatible: bool = False,
        **limits: Unpack[CallLimits],
    ) -> list[RuntimeExtension]:
        """Engines and frameworks that can be downloaded.

        Args:
            query: What to look for; without it, everything.
            channel: The release channel, such as ``"beta"``; by default that of the server.
            include_incompatible: Whether to list those that cannot run on the server's machine.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return self._client.run(
            ops.search_extensions(query, channel, include_incompatible), **limits
        )

    def download_extension(
        self,
        name: str,
        version: str,
        *,
        update_selections: bool = True,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Download and install an engine or framework; an interrupt (Ctrl-C) stops the server's download too.

        Args:
            name: Its name, as ``search_extensions`` tells it.
            version: Its version.
            update_selections: Whether it runs the formats it supports from then on.
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        self._client.run(
            ops.download_extension(name, version, update_selections, on_progress, on_finalize),
            **limits,
        )


class AsyncRuntimeNamespace(AsyncNamespace):
    """The engines that the server runs models with, for asyncio."""

    server_namespace = "runtime"

    async def list_engines(self, **limits: Unpack[CallLimits]) -> list[RuntimeEngine]:
        """The installed engines."""
        return await self._client.run(ops.list_engines(), **limits)

    async def get_engine_selections(
        self, **limits: Unpack[CallLimits]
    ) -> dict[str, RuntimeEngineSpecifier]:
        """Which engine runs models of which format (``"GGUF"``, ``"MLX"``, …)."""
        return await self._client.run(ops.get_engine_selections(), **limits)

    async def select_engine(
        self, name: str, version: str, model_format: str, **limits: Unpack[CallLimits]
    ) -> None:
        """Run models of a format with an engine from now on.

        Args:
            name: The engine's name.
            version: The engine's version.
            model_format: The format, such as ``"GGUF"``.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioServerError: No such engine is installed, or it cannot run that format.
        """
        await self._client.run(ops.select_engine(name, version, model_format), **limits)

    async def remove_engine(self, name: str, version: str, **limits: Unpack[CallLimits]) -> None:
        """Uninstall an engine.

        Raises:
            LMStudioServerError: No such engine is installed, or it is in use.
        """
        await self._client.run(ops.remove_engine(name, version), **limits)

    async def survey_hardware(
        self, engines: EngineScope | None = None, **limits: Unpack[CallLimits]
    ) -> HardwareSurvey:
        """What engines see of the server's machine: processors, graphics cards, memory.

        Args:
            engines: Which of them are asked: ``"selected"``, ``"all"``, or a list of engines;
                without it the server chooses.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return await self._client.run(ops.survey_hardware(engines), **limits)

    async def search_extensions(
        self,
        query: str = "",
        *,
        channel: str | None = None,
        include_incompatible: bool = False,
        **limits: Unpack[CallLimits],
    ) -> list[RuntimeExtension]:
        """Engines and frameworks that can be downloaded.

        Args:
            query: What to look for; without it, everything.
            channel: The release channel, such as ``"beta"``; by default that of the server.
            include_incompatible: Whether to list those that cannot run on the server's machine.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return await self._client.run(
            ops.search_extensions(query, channel, include_incompatible), **limits
        )

    async def download_extension(
        self,
        name: str,
        version: str,
        *,
        update_selections: bool = True,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> None:
        """Download and install an engine or framework; cancelling the task stops the server's download too.

        Args:
            name: Its name, as ``search_extensions`` tells it.
            version: Its version.
            update_selections: Whether it runs the formats it supports from then on.
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        await self._client.run(
            ops.download_extension(name, version, update_selections, on_progress, on_finalize),
            **limits,
        )
