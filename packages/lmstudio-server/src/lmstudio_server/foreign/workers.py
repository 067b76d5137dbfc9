"""Processes that work on what others send: started when needed, limited, killed when they run wild."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.errors import FrozenProgramError
from lmstudio_core.program.interpreter import python_command, python_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FailedError", "Limits", "Progress", "Workers"]

_log = logging.getLogger(__name__)

Progress = Callable[[float], Awaitable[None]]

_START_SECONDS: Final = 60.0
_WATCH_SECONDS: Final = 0.05
_MOST_TASKS: Final = 500
"""How many tasks a process does: what they leave behind in its memory does not add up for ever."""


class FailedError(Exception):
    """A task has no result; the text says why, as the end of a sentence "… because"."""


@dataclass(frozen=True)
class Limits:
    """What one task may take.

    Attributes:
        seconds: By the clock, and of the processor.
        memory_bytes: Beyond what the process has before it.
        answer_bytes: The longest line of an answer, as JSON.
    """

    seconds: float
    memory_bytes: int
    answer_bytes: int


async def _no_progress(_value: float) -> None:
    pass


class Workers:
    """Does tasks in processes of their own, a few at a time. Belongs to one event loop.

    Args:
        module: Its function ``perform(task, progress)`` does them, in the process.
        limits: What each may take.
        at_once: How many are done at a time; the others wait.
        reused: Whether a process does one task after the other. One that failed to keep to its limits
            never does another.
    """

    def __init__(self, module: str, limits: Limits, *, at_once: int, reused: bool) -> None:
        self._module = module
        self._limits = limits
        self._reused = reused
        self._turn = asyncio.Semaphore(at_once)
        self._idle: list[_Process] = []
        self._closed = False

    async def run(self, task: Mapping[str, Any], progress: Progress = _no_progress) -> Any:
        """Return a task's result. Cancelling the caller ends its process.

        Raises:
            FailedError: It failed, or took more than it may; or there is no Python to start.
        """
        async with self._turn:
            process = await self._process()
            kept = False
            try:
                result = await self._done(process, task, progress)
                kept = True
            except _RefusedError as error:
                kept = True
                raise FailedError(str(error)) from error
            finally:
                if kept and self._reused and not self._closed and process.tasks < _MOST_TASKS:
                    self._idle.append(process)
                else:
                    await process.end()
        return result

    async def close(self) -> None:
        """End all processes that have nothing to do; the others end with their tasks."""
        self._closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(process.end() for process in idle))

    def abandon(self) -> None:
        """The same without waiting, where nobody can."""
        self._closed = True
        for process in self._idle:
            process.kill()

    async def _process(self) -> _Process:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await process.end()
        return await _Process.start(self._module, self._limits)

    async def _done(self, process: _Process, task: Mapping[str, Any], progress: Progress) -> Any:
        limits = self._limits
        # Where the system keeps no process to its limits, it is watched from here.
        watching = None if process.limited else asyncio.ensure_future(process.watch(limits))
        try:
            return await asyncio.wait_for(process.run(task, progress), limits.seconds)
        except asyncio.TimeoutError as error:
            raise FailedError(f"it took longer than {limits.seconds:g} s") from error
        except _ExceededError as error:
            raise FailedError(
                f"it takes more than {_size(limits.memory_bytes)} of memory"
            ) from error
        except _EndedError as error:
            if process.overweight:
                what = f"it takes more than {_size(limits.memory_bytes)} of memory"
                raise FailedError(what) from error
            _log.warning("a worker of %s ended: %s", self._module, error)
            raise FailedError("it takes too much time or memory") from error
        except ValueError as error:  # a line longer than the reader's limit
            raise FailedError(f"it gives more than {_size(limits.answer_bytes)} of text") from error
        finally:
            if watching is not None:
                watching.cancel()


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count < 2**30 else f"{count // 2**30} GiB"


class _RefusedError(Exception):
    """The task cannot be done; the process says why."""


class _ExceededError(Exception):
    """The task took more memory than it may."""


class _EndedError(Exception):
    """The process ended in the middle of a task."""


class _Process:
    def __init__(self, process: asyncio.subprocess.Process, limited: bool) -> None:
        self._process = process
        self.limited = limited
        self.overweight = False
        self.tasks = 0

    @classmethod
    async def start(cls, module: str, limits: Limits) -> _Process:
        """Start a process and wait until it takes tasks."""
        what = (
            "-m",
            f"{__package__}.worker",
            module,
            str(limits.memory_bytes),
            str(limits.seconds),
        )
        try:
            command = python_command(*what, purpose="The reader of what clients send")
        except FrozenProgramError as error:
            raise FailedError(str(error)) from error
        process = await asyncio.create_subprocess_exec(
            *command,
            env=python_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=limits.answer_bytes,
            # Ctrl-C at a terminal is the server's to handle.
            start_new_session=sys.platform != "win32",
        )
        started = cls(process, limited=False)
        try:
            started.limited = bool(
                (await asyncio.wait_for(started._line(), _START_SECONDS))["limited"]
            )
        except (asyncio.TimeoutError, _EndedError) as error:
            await started.end()
            raise FailedError("the process that would work on it does not start") from error
        except BaseException:
            await started.end()
            raise
        return started

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, task: Mapping[str, Any], progress: Progress) -> Any:
        self.tasks += 1
        stdin = self._process.stdin
        if stdin is not None:  # a pipe, see start
            with suppress(ConnectionError):  # it has ended, which its output will tell
                stdin.write(json.dumps(task).encode() + b"\n")
                await stdin.drain()
        while True:
            said = await self._line()
            if "progress" in said:
                await progress(float(said["progress"]))
            elif "refused" in said:
                raise _RefusedError(said["refused"])
            elif "exceeded" in said:
                raise _ExceededError
            else:
                return said["result"]

    async def _line(self) -> dict[str, Any]:
        line = b"" if self._process.stdout is None else await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _EndedError(f"exit code {self._process.returncode}")
        said: dict[str, Any] = json.loads(line)
        return said

    async def watch(self, limits: Limits) -> None:
        """Kill the process when it takes more memory than it may."""
        try:
            psutil: Any = import_module("psutil")  # of systems without such limits only
        except ImportError:
            _log.warning(
                "no limit on memory holds here: this system sets none, and psutil is missing"
            )
            return
        with suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            before: int = process.memory_info().rss
            # Memory announces nothing, so it is asked for.
            while process.memory_info().rss - before <= limits.memory_bytes:  # noqa: ASYNC110
                await asyncio.sleep(_WATCH_SECONDS)
            self.overweight = True
            self.kill()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Kill the process and wait until it and its pipes are gone."""
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
