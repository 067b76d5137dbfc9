"""Starting, watching and ending a worker process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lmstudio_core.errors import FrozenProgramError
from lmstudio_core.program.interpreter import python_command, python_environment
from lmstudio_server.engines.base import EngineCrashedError, EngineError, LoadRequest

from .diagnosis import crash_reason, import_error, load_error, misfit_error
from .options import choose_threads, parse_address, physical_cores, worker_options
from .transport import Address, ConnectionLostError
from .worker import REPORT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORKER_FILE = Path(__file__).with_name("worker.py")
_PROGRESS_PREFIX = "cmd_child_to_router:state:"
_END_SECONDS = 5.0
"""How long a process whose connections broke is given to be seen ending."""
_SOCKET_PATH_BYTES = 100
"""What a unix socket's path may have on every system (the limits are 104 and 108)."""


class _WorkerProtocol(asyncio.SubprocessProtocol):
    """Takes a worker's output as it comes, in the event loop's own callbacks.

    Callbacks rather than reader tasks: nothing is left to cancel when the process ends.
    """

    def __init__(self, on_progress: Callable[[float], None]) -> None:
        # The address the worker listens on, or ``None`` if it ended before it had one.
        self.ready: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.gone: asyncio.Event = asyncio.Event()
        self.stderr_lines: deque[str] = deque(maxlen=200)
        self.stderr_count: int = 0
        self.stderr_grew: asyncio.Event = asyncio.Event()
        self.failure: Mapping[str, Any] | None = None
        self.on_gone: Callable[[], None] = lambda: None
        self._on_progress = on_progress
        self._progress = 0.0
        self._rests = {1: b"", 2: b""}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        lines = (self._rests[fd] + data).split(b"\n")
        self._rests[fd] = lines.pop()
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if fd == 2:
                self.stderr_lines.append(text)
                self.stderr_count += 1
                self.stderr_grew.set()
            else:
                self._take_stdout(text)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        """The process has ended and both its pipes have been read to the end."""
        if self._rests[2]:
            self.stderr_lines.append(self._rests[2].decode("utf-8", "replace"))
        self.gone.set()
        if not self.ready.done():
            self.ready.set_result(None)
        self.on_gone()

    def _take_stdout(self, line: str) -> None:
        if line.startswith(REPORT_PREFIX):
            report = json.loads(line.removeprefix(REPORT_PREFIX))
            if report["event"] != "ready":
                self.failure = report
            elif not self.ready.done():
                self.ready.set_result(report["address"])
        elif line.startswith(_PROGRESS_PREFIX):
            # llama.cpp's internal convention: what does not look as expected is no progress.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                payload = json.loads(line.removeprefix(_PROGRESS_PREFIX))["payload"]
                self._advance(_overall_progress(payload))

    def _advance(self, progress: float) -> None:
        # Never backwards, and 1.0 is kept for a worker that answers.
        if self._progress < progress < 1.0:
            self._progress = progress
            self._on_progress(progress)


def _overall_progress(payload: Mapping[str, Any]) -> float:
    """Return the progress over all stages (model, projector, draft) from one stage's report."""
    stages: list[str] = payload["stages"]
    return (stages.index(payload["current"]) + float(payload["value"])) / len(stages)


