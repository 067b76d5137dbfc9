"""Models that a search found, and the ways to download them."""

from __future__ import annotations

from collections.abc import Hashable

from typing_extensions import Unpack

from ...data import SameOnServer
from ...runner import AsyncRunner, SyncRunner
from ...timeouts import CallLimits
from ...tracebacks import Short
from . import operations as ops
from .data import (
    DownloadFinalizedCallback,
    DownloadProgressCallback,
    ModelDownloadOptionInfo,
    ModelSearchResult,
)
from .downloads import download_model

__all__ = [
    "AsyncAvailableModel",
    "AsyncModelDownloadOption",
    "AvailableModel",
    "ModelDownloadOption",
]


class _OptionBase(Short, SameOnServer):
    def __init__(self, info: ModelDownloadOptionInfo) -> None:
        self._info = info

    @property
    def info(self) -> ModelDownloadOptionInfo:
        """All that the server told of it."""
        return self._info

    def _same(self) -> Hashable:
        return self._info.download_identifier

    def __repr__(self) -> str:
        shown = ("name", "quantization", "size_bytes", "fit_estimation", "recommended")
        fields = ", ".join(f"{name}={getattr(self._info, name)!r}" for name in shown)
        return f"{type(self).__name__}({fields})"


class _AvailableBase(Short, SameOnServer):
    def __init__(self, search_result: ModelSearchResult) -> None:
        self._search_result = search_result

    @property
    def search_result(self) -> ModelSearchResult:
        """All that the server told of it."""
        return self._search_result

    def _same(self) -> Hashable:
        return self._search_result.identifier.identifier

    def __repr__(self) -> str:
        identifier = self._search_result.identifier.identifier
        return f"{type(self).__name__}(name={self._search_result.name!r}, {identifier=!r})"


class ModelDownloadOption(_OptionBase):
    """One way to download a model: a quantization, a size.

    Example:
        >>> found = client.repository.search_models("qwen", limit=1)[0]  # doctest: +SKIP
        >>> found.get_download_options()[0].download()  # doctest: +SKIP
    """

    def __init__(self, info: ModelDownloadOptionInfo, client: SyncRunner) -> None:
        super().__init__(info)
        self._client = client

    def download(
        self,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> str:
        """Download it; an interrupt (Ctrl-C) stops the server's download too.

        Args:
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The model key to load it with.
        """
        return self._client.run(
            download_model(self._info.download_identifier, on_progress, on_finalize),
            **limits,
        )


class AvailableModel(_AvailableBase):
    """A model that can be downloaded.

    Example:
        >>> for found in client.repository.search_models("qwen", limit=3):  # doctest: +SKIP
        ...     print(found.search_result.name)
    """

    def __init__(self, search_result: ModelSearchResult, client: SyncRunner) -> None:
        super().__init__(search_result)
        self._client = client

    def get_download_options(self, **limits: Unpack[CallLimits]) -> list[ModelDownloadOption]:
        """The ways to download it, as the server ordered them."""
        found = self._client.run(ops.get_model_download_options(self._search_result), **limits)
        return [ModelDownloadOption(info, self._client) for info in found]


class AsyncModelDownloadOption(_OptionBase):
    """One way to download a model, for asyncio.

    Example:
        >>> async def main() -> None:  # doctest: +SKIP
        ...     found = (await client.repository.search_models("qwen", limit=1))[0]
        ...     await (await found.get_download_options())[0].download()
    """

    def __init__(self, info: ModelDownloadOptionInfo, client: AsyncRunner) -> None:
        super().__init__(info)
        self._client = client

    async def download(
        self,
        on_progress: DownloadProgressCallback | None = None,
        on_finalize: DownloadFinalizedCallback | None = None,
        **limits: Unpack[CallLimits],
    ) -> str:
        """Download it; cancelling the task stops the server's download too.

        Args:
            on_progress: Called with a ``DownloadProgressUpdate`` again and again.
            on_finalize: Called once when everything is downloaded and is put in its place.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The model key to load it with.
        """
        return await self._client.run(
            download_model(self._info.download_identifier, on_progress, on_finalize),
            **limits,
        )


class AsyncAvailableModel(_AvailableBase):
    """A model that can be downloaded, for asyncio.

    Example:
        >>> async def main() -> None:  # doctest: +SKIP
        ...     for found in await client.repository.search_models("qwen", limit=3):
        ...         print(found.search_result.name)
    """

    def __init__(self, search_result: ModelSearchResult, client: AsyncRunner) -> None:
        super().__init__(search_result)
        self._client = client

    async def get_download_options(
        self, **limits: Unpack[CallLimits]
    ) -> list[AsyncModelDownloadOption]:
        """The ways to download it, as the server ordered them."""
        found = await self._client.run(
            ops.get_model_download_options(self._search_result), **limits
        )
        return [AsyncModelDownloadOption(info, self._client) for info in found]
