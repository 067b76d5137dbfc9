"""``--dev``: registers a plugin and runs it in a process of its own, as the official runner does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as SyncEvent
from typing import Any, Final

from lmstudio_core.program.interpreter import python_command, python_environment
from lmstudio_core.protocol.operations import Endpoint

from .development import DevelopmentChannel
from .runner import ENV_BASE_URL, ENV_CLIENT_ID, ENV_CLIENT_KEY, PluginClient

__all__ = [
    "DevPluginClient",
    "child_environment",
    "interrupt_child",
    "plugin_command",
    "run_plugin",
    "run_plugin_async",
    "start_child",
]

_PLUGIN_STATUS_POLL_INTERVAL: Final = 1
_PLUGIN_STOP_TIMEOUT: Final = 2


def _get_interrupt_signal() -> signal.Signals:
    if sys.platform == "win32":
        return signal.CTRL_C_EVENT
    return signal.SIGINT


def _get_creation_flags() -> int:
    if sys.platform == "win32":
        return subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


_PLUGIN_INTERRUPT_SIGNAL: Final = _get_interrupt_signal()


def _start_child_process(
    command: list[str], *, text: bool | None = True, **kwds: Any
) -> subprocess.Popen[str]:
    """Start it apart from this process' terminal signals: it is ended by this one, in order."""
    apart = sys.platform != "win32"
    return subprocess.Popen(  # noqa: S603 - our own command
        command,
        text=text,
        creationflags=_get_creation_flags(),
        start_new_session=apart,
        **kwds,
    )


def _interrupt_child_process(process: subprocess.Popen[Any], timeout: float) -> int:
    """Interrupt it as Ctrl-C does, and kill it if it does not end in time; its exit code."""
    with suppress(OSError):
        process.send_signal(_PLUGIN_INTERRUPT_SIGNAL)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


start_child = _start_child_process
interrupt_child = _interrupt_child_process


def plugin_command(plugin_path: Path, *, debug: bool = False) -> list[str]:
    """The command line of a plugin's own process."""
    options = ("--debug",) if debug else ()
    command = python_command(
        "-m", "lmstudio_plugin", *options, os.fspath(plugin_path), purpose="The plugin's process"
    )
    # Its lines appear as it prints them, also where the output is no terminal.
    return [command[0], "-u", *command[1:]]


def child_environment(
    client_id: str, client_key: str, base_url: str | None = None
) -> dict[str, str]:
    """Its environment: that of this process, and as whom it connects. Nobody else sees the passkey."""
    environment = {
        **python_environment(secrets=True),
        ENV_CLIENT_ID: client_id,
        ENV_CLIENT_KEY: client_key,
    }
    environment.pop(ENV_BASE_URL, None)
    return environment if base_url is None else {**environment, ENV_BASE_URL: base_url}


def _run_plugin_in_child_process(
    plugin_path: Path,
    client_id: str,
    client_key: str,
    abort_event: SyncEvent,
    *,
    debug: bool = False,
    base_url: str | None = None,
) -> int:
    """Run the plugin until it ends or ``abort_event`` is set; its exit code."""
    environment = child_environment(client_id, client_key, base_url)
    process = _start_child_process(plugin_command(plugin_path, debug=debug), env=environment)
    try:
        while process.poll() is None:
            if abort_event.wait(_PLUGIN_STATUS_POLL_INTERVAL):
                return _interrupt_child_process(process, _PLUGIN_STOP_TIMEOUT)
    except BaseException:
        process.kill()
        process.wait()
        raise
    print("The plugin's process ended by itself.", flush=True)  # noqa: T201 - the program's own output
    return process.returncode


class DevPluginRegistrationEndpoint(DevelopmentChannel):
    """A registration, as the official runner makes it."""

    _API_ENDPOINT = "registerDevelopmentPlugin"
    _NOTICE_PREFIX = "Register development plugin"

    def __init__(self, owner: str, name: str) -> None:
        super().__init__({"type": "plugin", "runner": "node", "owner": owner, "name": name})

    @property
    def api_endpoint(self) -> str:
        """The endpoint's name."""
        endpoint: Endpoint = self.endpoint
        return endpoint.name


class DevPluginClient(PluginClient):
    """Registers a plugin and runs it in a process of its own."""

    def _get_registration_endpoint(self) -> DevPluginRegistrationEndpoint:
        return DevPluginRegistrationEndpoint(self.owner, self.name)

    @asynccontextmanager
    async def register_dev_plugin(self) -> AsyncGenerator[tuple[str, str], None]:
        """Register it for as long as the block lasts: identifier and passkey of its process."""
        async with await self.plugins.register_development_plugin(
            self._project.registration()
        ) as registered:
            credentials = registered.credentials
            self._base_url = credentials.base_url or f"ws://{self.api_host}"
            yield credentials.client_identifier, credentials.client_passkey

    async def run_plugin(self, *, allow_local_imports: bool = True, debug: bool = False) -> int:
        """Run it until it ends, or this is cancelled; the exit code."""
        del allow_local_imports  # its own process always allows them
        async with self.register_dev_plugin() as (client_id, client_key):
            abort = SyncEvent()
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(
                None,
                lambda: _run_plugin_in_child_process(
                    self._plugin_path,
                    client_id,
                    client_key,
                    abort,
                    debug=debug,
                    base_url=self._base_url,
                ),
            )
            try:
                return await asyncio.shield(running)
            finally:
                abort.set()
                await asyncio.wait({running})


async def run_plugin_async(plugin_dir: str | os.PathLike[str], *, debug: bool = False) -> int:
    """Register a plugin and run it in a process of its own, until that ends; its exit code."""
    async with DevPluginClient(plugin_dir) as client:
        return await client.run_plugin(debug=debug)


def run_plugin(plugin_dir: str | os.PathLike[str], *, debug: bool = False) -> int:
    """The same, for a program without an event loop."""
    return asyncio.run(run_plugin_async(plugin_dir, debug=debug))


@dataclass(frozen=True)
class DevPluginRegistrationReadyEvent:
    """The plugin is registered: identifier and passkey of its process."""

    arg: tuple[str, str]


DevPluginRegistrationRxEvent = DevPluginRegistrationReadyEvent