class Worker:
    """A running worker process with its model loaded. Make one with ``Worker.start``."""

    def __init__(
        self,
        transport: asyncio.SubprocessTransport,
        protocol: _WorkerProtocol,
        folder: Path | None,
        address: Address,
    ) -> None:
        self.address = address
        self._transport = transport
        self._protocol = protocol
        self._folder = folder
        self._callbacks: list[Callable[[str], None]] = []
        self._ending = False
        protocol.on_gone = self._gone

    @classmethod
    async def start(
        cls,
        request: LoadRequest,
        on_progress: Callable[[float], None],
        *,
        own_pooling: bool = False,
        blocks: int | None = None,
        over_tcp: bool = os.name == "nt",
    ) -> Worker:
        """Start a process and wait until its model is loaded; cancelling kills it.

        Args:
            request: What to load and how.
            on_progress: Called with values between 0.0 and 1.0, never going back.
            own_pooling: Whether the model's file says how its embeddings are pooled.
            blocks: How many blocks of layers the model has, where its file says so.
            over_tcp: Listen on 127.0.0.1 with a key, for systems where sockets are no files.

        Raises:
            EngineError: the model cannot be loaded, or the engine cannot start.
        """
        folder = None if over_tcp else _private_folder()
        try:
            options, api_key = _options(request, folder, own_pooling=own_pooling, blocks=blocks)
            return await cls._start_in(folder, request, options, api_key, on_progress)
        except BaseException:
            _remove(folder)
            raise

    @classmethod
    async def _start_in(
        cls,
        folder: Path | None,
        request: LoadRequest,
        options: Mapping[str, Any],
        api_key: str | None,
        on_progress: Callable[[float], None],
    ) -> Worker:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _WorkerProtocol(on_progress),
            *_command(),
            env=python_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_session_settings(),
        )
        try:
            stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
            stdin.write(json.dumps(options).encode() + b"\n")
            address = await _wait_until_ready(protocol, transport, request)
        except BaseException:
            await _kill(transport, protocol)
            raise
        socket_path, port = parse_address(address)
        return cls(transport, protocol, folder, Address(socket_path, port, api_key))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._transport.get_pid()

    @property
    def stderr_lines(self) -> list[str]:
        """The last lines of llama.cpp's own log."""
        return self.stderr_since(0)

    @property
    def stderr_count(self) -> int:
        """How many lines the log has so far: where those of a request begin."""
        return self._protocol.stderr_count

    def stderr_since(self, start: int) -> list[str]:
        """The lines of the log after the first ``start``, as far as they are kept."""
        lines = list(self._protocol.stderr_lines)
        new = self._protocol.stderr_count - start
        return lines[-new:] if new > 0 else []

    async def wait_stderr(self, text: str, seconds: float, start: int = 0) -> bool:
        """Wait until ``text`` is in the log, at most ``seconds``; return whether it is.

        ``start``: the lines before that one do not count.

        llama.cpp writes its log in a thread of its own, so a message may come after the answer that
        it is about.

        Args:
            text: What to look for.
            seconds: How long to wait.
            start: How many lines of the log do not count.
        """
        protocol = self._protocol

        async def said() -> bool:
            while not any(text in line for line in self.stderr_since(start)):
                protocol.stderr_grew.clear()
                await protocol.stderr_grew.wait()
            return True

        try:
            return await asyncio.wait_for(said(), seconds)
        except asyncio.TimeoutError:
            return False

    @property
    def ending(self) -> bool:
        """Whether ``stop`` was called."""
        return self._ending

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._protocol.gone.is_set()

    async def wait_gone(self) -> None:
        """Wait until the process has ended, however it does."""
        await self._protocol.gone.wait()

    @property
    def exit_reason(self) -> str:
        """How the process ended and what it said last."""
        return crash_reason(self._transport.get_returncode(), self._protocol.stderr_lines)

    async def lost(self, name: str, error: ConnectionLostError) -> EngineError:
        """Return why a connection to it broke, in words about the model ``name``."""
        try:
            await asyncio.wait_for(self.wait_gone(), _END_SECONDS)
        except asyncio.TimeoutError:
            return EngineError(
                "The connection to the engine broke",
                cause=str(error),
                suggestion="Try again; if it happens again, unload and load the model.",
            )
        if self.ending:
            return EngineCrashedError(
                f"{name} was unloaded during the request", suggestion="Load the model again."
            )
        return EngineCrashedError(
            f"The engine's process for {name} ended unexpectedly",
            cause=self.exit_reason,
            suggestion="Load the model again, with a smaller contextLength if memory is short.",
        )

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the reason when the process ends without ``stop``."""
        if self.gone and not self._ending:
            callback(self.exit_reason)
        else:
            self._callbacks.append(callback)

    async def stop(self) -> None:
        """End the process and wait until it is gone. Safe to call twice and to cancel."""
        self._ending = True
        await _kill(self._transport, self._protocol)

    def _gone(self) -> None:
        _remove(self._folder)
        self._transport.close()
        if self._ending:
            return
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self.exit_reason)


def _options(
    request: LoadRequest, folder: Path | None, *, own_pooling: bool, blocks: int | None
) -> tuple[Mapping[str, Any], str | None]:
    """Return the worker's options, and the key its clients have to show (``None``: no key)."""
    threads = choose_threads(request, request.path.stat().st_size, physical_cores())
    if folder is not None:
        host, port, api_key = str(folder / "engine.sock"), 8080, None
    else:
        # A TCP port is open to every user of the machine, so it asks for a key.
        host, port, api_key = "127.0.0.1", 0, secrets.token_urlsafe(32)
    options = worker_options(
        request,
        threads=threads,
        host=host,
        port=port,
        api_key=api_key,
        own_pooling=own_pooling,
        blocks=blocks,
    )
    return options, api_key


def _command() -> list[str]:
    """How a worker is started.

    Raises:
        EngineError: There is no Python to start it with.
    """
    # By its file, since a module of a package brings the package; in a zipapp there is no file.
    by_file = _WORKER_FILE.is_file()
    what = (str(_WORKER_FILE),) if by_file else ("-m", f"{__package__}.worker")
    try:
        return python_command(*what, purpose="The engine llama.cpp")
    except FrozenProgramError as error:
        raise EngineError("The engine llama.cpp cannot start", cause=str(error)) from error


async def _wait_until_ready(
    protocol: _WorkerProtocol, transport: asyncio.SubprocessTransport, request: LoadRequest
) -> str:
    """Return the address the worker reports, or raise why it ended instead."""
    address = await protocol.ready
    if address is not None:
        return address
    failure = protocol.failure or {}
    if failure.get("event") == "import-failed":
        raise import_error(failure["message"])
    if failure.get("event") == "misfit":
        raise misfit_error(failure["message"])
    if failure.get("event") == "load-failed":
        raise load_error(request.path, protocol.stderr_lines)
    raise EngineError(
        f"The engine ended while it loaded {request.path.name}",
        cause=crash_reason(transport.get_returncode(), protocol.stderr_lines),
        suggestion="Check that the file is whole and that the machine has enough free memory.",
    )


async def _kill(transport: asyncio.SubprocessTransport, protocol: _WorkerProtocol) -> None:
    # Killed rather than asked: a worker holds nothing worth saving, and a busy one would not hear.
    if not protocol.gone.is_set():
        with contextlib.suppress(ProcessLookupError):
            transport.kill()
        await protocol.gone.wait()
    transport.close()


def _session_settings() -> dict[str, Any]:
    """Keep a terminal's Ctrl-C from the worker: the server ends its workers itself."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _private_folder() -> Path:
    """Make a folder only this user can enter, for the socket."""
    folder = tempfile.mkdtemp(prefix="lmstudio-")
    if len(os.fsencode(folder)) + len("/engine.sock") > _SOCKET_PATH_BYTES:
        shutil.rmtree(folder)
        folder = tempfile.mkdtemp(prefix="lmstudio-", dir="/tmp")
    return Path(folder)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
