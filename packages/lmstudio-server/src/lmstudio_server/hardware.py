"""What this machine has to run models with."""

from __future__ import annotations

import asyncio
import logging
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lmstudio_core.lenient import error_text

if TYPE_CHECKING:
    from .engines.llamacpp.devices import Device

__all__ = ["Fit", "Hardware", "Surveys", "architecture"]

_log = logging.getLogger(__name__)

Fit = Literal["fullGPUOffload", "partialGPUOffload", "fitWithoutGPU", "willNotFit"]
_SHARE_FOR_CONTEXT = 1.1
"""What a model takes beyond its weights: a context of a usual length."""
_GROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Hardware:
    """What llama.cpp sees, or why it sees nothing."""

    devices: tuple[Device, ...] = ()
    problem: str | None = None
    memory_limit: int | None = None
    """What this process may use at most, in bytes, where a container limits it."""

    @property
    def processor(self) -> Device | None:
        return next((device for device in self.devices if device.kind == "cpu"), None)

    @property
    def graphics(self) -> tuple[Device, ...]:
        return tuple(device for device in self.devices if device.kind in ("gpu", "integrated"))

    @property
    def memory_bytes(self) -> int:
        """The machine's own memory, or the part of it that may be used; 0: not known."""
        found = 0 if self.processor is None else self.processor.memory_bytes
        return found if self.memory_limit is None else min(found, self.memory_limit) or found

    @property
    def graphics_bytes(self) -> int:
        """The memory of all graphics cards that have their own."""
        return sum(device.memory_bytes for device in self.graphics if device.kind == "gpu")

    def fit(self, size_bytes: int) -> Fit:
        """How a model of that size would run here. Without a survey, everything fits."""
        needed = size_bytes * _SHARE_FOR_CONTEXT
        if any(device.memory_bytes >= needed for device in self.graphics):
            return "fullGPUOffload"
        if self.memory_bytes and needed > self.memory_bytes + self.graphics_bytes:
            return "willNotFit"
        return "partialGPUOffload" if self.graphics else "fitWithoutGPU"


class Surveys:
    """Asks llama.cpp once, when somebody wants to know."""

    def __init__(self) -> None:
        self._survey: asyncio.Task[Hardware] | None = None

    async def hardware(self) -> Hardware:
        """What this machine has. A failed survey is made again the next time."""
        if self._survey is None or (self._survey.done() and _failed(self._survey)):
            self._survey = asyncio.get_running_loop().create_task(asyncio.to_thread(_survey))
        # Whoever asks may leave; the others still want the answer.
        return await asyncio.shield(self._survey)


def _failed(task: asyncio.Task[Hardware]) -> bool:
    if task.cancelled() or task.exception() is not None:
        return True
    return task.result().problem is not None


def _survey() -> Hardware:
    from .engines.llamacpp.devices import DevicesError, devices

    try:
        found = tuple(devices())
    except (DevicesError, ValueError, IndexError, KeyError, TypeError) as error:
        _log.warning("llama.cpp cannot say what this machine has: %s", error)
        return Hardware(problem=error_text(error))
    return Hardware(found, memory_limit=_memory_limit())


def _memory_limit() -> int | None:
    with suppress(OSError, ValueError):
        return int(_GROUP_LIMIT.read_text("ascii"))
    return None


def architecture() -> Literal["x86_64", "ARM64", "unknown"]:
    """The processor's architecture as the protocol names it."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return "x86_64"
    return "ARM64" if machine in ("arm64", "aarch64") else "unknown"
