"""``client.models``: models of every kind, whichever packages are installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from typing_extensions import Unpack

from ..capability import Capability
from ..errors import CapabilityNotInstalledError, LMStudioModelNotFoundError, LMStudioValueError
from ..models import operations as ops
from ..models.downloaded import AsyncDownloadedModel, DownloadedModel
from ..models.generic import GENERIC_KINDS, AsyncModelHandleOfKind, ModelHandleOfKind
from ..models.handles import AsyncModelHandle, SyncModelHandle
from ..models.infos import ModelInfoBase
from ..models.kind import ModelKind
from ..models.loading import LOCAL_DEVICE
from ..models.matching import close_matches
from ..models.specifiers import ModelDomain
from ..notebook import ModelList
from ..plugins import plugins
from ..protocol.operations import Op
from ..timeouts import CallLimits
from .base import AsyncNamespace, SyncNamespace

__all__ = ["CAPABILITY", "AsyncModelsNamespace", "ModelsNamespace"]

CAPABILITY: Final[Capability[ModelsNamespace, AsyncModelsNamespace]] = Capability(
    name="models",
    sync_namespace=f"{__name__}:ModelsNamespace",
    async_namespace=f"{__name__}:AsyncModelsNamespace",
)


def _kind(domain: str) -> tuple[ModelKind, bool]:
    """The kind of a domain, and whether the package for it is installed."""
    try:
        kind = plugins.capability(domain).load_model_kind()
    except CapabilityNotInstalledError:
        kind = None
    return (kind, True) if kind is not None else (GENERIC_KINDS[domain], False)


def _domains(namespace: str | None) -> Iterable[str]:
    if namespace is None:
        return GENERIC_KINDS
    if namespace not in GENERIC_KINDS:
        raise LMStudioValueError(
            f"namespace must be one of {', '.join(map(repr, GENERIC_KINDS))} or None, "
            f"not {namespace!r}."
        )
    return (namespace,)


def _loaded(namespace: str | None) -> Op[list[tuple[str, Any]]]:
    """(domain, info) of every loaded model."""
    found: list[tuple[str, Any]] = []
    for domain in _domains(namespace):
        infos = yield ops.list_loaded(GENERIC_KINDS[domain])
        found += [(domain, info) for info in infos]
    return found


def _downloaded(namespace: str | None) -> Op[list[ModelInfoBase]]:
    domains = set(_domains(namespace))
    infos: list[ModelInfoBase] = yield ops.list_downloaded()
    return [info for info in infos if namespace is None or info.type in domains]


def _on_device(info: Any, device: str | None) -> bool:
    where = None if device == LOCAL_DEVICE else device
    return device is None or info.device_identifier == where


def _unload(identifier: str, device: str | None) -> Op[None]:
    loaded = yield from _loaded(None)
    for domain, info in loaded:
        if info.identifier == identifier and _on_device(info, device):
            where = device if device is not None else info.device_identifier
            yield ops.unload(GENERIC_KINDS[domain], identifier, where)
            return
    names = [info.identifier for _, info in loaded if _on_device(info, device)]
    where = "" if device is None else f" on the device {device!r}"
    error = LMStudioModelNotFoundError(
        f"No loaded model{where} has the identifier {identifier!r}. "
        + (f"Loaded are: {', '.join(names)}." if names else f"None is loaded{where}.")
    )
    error.close_matches = tuple(close_matches(identifier, names))
    raise error


class ModelsNamespace(SyncNamespace):
    """Models of every kind."""

    server_namespace = "system"

    def list_loaded(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[SyncModelHandle]:
        """Handles of all loaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return ModelList(
            self._handle(*found) for found in self._client.run(_loaded(namespace), **limits)
        )

    def _handle(self, domain: str, info: Any) -> SyncModelHandle:
        kind, installed = _kind(domain)
        handle: SyncModelHandle
        if installed:
            handle = kind.class_of(kind.handle)(info.identifier, self._client)
        else:
            handle = ModelHandleOfKind(info.identifier, self._client, kind)
        handle.device_identifier = info.device_identifier
        return handle

    def list_downloaded(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[DownloadedModel]:
        """All downloaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return ModelList(
            self._downloaded(info) for info in self._client.run(_downloaded(namespace), **limits)
        )

    def _downloaded(self, info: ModelInfoBase) -> DownloadedModel:
        if info.type not in GENERIC_KINDS:
            return DownloadedModel(info, self._client)
        kind, _ = _kind(info.type)
        found: DownloadedModel = kind.class_of(kind.downloaded)(info, self._client)
        return found

    def list_downloaded_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> list[DownloadedModel]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        infos = self._client.run(ops.list_downloaded_variants(model_key), **limits)
        return ModelList(self._downloaded(info) for info in infos)

    def find_downloaded(self, model_key: str, **limits: Unpack[CallLimits]) -> DownloadedModel:
        """The downloaded model that a key means: a whole key, a path, or a name alone.

        Args:
            model_key: Such as ``"qwen/qwen3-4b"``; ``"qwen3-4b"`` will do if it is the only one.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioAmbiguousModelError: Several models are meant; the message lists their keys.
            LMStudioModelNotFoundError: None is; the message lists what is much like it.
        """
        return self._downloaded(self._client.run(ops.find_downloaded(model_key), **limits))

    def unload(
        self, model_identifier: str, *, device: str | None = None, **limits: Unpack[CallLimits]
    ) -> None:
        """Unload a model of any kind.

        Args:
            model_identifier: Which.
            device: On which LM Link device; ``"local"`` for the server's own machine.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioModelNotFoundError: No loaded model has that identifier.
        """
        self._client.run(_unload(model_identifier, device), **limits)


class AsyncModelsNamespace(AsyncNamespace):
    """Models of every kind, for asyncio."""

    server_namespace = "system"

    async def list_loaded(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[AsyncModelHandle]:
        """Handles of all loaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return ModelList(
            self._handle(*found) for found in await self._client.run(_loaded(namespace), **limits)
        )

    def _handle(self, domain: str, info: Any) -> AsyncModelHandle:
        kind, installed = _kind(domain)
        handle: AsyncModelHandle
        if installed:
            handle = kind.class_of(kind.async_handle)(info.identifier, self._client)
        else:
            handle = AsyncModelHandleOfKind(info.identifier, self._client, kind)
        handle.device_identifier = info.device_identifier
        return handle

    async def list_downloaded(
        self, namespace: ModelDomain | None = None, **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedModel]:
        """All downloaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.
        """
        return ModelList(
            self._downloaded(info)
            for info in await self._client.run(_downloaded(namespace), **limits)
        )

    def _downloaded(self, info: ModelInfoBase) -> AsyncDownloadedModel:
        if info.type not in GENERIC_KINDS:
            return AsyncDownloadedModel(info, self._client)
        kind, _ = _kind(info.type)
        found: AsyncDownloadedModel = kind.class_of(kind.async_downloaded)(info, self._client)
        return found

    async def list_downloaded_variants(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> list[AsyncDownloadedModel]:
        """The downloaded variants (quantizations, formats) of a model; each has its own key.

        Raises:
            LMStudioModelNotFoundError: No such model is downloaded.
        """
        infos = await self._client.run(ops.list_downloaded_variants(model_key), **limits)
        return ModelList(self._downloaded(info) for info in infos)

    async def find_downloaded(
        self, model_key: str, **limits: Unpack[CallLimits]
    ) -> AsyncDownloadedModel:
        """The downloaded model that a key means: a whole key, a path, or a name alone.

        Args:
            model_key: Such as ``"qwen/qwen3-4b"``; ``"qwen3-4b"`` will do if it is the only one.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioAmbiguousModelError: Several models are meant; the message lists their keys.
            LMStudioModelNotFoundError: None is; the message lists what is much like it.
        """
        return self._downloaded(await self._client.run(ops.find_downloaded(model_key), **limits))

    async def unload(
        self, model_identifier: str, *, device: str | None = None, **limits: Unpack[CallLimits]
    ) -> None:
        """Unload a model of any kind.

        Args:
            model_identifier: Which.
            device: On which LM Link device; ``"local"`` for the server's own machine.
            **limits: ``timeout`` and ``idle_timeout``, in seconds.

        Raises:
            LMStudioModelNotFoundError: No loaded model has that identifier.
        """
        await self._client.run(_unload(model_identifier, device), **limits)
