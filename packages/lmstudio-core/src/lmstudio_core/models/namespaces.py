"""The namespaces that hold models: ``client.llm`` and ``client.embedding`` are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

from ..config import ConfigModel
from ..namespaces.base import AsyncNamespace, SyncNamespace
from . import operations as ops
from .infos import ModelInfoBase
from .kind import ModelKind
from .operations import DEFAULT_TTL, LoadProgressCallback

__all__ = ["AsyncModelNamespace", "SyncModelNamespace"]

H = TypeVar("H")
D = TypeVar("D")


class SyncModelNamespace(SyncNamespace, Generic[H, D]):
    """Models of one kind: ``H`` is the class of handles, ``D`` of downloaded models."""

    kind: ClassVar[ModelKind]

    def _handle(self, identifier: str) -> H:
        return cast("H", self.kind.class_of(self.kind.handle)(identifier, self._client))

    def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: ConfigModel | Mapping[str, Any] | None = None,
        on_load_progress: LoadProgressCallback | None = None,
    ) -> H:
        """Get a model; it is loaded if it is not loaded yet.

        Args:
            model_key: Which model; without it, any that is loaded.
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it. Ignored if the model is loaded already, as is ``config``.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded, or (without a key) none is loaded.
        """
        return self._handle(
            self._client.run(
                ops.model_identifier(
                    self.kind, model_key, ttl=ttl, config=config, on_load_progress=on_load_progress
                )
            )
        )

    def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: ConfigModel | Mapping[str, Any] | None = None,
        on_load_progress: LoadProgressCallback | None = None,
    ) -> H:
        """Load one more instance of a model, whatever is loaded already.

        Args:
            model_key: Which model.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            ttl: Seconds without use after which the instance is unloaded; ``None`` keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
            LMStudioServerError: The identifier is in use, or loading failed.
        """
        info = self._client.run(
            ops.load_new_instance(
                self.kind,
                model_key,
                instance_identifier,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
            )
        )
        return self._handle(cast("Any", info).identifier)

    def unload(self, model_identifier: str) -> None:
        """Unload the instance of that identifier."""
        self._client.run(ops.unload(self.kind, model_identifier))

    def get_model_info(self, model_specifier: Any) -> Any:
        """What the server knows of a loaded model, named by identifier, query or handle."""
        return self._client.run(ops.get_model_info(self.kind, model_specifier))

    def list_loaded(self) -> list[H]:
        """Handles of all loaded models of this kind."""
        infos = self._client.run(ops.list_loaded(self.kind))
        return [self._handle(cast("Any", info).identifier) for info in infos]

    def list_downloaded(self) -> list[D]:
        """All downloaded models of this kind."""
        infos = self._client.run(ops.list_downloaded(self.kind.domain))
        return [self._downloaded(info) for info in infos]

    def _downloaded(self, info: ModelInfoBase) -> D:
        return cast("D", self.kind.class_of(self.kind.downloaded)(info, self._client))


class AsyncModelNamespace(AsyncNamespace, Generic[H, D]):
    """Models of one kind, for asyncio."""

    kind: ClassVar[ModelKind]

    def _handle(self, identifier: str) -> H:
        return cast("H", self.kind.class_of(self.kind.async_handle)(identifier, self._client))

    async def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: ConfigModel | Mapping[str, Any] | None = None,
        on_load_progress: LoadProgressCallback | None = None,
    ) -> H:
        """Get a model; it is loaded if it is not loaded yet.

        Args:
            model_key: Which model; without it, any that is loaded.
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it. Ignored if the model is loaded already, as is ``config``.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded, or (without a key) none is loaded.
        """
        return self._handle(
            await self._client.run(
                ops.model_identifier(
                    self.kind, model_key, ttl=ttl, config=config, on_load_progress=on_load_progress
                )
            )
        )

    async def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: ConfigModel | Mapping[str, Any] | None = None,
        on_load_progress: LoadProgressCallback | None = None,
    ) -> H:
        """Load one more instance of a model, whatever is loaded already.

        Args:
            model_key: Which model.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            ttl: Seconds without use after which the instance is unloaded; ``None`` keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
            LMStudioServerError: The identifier is in use, or loading failed.
        """
        info = await self._client.run(
            ops.load_new_instance(
                self.kind,
                model_key,
                instance_identifier,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
            )
        )
        return self._handle(cast("Any", info).identifier)

    async def unload(self, model_identifier: str) -> None:
        """Unload the instance of that identifier."""
        await self._client.run(ops.unload(self.kind, model_identifier))

    async def get_model_info(self, model_specifier: Any) -> Any:
        """What the server knows of a loaded model, named by identifier, query or handle."""
        return await self._client.run(ops.get_model_info(self.kind, model_specifier))

    async def list_loaded(self) -> list[H]:
        """Handles of all loaded models of this kind."""
        infos = await self._client.run(ops.list_loaded(self.kind))
        return [self._handle(cast("Any", info).identifier) for info in infos]

    async def list_downloaded(self) -> list[D]:
        """All downloaded models of this kind."""
        infos = await self._client.run(ops.list_downloaded(self.kind.domain))
        return [self._downloaded(info) for info in infos]

    def _downloaded(self, info: ModelInfoBase) -> D:
        return cast("D", self.kind.class_of(self.kind.async_downloaded)(info, self._client))
