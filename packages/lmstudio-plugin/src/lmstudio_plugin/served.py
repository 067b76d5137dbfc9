"""A plugin that this process registers and serves, in a thread: for tests and notebooks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from lmstudio_core.client.aio import AsyncClient

from .data import PluginCredentials
from .definition import Definition
from .errors import LMStudioPluginRuntimeError
from .manifest import Project, find_project
from .plugin import Plugin
from .program import load_definition
from .runner import serve

__all__ = ["ServedPlugin", "definition_and_name"]


def definition_and_name(plugin: Plugin | str | Path, name: str) -> tuple[Definition, str]:
    """What a plugin offers and what it is called: an object takes ``name``, a folder has its own."""
    if isinstance(plugin, Plugin):
        return plugin.definition(), name
    project: Project = find_project(Path(plugin))
    return load_definition(project), project.identifier


def _own_client(api_host: str, credentials: PluginCredentials) -> AsyncClient:
    return AsyncClient(
        api_host,
        client_identifier=credentials.client_identifier,
        client_passkey=credentials.client_passkey,
    )


class ServedPlugin:
    """A plugin that is registered with a server and answers, until ``close``.

    Args:
        plugin: A ``Plugin``, or the folder of one.
        api_host: The server.
        name: What it is called, as ``"owner/name"``, if it is an object.
        defaults: Other defaults of its settings: ``{"config": {key: value}, "global": {…}}``.

    Raises:
        LMStudioError: It cannot be registered, or cannot start.

    Example:
        >>> with ServedPlugin(plugin, "127.0.0.1:1234", "acme/dice"):  # doctest: +SKIP
        ...     client.plugins.start_tool_use_session("acme/dice")
    """

    def __init__(
        self,
        plugin: Plugin | str | Path,
        api_host: str,
        name: str = "test/plugin",
        *,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.identifier: str
        self._definition, self.identifier = definition_and_name(plugin, name)
        self._api_host = api_host
        self._defaults = defaults
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="lmstudio-plugin", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        owner, _, name = self.identifier.partition("/")
        manifest = {"type": "plugin", "runner": "node", "owner": owner, "name": name}
        async with (
            AsyncClient(self._api_host) as controller,
            await controller.plugins.register_development_plugin(manifest) as registered,
            _own_client(self._api_host, registered.credentials) as own,
        ):
            told = self._ready.set
            await serve(own.plugins, self.identifier, self._definition, told, self._defaults)
        raise LMStudioPluginRuntimeError(f"The server serves {self.identifier} no more.")

    def close(self) -> None:
        """Unregister it, and wait until that is done."""
        loop, main = self._loop, self._main
        if loop is not None and main is not None and self._thread.is_alive():
            loop.call_soon_threadsafe(main.cancel)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
