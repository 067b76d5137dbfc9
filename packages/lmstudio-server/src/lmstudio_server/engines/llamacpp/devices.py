"""What llama.cpp sees of this machine, told by a process of its own.

Asking it loads GPU drivers, which belong into no server process: they take memory and may crash. Run
as ``python -m lmstudio_server.engines.llamacpp.devices``: prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lmstudio_core.errors import FrozenProgramError
from lmstudio_core.lenient import error_text
from lmstudio_core.program.interpreter import python_command, python_environment

from .worker import import_library

__all__ = ["Device", "DevicesError", "devices"]

_PATIENCE_SECONDS = 30.0
_KINDS: dict[int, Literal["cpu", "gpu", "integrated", "other"]] = {
    0: "cpu",
    1: "gpu",
    2: "integrated",
}


class DevicesError(Exception):
    """llama.cpp could not be asked; the text is what it said."""


@dataclass(frozen=True)
class Device:
    """A processor, or a graphics card that this build of llama.cpp can use."""

    name: str
    """llama.cpp's own: ``CPU``, ``CUDA0``, ``Vulkan1``."""
    description: str
    kind: Literal["cpu", "gpu", "integrated", "other"]
    memory_bytes: int
    features: tuple[str, ...] = ()
    """Instruction sets that this build uses; of the processor only."""


def devices() -> list[Device]:
    """Return the devices. This takes a fraction of a second, and with GPUs some.

    Raises:
        DevicesError: llama.cpp cannot be started, or does not answer.
    """
    try:
        command = python_command("-m", __name__, purpose="llama.cpp's look at the hardware")
        done = subprocess.run(  # noqa: S603 - our own command
            command,
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except (FrozenProgramError, OSError, subprocess.TimeoutExpired) as error:
        raise DevicesError(error_text(error)) from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DevicesError(words[-1] if words else f"It ended with code {done.returncode}.")
    # What drivers print stands in lines before.
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return [_read(**item) for item in found]


def _read(features: list[str], **fields: Any) -> Device:
    return Device(features=tuple(features), **fields)


def _ask() -> list[Device]:
    library = import_library()
    features = features_of(library.get_system_info())
    return [
        Device(
            name=str(device["name"]),
            description=str(device["description"]).strip(),
            kind=(kind := _KINDS.get(int(device["type"]), "other")),
            memory_bytes=int(device["memory_total"]),
            features=features if kind == "cpu" else (),
        )
        for device in library.get_device_info()
    ]


def features_of(system_info: str) -> tuple[str, ...]:
    """The processor's features that llama.cpp's own text says are in use.

    >>> features_of("CPU : AVX = 1 | AVX2 = 1 | AVX512 = 0 | ")
    ('AVX', 'AVX2')
    """
    words = (part.rpartition(":")[2].partition("=") for part in system_info.split("|"))
    return tuple(name.strip() for name, _, value in words if value.strip() == "1")


if __name__ == "__main__":
    print(json.dumps([asdict(device) for device in _ask()]))  # noqa: T201 - its answer
