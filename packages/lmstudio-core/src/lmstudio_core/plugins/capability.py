"""What a capability plugin declares about itself.

A package announces a capability by an entry point in the group ``lmstudio.capabilities``: the
entry's name is the namespace (``client.<name>``), its object a ``Capability``. The module that
holds it should import nothing heavy: classes are named as ``"package.module:Class"`` strings and
imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ..lazy import lazy_hints, load_object

if TYPE_CHECKING:
    from ..models.kind import ModelKind

__all__ = ["API_VERSION", "CAPABILITY_GROUP", "OLDEST_API_VERSION", "Capability"]

API_VERSION: Final = 1  # api
"""The version of the plugin API that this core offers; one more whenever something is added."""

OLDEST_API_VERSION: Final = 1  # api
"""The oldest version whose plugins still work; one more whenever something goes."""

CAPABILITY_GROUP: Final = "lmstudio.capabilities"

_HINTS: Final = {"ModelKind": "lmstudio_core.models.kind:ModelKind"}

S = TypeVar("S")
A = TypeVar("A")


@dataclass(frozen=True)
class Capability(Generic[S, A]):  # api
    """One namespace of the clients, and the names it adds to the facade.

    Attributes:
        name: The namespace's name; the same as the entry point's.
        sync_namespace: Where the class for ``Client`` is; it is called with the client.
        async_namespace: The same for ``AsyncClient``.
        exports: Facade name → ``"module:attribute"``.
        model_kind: For namespaces that hold models: where their ``ModelKind`` is.
        api_version: The version of the plugin API that the capability was written for. One that
            says none was written for the first.
    """

    name: str
    sync_namespace: str
    async_namespace: str
    exports: Mapping[str, str] = field(default_factory=dict[str, str])
    model_kind: str | None = None
    api_version: int = 1

    def load_sync(self) -> type[S]:
        """Import the class of the sync namespace."""
        cls: type[S] = load_object(self.sync_namespace)
        return cls

    def load_async(self) -> type[A]:
        """Import the class of the async namespace."""
        cls: type[A] = load_object(self.async_namespace)
        return cls

    @lazy_hints
    def load_model_kind(self) -> ModelKind | None:
        """Import the description of the models in this namespace, if it holds any."""
        if self.model_kind is None:
            return None
        kind: ModelKind = load_object(self.model_kind)
        return kind
