"""Downloaded models: entries of the server's list, which can be loaded from here."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

from typing_extensions import Unpack

from ..data import SameOnServer
from ..runner import AsyncRunner, SyncRunner
from ..timeouts import CallLimits
from ..tracebacks import Short
from .handles import AsyncModelHandle, SyncModelHandle
from .infos import ModelInfoBase
from .operations import DEFAULT_TTL, LoadProgressCallback

__all__ = [
    "AnyAsyncDownloadedModel",
    "AnyDownloadedModel",
    "AsyncDownloadedModel",
    "DownloadedModel",
    "DownloadedModelBase",
]


class DownloadedModelBase(Short, SameOnServer):
    """What both share: the info, its most used fields, and how it prints.

    Two are equal if they are the same model of the same client.
    """

    _namespace: ClassVar[str | None] = None
    _shown: ClassVar[tuple[str, ...]] = ("model_key", "display_name", "architecture")

    def __init__(self, info: ModelInfoBase) -> None:
        self._info = info

    @property
    def info(self) -> ModelInfoBase:
        """All that the server told of the model."""
        return self._info

    @property
    def type(self) -> str:
        """The domain, such as ``"llm"`` or ``"embedding"``."""
        return self._info.type

    @property
    def path(self) -> str:
        """The path of the model inside the server's models folder."""
        return self._info.path

    @property
    def model_key(self) -> str:
        """The key that loads the model."""
        return self._info.model_key

    def _same(self) -> Hashable:
        return self.type, self.path, self.model_key, self._info.device_identifier

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self._info, name, None)!r}" for name in self._shown)
        return f"{type(self).__name__}({shown})"


class DownloadedModel(DownloadedModelBase):
    """A downloaded model. Of a domain whose package is not installed, it can only be looked at.

    Example:
        >>> [found.model_key for found in client.models.list_downloaded() if found.type == "llm"]
        ['pocket', 'pocket-think']
    """

    def __init__(self, info: ModelInfoBase, client: SyncRunner) -> None:
        super().__init__(info)
        self._client = client

    def load_new_instance(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        instance_identifier: str | None = None,
        config: Any = None,  # its kind's, which subclasses name
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> SyncModelHandle:
        """Load one more instance of this model; see ``client.llm.load_new_instance``.

        Args:
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle of the new instance.
        """
        namespace = self._client.capability(self._namespace or self.type)
        handle: SyncModelHandle = namespace.load_new_instance(
            self.model_key,
            instance_identifier,
            ttl=ttl,
            config=config,
            on_load_progress=on_load_progress,
            device=device,
            **limits,
        )
        return handle

    def model(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: Any = None,  # its kind's, which subclasses name
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> SyncModelHandle:
        """This model: the loaded instance if there is one, else it is loaded.

        Args:
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle of the loaded model.
        """
        namespace = self._client.capability(self._namespace or self.type)
        handle: SyncModelHandle = namespace.model(
            self.model_key,
            ttl=ttl,
            config=config,
            on_load_progress=on_load_progress,
            device=device,
            **limits,
        )
        return handle


class AsyncDownloadedModel(DownloadedModelBase):
    """A downloaded model, for asyncio.

    Example:
        >>> async def main() -> None:
        ...     for found in await client.models.list_downloaded():
        ...         print(found.model_key, found.info.size_bytes)
    """

    def __init__(self, info: ModelInfoBase, client: AsyncRunner) -> None:
        super().__init__(info)
        self._client = client

    async def load_new_instance(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        instance_identifier: str | None = None,
        config: Any = None,  # its kind's, which subclasses name
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> AsyncModelHandle:
        """Load one more instance of this model; see ``client.llm.load_new_instance``.

        Args:
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle of the new instance.
        """
        namespace = self._client.capability(self._namespace or self.type)
        handle: AsyncModelHandle = await namespace.load_new_instance(
            self.model_key,
            instance_identifier,
            ttl=ttl,
            config=config,
            on_load_progress=on_load_progress,
            device=device,
            **limits,
        )
        return handle

    async def model(
        self,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: Any = None,  # its kind's, which subclasses name
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> AsyncModelHandle:
        """This model: the loaded instance if there is one, else it is loaded.

        Args:
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The handle of the loaded model.
        """
        namespace = self._client.capability(self._namespace or self.type)
        handle: AsyncModelHandle = await namespace.model(
            self.model_key,
            ttl=ttl,
            config=config,
            on_load_progress=on_load_progress,
            device=device,
            **limits,
        )
        return handle


AnyDownloadedModel = DownloadedModel
"""A downloaded model of any kind."""

AnyAsyncDownloadedModel = AsyncDownloadedModel
"""A downloaded model of any kind, for asyncio."""
