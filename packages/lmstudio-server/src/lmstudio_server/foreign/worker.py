"""The other side of ``workers``: ``python -m … MODULE MEMORY_BYTES CPU_SECONDS``.

Reads one task a line from standard input and has ``MODULE.perform(task, progress)`` do it. One JSON object
a line goes to standard output: once ``{"limited": …}``, then for each task ``{"progress": …}`` as often as
there is news and ``{"result": …}``, ``{"refused": "why"}`` or ``{"exceeded": "memory"}``.

Code that runs wild cannot be stopped from inside of its process: a thread never gets its turn while a number
of a billion digits is computed. So the system limits this process, and its parent kills it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.lenient import error_text

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RefusedError", "main"]

_MOST_WORDS: Final = 2000
"""How long a reason may be, in characters: a template may raise an error of any length."""
_HAS_LIMITS: Final = sys.platform.startswith(("linux", "freebsd"))
"""Whether the system keeps a process to ``RLIMIT_AS``: macOS takes the limit, and does not."""


class RefusedError(Exception):
    """Why a task has no result, in words for whoever sent it."""


def main(module: str, memory_bytes: str, cpu_seconds: str) -> None:
    """Do tasks until standard input ends.

    Args:
        module: Where its tasks are.
        memory_bytes: The most memory it may take, in bytes.
        cpu_seconds: The most CPU time it may take, in seconds.
    """
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: dict[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    def progress(share: float) -> None:
        say({"progress": share})

    perform: Callable[..., Any] = import_module(module).perform
    limited = _limit(int(memory_bytes), float(cpu_seconds))
    say({"limited": limited})
    for line in sys.stdin.buffer:
        _limit(int(memory_bytes), float(cpu_seconds))
        try:
            say({"result": perform(json.loads(line), progress)})
        except MemoryError:
            say({"exceeded": "memory"})
        except RecursionError:
            say({"refused": "it is nested too deeply."})
        except RefusedError as error:
            say({"refused": str(error)[:_MOST_WORDS]})
        except Exception as error:  # noqa: BLE001 - what is foreign fails in every way
            say({"refused": error_text(error, named=True)[:_MOST_WORDS]})


def _limit(memory_bytes: int, cpu_seconds: float) -> bool:
    """Limit what the next task may take, beyond what is taken so far; whether the system sees to it."""
    with suppress(ImportError, ValueError, OSError):  # no such module on Windows
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        # The interpreter's own share differs by system and version, so it does not count.
        room = _mapped_bytes(resource.getpagesize()) + memory_bytes
        # The parent's clock ends a task first; this ends one whose parent was killed.
        seconds = math.ceil(used.ru_utime + used.ru_stime + cpu_seconds) + 1
        wanted = (
            (resource.RLIMIT_AS, room),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_CORE, 0),
        )
        for which, most in wanted:
            # An upper limit that is set for us already cannot be raised.
            _, hard = resource.getrlimit(which)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(which, (most, hard))
        return _HAS_LIMITS
    return False


def _mapped_bytes(page: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * page
    except OSError:
        return 256 * 2**20


if __name__ == "__main__":
    main(*sys.argv[1:])
