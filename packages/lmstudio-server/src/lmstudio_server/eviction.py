"""Which idle models make room for one that is loaded because somebody asks for it.

Only models that were loaded on demand go, never one that somebody loaded by name and never one in use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .registry import Instance

__all__ = ["available_memory", "to_evict"]

_MEMORY = Path("/proc/meminfo")


def to_evict(
    instances: Sequence[Instance], *, limit: int | None, needed: int, available: int | None
) -> list[Instance]:
    """Return the instances to unload, the one unused for longest first.

    Args:
        instances: All that are loaded.
        limit: How many models may be loaded on demand at a time, the new one included; ``None``: as
            many as fit.
        needed: The bytes that the new model will take.
        available: The bytes that are free; ``None``: unknown, and then taken for enough.
    """
    on_demand = [instance for instance in instances if instance.on_demand]
    idle = [instance for instance in on_demand if not instance.activities]
    idle.sort(key=lambda instance: instance.used_at)
    too_many = 0 if limit is None else len(on_demand) + 1 - limit
    missing = 0 if available is None else needed - available
    chosen: list[Instance] = []
    for instance in idle:
        if len(chosen) >= too_many and missing <= 0:
            break
        chosen.append(instance)
        missing -= instance.file.size_bytes
    return chosen


def available_memory(path: Path = _MEMORY) -> int | None:
    """Return the bytes that can be had without swapping, where the system tells (Linux)."""
    try:
        for line in path.read_text("ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
