"""The namespaces that hold models: ``client.llm`` and ``client.embedding`` are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, cast

from typing_extensions import TypeVar, Unpack

from ..config import ConfigModel
from ..namespaces.base import AsyncNamespace, SyncNamespace
from ..notebook import ModelList
from ..timeouts import CallLimits
from . import operations as ops
from .handles import ModelSpecifierInput
from .infos import EstimatedResources, ModelInfoBase
from .kind import ModelKind
from .operations import DEFAULT_TTL, LoadProgressCallback

__all__ = ["AsyncModelNamespace", "SyncModelNamespace"]

H = TypeVar("H")
D = TypeVar("D")
C = TypeVar("C", bound=ConfigModel | Mapping[str, Any], default=ConfigModel | Mapping[str, Any])


class SyncModelNamespace(SyncNamespace, Generic[H, D, C]):
    """Models of one kind: ``H`` is the class of handles, ``D`` of downloaded models.

    ``C`` is what says how they are loaded; without it, any config or dict.

    Every method takes ``timeout`` and ``idle_timeout`` in seconds; see
    ``lmstudio_core.timeouts.CallLimits``.
    """

    kind: ClassVar[ModelKind]

    def _handle(self, info: Any) -> H:
        handle = self.kind.class_of(self.kind.handle)(info.identifier, self._client)
        handle.device_identifier = info.device_identifier
        return cast("H", handle)

    def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Get a model; it is loaded if it is not loaded yet.

        Args:
            model_key: Which model; without it, any that is loaded.
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it. Ignored if the model is loaded already, as is ``config``.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded, or (without a key) none is loaded.
            LMStudioModelDomainError: The model is of another kind.
        """
        info = self._client.run(
            ops.model_info_for(
                self.kind,
                model_key,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
                device=device,
            ),
            **limits,
        )
        return self._handle(info)

    def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Load one more instance of a model, whatever is loaded already.

        Args:
            model_key: Which model.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            ttl: Seconds without use after which the instance is unloaded; ``None`` keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
            LMStudioIdentifierInUseError: Another instance has that identifier.
            LMStudioServerError: Loading failed.
        """
        info = self._client.run(
            ops.load_new_instance(
                self.kind,
                model_key,
                instance_identifier,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
                device=device,
            ),
            **limits,
        )
        return self._handle(info)

    def unload(
        self, model_identifier: str, *, device: str | None = None, **limits: Unpack[CallLimits]
    ) -> None:
        """Unload the instance of that identifier.

        Args:
            model_identifier: Which.
            device: On which LM Link device; ``"local"`` for the server's own machine.

        Raises:
            LMStudioModelNotFoundError: No such model is loaded.
        """
        self._client.run(ops.unload(self.kind, model_identifier, device), **limits)

    def estimate_resources(
        self,
        model_key: str,
        config: C | None = None,
        *,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> EstimatedResources:
        """What a model would take if it were loaded, and whether the server would let it load.

        Args:
            model_key: Which downloaded model.
            config: How it would be loaded: a config object or a dict.
            device: On which LM Link device; ``"local"`` for the server's own machine.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        return self._client.run(
            ops.estimate_resources(self.kind, model_key, config, device), **limits
        )

    def get_model_info(
        self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
    ) -> Any:
        """What the server knows of a loaded model, named by identifier, query or handle.

        Args:
            model_specifier: An identifier, a ``ModelQuery``, a dict, or a handle.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The info of that kind's instances.
        """
        return self._client.run(ops.get_model_info(self.kind, model_specifier), **limits)

    def list_loaded(self, **limits: Unpack[CallLimits]) -> list[H]:
        """Handles of all loaded models of this kind."""
        infos = self._client.run(ops.list_loaded(self.kind), **limits)
        return ModelList(self._handle(info) for info in infos)

    def list_downloaded(self, **limits: Unpack[CallLimits]) -> list[D]:
        """All downloaded models of this kind."""
        infos = self._client.run(ops.list_downloaded(self.kind.domain), **limits)
        return ModelList(self._downloaded(info) for info in infos)

    def list_downloaded_variants(self, model_key: str, **limits: Unpack[CallLimits]) -> list[D]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Args:
            model_key: The key of the model, without a variant.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The variants, which can be loaded from here.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        infos = self._client.run(
            ops.list_downloaded_variants(model_key, self.kind.domain), **limits
        )
        return ModelList(self._downloaded(info) for info in infos)

    def _downloaded(self, info: ModelInfoBase) -> D:
        return cast("D", self.kind.class_of(self.kind.downloaded)(info, self._client))


