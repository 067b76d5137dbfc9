"""A plugin's own process: loads the program, tells the server what it offers, and serves until the end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from lmstudio_core.client.aio import AsyncClient
from lmstudio_core.drivers.loops import end_tasks
from lmstudio_core.errors import LMStudioConnectionError
from lmstudio_core.lenient import error_text, is_mapping

from .data import ConfigSchematics
from .definition import Definition, Hook
from .errors import LMStudioPluginRuntimeError, init_error
from .hooks.prediction_loop import run_prediction_loop
from .hooks.prompt_preprocessor import run_prompt_preprocessor
from .hooks.token_generator import run_token_generator
from .hooks.tools_provider import run_tools_provider
from .manifest import read_project
from .program import load_definition

__all__ = [
    "ENV_CLIENT_ID",
    "ENV_CLIENT_KEY",
    "PluginClient",
    "get_plugin_credentials_from_env",
    "run_plugin",
    "run_plugin_async",
    "serve",
]

logger: Final = logging.getLogger("lmstudio.plugin")

ENV_CLIENT_ID: Final = "LMS_PLUGIN_CLIENT_IDENTIFIER"
ENV_CLIENT_KEY: Final = "LMS_PLUGIN_CLIENT_PASSKEY"
ENV_BASE_URL: Final = "LMS_PLUGIN_BASE_URL"
ENV_DEFAULTS: Final = "LMSTUDIO_PLUGIN_DEFAULTS"
"""JSON: ``{"config": {key: value}, "global": {…}}``, other defaults of settings while developing."""

ReadyCallback = Callable[[], Any]
AnyHookImpl = Callable[..., Awaitable[Any]]
THookImpl = TypeVar("THookImpl", bound=AnyHookImpl)
HookRunner = Callable[[str, Any, Any, Any, Any, ReadyCallback], Awaitable[Any]]

_RUNNERS: Final[Mapping[Hook, HookRunner]] = {
    "prompt_preprocessor": run_prompt_preprocessor,
    "generator": run_token_generator,
    "tools_provider": run_tools_provider,
    "prediction_loop": run_prediction_loop,
}
_HOOK_RUNNERS: Final[dict[str, HookRunner]] = {
    "preprocess_prompt": run_prompt_preprocessor,
    "generate_tokens": run_token_generator,
    "list_provided_tools": run_tools_provider,
}
_PLUGIN_API_STABILITY_WARNING: Final = (
    "Note the plugin API is not yet stable: the official SDK warns of this, this one does not."
)


async def serve(
    session: Any,
    name: str,
    definition: Definition,
    on_ready: Callable[[], Any],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Tell the server what the plugin offers, and answer until the server or a failure ends it.

    Args:
        session: ``client.plugins``, connected as the plugin.
        name: The plugin's name, in messages.
        definition: What it offers.
        on_ready: Called once the server knows all.
        defaults: Other defaults of settings: ``{"config": {key: value}, "global": {…}}``.
    """
    given = defaults or {}
    for schema, set_schematics, key in (
        (definition.config, session.set_config_schematics, "config"),
        (definition.global_config, session.set_global_config_schematics, "global"),
    ):
        schematics = schema._to_kv_config_schematics()  # noqa: SLF001 - the official name
        if schematics is not None:  # without fields there is nothing to tell
            await set_schematics(_with_defaults(schematics, given.get(key) or {}))
        elif given.get(key):
            raise init_error(f"The plugin has no settings for --{key}.", key=key)
    loop = asyncio.get_running_loop()
    ready: list[asyncio.Future[None]] = []
    tasks: list[asyncio.Task[Any]] = []
    for hook, function in definition.hooks.items():
        opened: asyncio.Future[None] = loop.create_future()
        ready.append(opened)
        settings = (definition.config, definition.global_config, session)
        work = _RUNNERS[hook](name, function, *settings, partial(opened.set_result, None))
        tasks.append(asyncio.ensure_future(work))
    try:
        await _opened(ready, tasks)
        await session.plugin_init_completed()
        on_ready()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for opened in ready:
            opened.cancel()
        await end_tasks(tasks)


