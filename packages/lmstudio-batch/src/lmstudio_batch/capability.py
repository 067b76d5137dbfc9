"""What this package announces to the clients: the namespace ``batch`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.api import Capability

from . import HOME_OF

if TYPE_CHECKING:
    from .namespaces import AsyncBatchNamespace, BatchNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[BatchNamespace, AsyncBatchNamespace]] = Capability(
    name="batch",
    sync_namespace="lmstudio_batch.namespaces:BatchNamespace",
    async_namespace="lmstudio_batch.namespaces:AsyncBatchNamespace",
    exports={name: f"lmstudio_batch.{home}:{name}" for name, home in HOME_OF.items()},
)
