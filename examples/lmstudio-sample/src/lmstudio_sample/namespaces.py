"""``client.sample``, once for each client: signature, docstring, one line."""

from __future__ import annotations

from lmstudio_core.plugins.api import AsyncNamespace, CallLimits, SyncNamespace
from typing_extensions import Unpack

from . import operations
from .operations import SampleOverview


class SampleNamespace(SyncNamespace):
    """What is on the server's disk."""

    server_namespace = "system"

    def overview(
        self,
        kind: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> SampleOverview:
        """Sum up the downloaded models.

        Args:
            kind: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return self.client.run(operations.overview(kind), **limits)


class AsyncSampleNamespace(AsyncNamespace):
    """What is on the server's disk, for asyncio."""

    server_namespace = "system"

    async def overview(
        self,
        kind: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> SampleOverview:
        """Sum up the downloaded models.

        Args:
            kind: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return await self.client.run(operations.overview(kind), **limits)
