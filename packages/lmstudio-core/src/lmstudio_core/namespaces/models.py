"""``client.models``: models of every kind, whichever packages are installed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..capability import Capability
from ..errors import CapabilityNotInstalledError, LMStudioModelNotFoundError, LMStudioValueError
from ..models import operations as ops
from ..models.downloaded import AsyncDownloadedModel, DownloadedModel
from ..models.generic import GENERIC_KINDS, AsyncModelHandleOfKind, ModelHandleOfKind
from ..models.infos import ModelInfoBase
from ..models.kind import ModelKind
from ..plugins import plugins
from ..protocol.operations import Op
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


def _loaded(namespace: str | None) -> Op[list[tuple[str, str]]]:
    """(domain, identifier) of every loaded model."""
    found: list[tuple[str, str]] = []
    for domain in _domains(namespace):
        infos = yield ops.list_loaded(GENERIC_KINDS[domain])
        found += [(domain, info.identifier) for info in infos]
    return found


def _downloaded(namespace: str | None) -> Op[list[ModelInfoBase]]:
    domains = set(_domains(namespace))
    infos: list[ModelInfoBase] = yield ops.list_downloaded()
    return [info for info in infos if namespace is None or info.type in domains]


def _unload(identifier: str) -> Op[None]:
    for domain, loaded in (yield from _loaded(None)):
        if loaded == identifier:
            yield ops.unload(GENERIC_KINDS[domain], identifier)
            return
    raise LMStudioModelNotFoundError(f"No loaded model has the identifier {identifier!r}.")


class ModelsNamespace(SyncNamespace):
    """Models of every kind."""

    server_namespace = "system"

    def list_loaded(self, namespace: str | None = None) -> list[Any]:
        """Handles of all loaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
        """
        return [self._handle(*found) for found in self._client.run(_loaded(namespace))]

    def _handle(self, domain: str, identifier: str) -> Any:
        kind, installed = _kind(domain)
        if not installed:
            return ModelHandleOfKind(identifier, self._client, kind)
        return kind.class_of(kind.handle)(identifier, self._client)

    def list_downloaded(self, namespace: str | None = None) -> list[Any]:
        """All downloaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
        """
        return [self._downloaded(info) for info in self._client.run(_downloaded(namespace))]

    def _downloaded(self, info: ModelInfoBase) -> Any:
        if info.type not in GENERIC_KINDS:
            return DownloadedModel(info, self._client)
        kind, _ = _kind(info.type)
        return kind.class_of(kind.downloaded)(info, self._client)

    def unload(self, model_identifier: str) -> None:
        """Unload a model of any kind.

        Raises:
            LMStudioModelNotFoundError: No loaded model has that identifier.
        """
        self._client.run(_unload(model_identifier))


class AsyncModelsNamespace(AsyncNamespace):
    """Models of every kind, for asyncio."""

    server_namespace = "system"

    async def list_loaded(self, namespace: str | None = None) -> list[Any]:
        """Handles of all loaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
        """
        return [self._handle(*found) for found in await self._client.run(_loaded(namespace))]

    def _handle(self, domain: str, identifier: str) -> Any:
        kind, installed = _kind(domain)
        if not installed:
            return AsyncModelHandleOfKind(identifier, self._client, kind)
        return kind.class_of(kind.async_handle)(identifier, self._client)

    async def list_downloaded(self, namespace: str | None = None) -> list[Any]:
        """All downloaded models.

        Args:
            namespace: ``"llm"`` or ``"embedding"`` for only those.
        """
        return [self._downloaded(info) for info in await self._client.run(_downloaded(namespace))]

    def _downloaded(self, info: ModelInfoBase) -> Any:
        if info.type not in GENERIC_KINDS:
            return AsyncDownloadedModel(info, self._client)
        kind, _ = _kind(info.type)
        return kind.class_of(kind.async_downloaded)(info, self._client)

    async def unload(self, model_identifier: str) -> None:
        """Unload a model of any kind.

        Raises:
            LMStudioModelNotFoundError: No loaded model has that identifier.
        """
        await self._client.run(_unload(model_identifier))