class AsyncModelNamespace(AsyncNamespace, Generic[H, D, C]):
    """Models of one kind, for asyncio; with ``timeout`` and ``idle_timeout`` as well."""

    kind: ClassVar[ModelKind]

    def _handle(self, info: Any) -> H:
        handle = self.kind.class_of(self.kind.async_handle)(info.identifier, self._client)
        handle.device_identifier = info.device_identifier
        return cast("H", handle)

    async def model(
        self,
        model_key: str | None = None,
        /,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Get a model; it is loaded if it is not loaded yet.

        Args:
            model_key: Which model; without it, any that is loaded.
            ttl: Seconds without use after which a model loaded by this call is unloaded; ``None``
                keeps it. Ignored if the model is loaded already, as is ``config``.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded, or (without a key) none is loaded.
            LMStudioModelDomainError: The model is of another kind.
        """
        info = await self._client.run(
            ops.model_info_for(
                self.kind,
                model_key,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
                device=device,
            ),
            **limits,
        )
        return self._handle(info)

    async def load_new_instance(
        self,
        model_key: str,
        instance_identifier: str | None = None,
        *,
        ttl: int | None = DEFAULT_TTL,
        config: C | None = None,
        on_load_progress: LoadProgressCallback | None = None,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> H:
        """Load one more instance of a model, whatever is loaded already.

        Args:
            model_key: Which model.
            instance_identifier: What to call the instance; the server chooses if it is left out.
            ttl: Seconds without use after which the instance is unloaded; ``None`` keeps it.
            config: How to load it: a config object or a dict.
            on_load_progress: Called with the progress, rising from 0.0 to 1.0.
            device: The LM Link device it shall run on; ``"local"`` for the server's own machine;
                ``None`` leaves it to the server.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
            LMStudioIdentifierInUseError: Another instance has that identifier.
            LMStudioServerError: Loading failed.
        """
        info = await self._client.run(
            ops.load_new_instance(
                self.kind,
                model_key,
                instance_identifier,
                ttl=ttl,
                config=config,
                on_load_progress=on_load_progress,
                device=device,
            ),
            **limits,
        )
        return self._handle(info)

    async def unload(
        self, model_identifier: str, *, device: str | None = None, **limits: Unpack[CallLimits]
    ) -> None:
        """Unload the instance of that identifier.

        Args:
            model_identifier: Which.
            device: On which LM Link device; ``"local"`` for the server's own machine.

        Raises:
            LMStudioModelNotFoundError: No such model is loaded.
        """
        await self._client.run(ops.unload(self.kind, model_identifier, device), **limits)

    async def estimate_resources(
        self,
        model_key: str,
        config: C | None = None,
        *,
        device: str | None = None,
        **limits: Unpack[CallLimits],
    ) -> EstimatedResources:
        """What a model would take if it were loaded, and whether the server would let it load.

        Args:
            model_key: Which downloaded model.
            config: How it would be loaded: a config object or a dict.
            device: On which LM Link device; ``"local"`` for the server's own machine.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        return await self._client.run(
            ops.estimate_resources(self.kind, model_key, config, device), **limits
        )

    async def get_model_info(
        self, model_specifier: ModelSpecifierInput, **limits: Unpack[CallLimits]
    ) -> Any:
        """What the server knows of a loaded model, named by identifier, query or handle.

        Args:
            model_specifier: An identifier, a ``ModelQuery``, a dict, or a handle.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The info of that kind's instances.
        """
        return await self._client.run(ops.get_model_info(self.kind, model_specifier), **limits)

    async def list_loaded(self, **limits: Unpack[CallLimits]) -> list[H]:
        """Handles of all loaded models of this kind."""
        infos = await self._client.run(ops.list_loaded(self.kind), **limits)
        return ModelList(self._handle(info) for info in infos)

    async def list_downloaded(self, **limits: Unpack[CallLimits]) -> list[D]:
        """All downloaded models of this kind."""
        infos = await self._client.run(ops.list_downloaded(self.kind.domain), **limits)
        return ModelList(self._downloaded(info) for info in infos)

    async def list_downloaded_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> list[D]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Args:
            model_key: The key of the model, without a variant.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Returns:
            The variants, which can be loaded from here.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        infos = await self._client.run(
            ops.list_downloaded_variants(model_key, self.kind.domain), **limits
        )
        return ModelList(self._downloaded(info) for info in infos)

    def _downloaded(self, info: ModelInfoBase) -> D:
        return cast("D", self.kind.class_of(self.kind.async_downloaded)(info, self._client))
