"""Many LM Studio hosts as one model, and batches that survive anything.

With this package installed, ``client.batch`` and ``lmstudio.Pool`` work::

    import lmstudio_core as lms

    with lms.Pool(["gpu1:1234", "gpu2:1234"], model="qwen3-4b") as pool:
        print(pool.respond("What is the capital of France?"))

Nothing heavy is imported before one of the names below is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmstudio_core.plugins.api import lazy_names

from .capability import CAPABILITY

if TYPE_CHECKING:
    from .errors import BatchInputError, BatchStoppedError, JournalError, NoHostError
    from .jobs.options import BatchReport
    from .jobs.rows import BatchRow
    from .jobs.spec import BatchSpec
    from .mappers import RowMapper, partition_mapper, partition_meta
    from .namespaces import AsyncBatchNamespace, BatchNamespace
    from .pool import AsyncPool, Member, MemberStatus, Pool

__version__ = "2.0.0"

__all__ = [
    "AsyncBatchNamespace",
    "AsyncPool",
    "BatchInputError",
    "BatchNamespace",
    "BatchReport",
    "BatchRow",
    "BatchSpec",
    "BatchStoppedError",
    "JournalError",
    "Member",
    "MemberStatus",
    "NoHostError",
    "Pool",
    "RowMapper",
    "partition_mapper",
    "partition_meta",
]

__getattr__, __dir__ = lazy_names(__name__, CAPABILITY.exports)