async def _opened(ready: list[asyncio.Future[None]], tasks: list[asyncio.Task[Any]]) -> None:
    """Wait until all hooks are open; raises what one of them failed with."""
    # The server may use the plugin as soon as it is told that all is there, so nothing may come later.
    waiting: set[asyncio.Future[Any]] = set(ready)
    while waiting:
        done, _ = await asyncio.wait({*waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for future in done:
            future.result()
        if ended := [task for task in tasks if task.done()]:
            raise LMStudioPluginRuntimeError(
                f"The server closed {len(ended)} of the hooks at once."
            )
        waiting -= done


def _with_defaults(schematics: ConfigSchematics, given: Mapping[str, Any]) -> ConfigSchematics:
    """The schematics with other defaults.

    Raises:
        LMStudioPluginInitError: There is no such setting, or it does not take that value.
    """
    from lmstudio_core.protocol.setting_kinds import value_problem

    known = tuple(field.full_key for field in schematics.fields_)
    for key in given:
        if key not in known:
            raise init_error(
                f"There is no setting {key!r}; there are: {', '.join(known)}.", key=key, known=known
            )
    fields: list[Any] = []
    for field in schematics.fields_:
        value = given.get(field.full_key, field.default_value)
        if problem := value_problem(field.type_key, field.type_params, value):
            raise init_error(f"The setting {field.full_key!r} {problem}.", key=field.full_key)
        fields.append(field.model_copy(update={"default_value": value}))
    return ConfigSchematics(fields_=fields)


class PluginClient(AsyncClient):
    """The client of a plugin's own process.

    Args:
        plugin_dir: The plugin's folder.
        client_id: As whom to connect; by default as any program.
        client_key: The passkey that goes with it.

    Raises:
        LMStudioPluginInitError: The folder holds no plugin, or its manifest is wrong.

    Attributes:
        owner: The plugin's owner.
        name: The plugin's name.
    """

    def __init__(
        self,
        plugin_dir: str | os.PathLike[str],
        client_id: str | None = None,
        client_key: str | None = None,
    ) -> None:
        self._project = read_project(Path(plugin_dir))
        self._plugin_path = self._project.folder
        self.owner: str = self._project.owner
        self.name: str = self._project.name
        pair = {"client_identifier": client_id, "client_passkey": client_key}
        super().__init__(
            os.environ.get(ENV_BASE_URL) if client_id else None,
            **({} if client_id is None else pair),  # type: ignore[arg-type]
        )

    async def run_plugin(self, *, allow_local_imports: bool = False) -> int:
        """Serve until the server closes the hooks; the process' exit code.

        Raises:
            LMStudioPluginInitError: The program offers nothing, or not so.
            LMStudioConnectionError: The server is gone.
        """
        definition = load_definition(self._project, allow_local_imports=allow_local_imports)
        name = self._project.identifier

        def say() -> None:
            print(f"Plugin {name!r} is running; press Ctrl-C to end it.", flush=True)  # noqa: T201 - the program's own output

        await serve(self.plugins, name, definition, say, _given_defaults())
        return 0


def _given_defaults() -> Mapping[str, Any]:
    try:
        found: Any = json.loads(os.environ.get(ENV_DEFAULTS) or "{}")
    except ValueError as error:
        raise init_error(f"{ENV_DEFAULTS} is no JSON: {error_text(error)}") from error
    return found if is_mapping(found) else {}


def get_plugin_credentials_from_env() -> tuple[str, str]:
    """Identifier and passkey, as the server or the runner has set them.

    Raises:
        LMStudioPluginRuntimeError: They are not set.
    """
    found = os.environ.get(ENV_CLIENT_ID), os.environ.get(ENV_CLIENT_KEY)
    if not found[0] or not found[1]:
        raise LMStudioPluginRuntimeError(
            f"{ENV_CLIENT_ID} and {ENV_CLIENT_KEY} must both be set. `lmstudio dev` and `python -m "
            "lmstudio.plugin --dev` start a plugin with them."
        )
    return found[0], found[1]


async def run_plugin_async(
    plugin_dir: str | os.PathLike[str], *, allow_local_imports: bool = False
) -> None:  # public
    """Run a plugin in this process, with the credentials of the environment.

    Args:
        plugin_dir: The plugin's folder, which holds ``manifest.json`` and ``src/plugin.py``.
        allow_local_imports: Put its ``src`` onto ``sys.path``.

    Raises:
        LMStudioPluginInitError: It cannot start as it is written.
        LMStudioPluginRuntimeError: The credentials are not set.
        LMStudioConnectionError: The server is not there, or is gone.
    """
    identifier, passkey = get_plugin_credentials_from_env()
    async with PluginClient(plugin_dir, identifier, passkey) as client:
        await client.run_plugin(allow_local_imports=allow_local_imports)
    # The hooks are closed by the server alone: without it, this plugin is of no use.
    raise LMStudioConnectionError(
        "The server has closed the plugin's hooks: it is registered no more."
    )


def run_plugin(
    plugin_dir: str | os.PathLike[str], *, allow_local_imports: bool = False
) -> None:  # public
    """The same as ``run_plugin_async``, for a program without an event loop."""
    asyncio.run(run_plugin_async(plugin_dir, allow_local_imports=allow_local_imports))
