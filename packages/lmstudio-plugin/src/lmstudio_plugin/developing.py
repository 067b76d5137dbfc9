"""``lmstudio dev``: a plugin that is registered, run, and started anew when its files change."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lmstudio_agent.threads import in_thread
from lmstudio_core.client.aio import AsyncClient
from lmstudio_core.drivers.loops import end_tasks
from lmstudio_core.errors import LMStudioConnectionError, LMStudioError
from lmstudio_core.lenient import error_text

from . import _dev_runner
from .data import PluginCredentials
from .development import AsyncDevelopmentPlugin
from .errors import LMStudioPluginInitError
from .manifest import read_project
from .runner import ENV_DEFAULTS

__all__ = ["Development", "Watch", "mistakes", "seen"]

POLL_SECONDS: Final = 0.1
IDLE_SECONDS: Final = 0.1
"""A change is taken up when nothing has changed for so long, since editors write in several steps."""
LONGEST_SECONDS: Final = 0.5
"""But no later than so long after the first: some folders never come to rest."""
STOP_SECONDS: Final = 2.0
"""How long its process may take to end after Ctrl-C."""
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 10.0
MAX_FILES: Final = 10_000
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "venv", "env", "dist", "build"})

Seen = Mapping[str, tuple[int, int]]
Outcome = Literal["changed", "lost", "ended"]


def seen(folder: Path) -> Seen:
    """Path → time and size, of the files that a plugin is made of; hidden ones are not."""
    found: dict[str, tuple[int, int]] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f not in _SKIPPED and not f.startswith(".")]
        for name in files:
            if name.startswith(".") or name.endswith((".pyc", "~")) or len(found) >= MAX_FILES:
                continue
            path = os.path.join(place, name)  # noqa: PTH118 - some thousand times a second
            with suppress(OSError):  # gone in the meantime
                stat = os.stat(path)  # noqa: PTH116
                found[path] = (stat.st_mtime_ns, stat.st_size)
    return found


def mistakes(folder: Path) -> str | None:
    """The first file below ``src`` that is no Python, with the line; ``None`` if there is none."""
    for path in sorted((folder / "src").rglob("*.py")):
        try:
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"{path}:{error.lineno}: {error.msg}"
        except (OSError, ValueError) as error:
            return f"{path}: {error_text(error)}"
    return None


class Watch:
    """Waits for changes in a folder, many at once taken together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = seen(folder)

    async def changed(self) -> None:
        """Return when something has changed and come to rest."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            now = await in_thread(lambda: seen(self._folder))
            if now != self._before:
                break
        waited = 0.0
        while waited < LONGEST_SECONDS:
            self._before = now
            await asyncio.sleep(IDLE_SECONDS)
            waited += IDLE_SECONDS
            now = await in_thread(lambda: seen(self._folder))
            if now == self._before:
                return
        self._before = now


@dataclass
class Development:
    """A plugin that is worked on.

    Attributes:
        folder: The plugin's folder.
        api_host: The server; a local one by default.
        api_token: Its API token.
        reload: Whether changes start it anew.
        notify: Whether the app shows that it was started anew.
        debug: Whether its process logs everything.
        defaults: Other defaults of its settings: ``{"config": {key: value}, "global": {…}}``.
        say: Tells the author what happens.
    """

    folder: Path
    api_host: str | None = None
    api_token: str | None = None
    reload: bool = True
    notify: bool = True
    debug: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    say: Callable[[str], object] = print

    async def run(self) -> int:
        """Run it until it is cancelled; without ``reload`` until its process ends. The exit code.

        Raises:
            LMStudioPluginInitError: The manifest is wrong.
            LMStudioConnectionError: The server is not there when it begins.
        """
        watch = Watch(self.folder) if self.reload else None
        began = False
        delay = FIRST_DELAY
        while True:
            try:
                outcome, code = await self._registered(watch, again=began)
                began, delay = True, FIRST_DELAY
            except LMStudioConnectionError as error:
                if not began:
                    raise
                self.say(f"The server is not there: {error_text(error).splitlines()[0]}")
                outcome, code = "lost", 1
            except LMStudioPluginInitError as error:
                if watch is None or not began:
                    raise
                self.say(f"{error_text(error)}\nWaiting for a change.")
                await watch.changed()
                continue
            if outcome == "ended":
                return code
            if outcome == "lost":
                self.say(f"The server is gone; trying again in {delay:g} s.")
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)

    async def _registered(self, watch: Watch | None, *, again: bool) -> tuple[Outcome, int]:
        """One registration: until a change, the end of the server, or that of the process."""
        project = read_project(self.folder)
        async with AsyncClient(self.api_host, self.api_token) as client:
            plugins = client.plugins
            async with await plugins.register_development_plugin(project.registration()) as plugin:
                base_url = plugin.credentials.base_url or f"ws://{client.api_host}"
                process = self._start(plugin.credentials, base_url)
                try:
                    if again and self.notify:
                        await _notify(client, project.identifier)
                    return await self._watched(process, plugin, watch)
                except asyncio.CancelledError:
                    # Ctrl-C: as in a terminal, it may say good-bye.
                    await in_thread(lambda: _dev_runner.interrupt_child(process, STOP_SECONDS))
                    raise
                finally:
                    _end(process)

    def _start(self, credentials: PluginCredentials, base_url: str) -> subprocess.Popen[str]:
        environment = _dev_runner.child_environment(
            credentials.client_identifier, credentials.client_passkey, base_url
        )
        if self.defaults:
            environment[ENV_DEFAULTS] = json.dumps(self.defaults)
        command = _dev_runner.plugin_command(self.folder, debug=self.debug)
        return _dev_runner.start_child(command, env=environment)

    async def _watched(
        self, process: subprocess.Popen[str], plugin: AsyncDevelopmentPlugin, watch: Watch | None
    ) -> tuple[Outcome, int]:
        ended = in_thread(process.wait)
        lost = asyncio.ensure_future(plugin.wait())
        changed = None if watch is None else asyncio.ensure_future(self._change(watch))
        try:
            waiting = {future for future in (ended, lost, changed) if future is not None}
            while True:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() and not lost.done():
                    # A server that goes ends the plugin, too, which may be noticed first.
                    await asyncio.wait({lost}, timeout=0.3)
                if lost.done():
                    return "lost", 1
                if changed is not None and changed.done():
                    changed.result()
                    return "changed", 0
                if changed is None:
                    return "ended", 1 if ended.result() else 0
                self.say(f"The plugin's process ended ({ended.result()}). Waiting for a change.")
                waiting.discard(ended)
        finally:
            pending = [f for f in (lost, changed) if f is not None]
            await end_tasks(pending)

    async def _change(self, watch: Watch) -> None:
        """Wait for a change that could run: one that is no Python leaves the old process alone."""
        while True:
            await watch.changed()
            problem = await in_thread(lambda: mistakes(self.folder))
            if problem is None:
                self.say("Changed: starting anew.")
                return
            self.say(f"{problem}\nThe plugin goes on as it was before this change.")


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _notify(client: AsyncClient, name: str) -> None:
    with suppress(LMStudioError):  # the author sees it in the terminal anyway
        await client.system.notify(f"The plugin {name} was started anew.")
