"""What this package announces to the clients: the namespace ``batch`` and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lmstudio_core.plugins.api import Capability

if TYPE_CHECKING:
    from .namespaces import AsyncBatchNamespace, BatchNamespace

__all__ = ["CAPABILITY"]

CAPABILITY: Final[Capability[BatchNamespace, AsyncBatchNamespace]] = Capability(
    name="batch",
    sync_namespace="lmstudio_batch.namespaces:BatchNamespace",
    async_namespace="lmstudio_batch.namespaces:AsyncBatchNamespace",
    exports={
        "AsyncBatchNamespace": "lmstudio_batch.namespaces:AsyncBatchNamespace",
        "AsyncPool": "lmstudio_batch.pool:AsyncPool",
        "BatchInputError": "lmstudio_batch.errors:BatchInputError",
        "BatchNamespace": "lmstudio_batch.namespaces:BatchNamespace",
        "BatchReport": "lmstudio_batch.jobs.options:BatchReport",
        "BatchRow": "lmstudio_batch.jobs.rows:BatchRow",
        "BatchSpec": "lmstudio_batch.jobs.spec:BatchSpec",
        "BatchStoppedError": "lmstudio_batch.errors:BatchStoppedError",
        "JournalError": "lmstudio_batch.errors:JournalError",
        "Member": "lmstudio_batch.pool:Member",
        "MemberStatus": "lmstudio_batch.pool:MemberStatus",
        "NoHostError": "lmstudio_batch.errors:NoHostError",
        "Pool": "lmstudio_batch.pool:Pool",
        "RowMapper": "lmstudio_batch.mappers:RowMapper",
        "partition_mapper": "lmstudio_batch.mappers:partition_mapper",
        "partition_meta": "lmstudio_batch.mappers:partition_meta",
    },
)
