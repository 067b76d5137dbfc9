"""The plugins that are registered with this server."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lmstudio_core.data import nearest
from lmstudio_core.lenient import as_mapping
from lmstudio_core.protocol.setting_kinds import value_problem
from lmstudio_server.errors import WireError, close_matches_text
from lmstudio_server.wire.auth import Credentials

from .hook import Hook, plugin_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmstudio_server.wire.auth import Authenticator

    from .hook import HookName


__all__ = ["Plugin", "PluginHost", "Schematics"]


START_SECONDS: Final = 10.0
"""How long a plugin that was registered may take to start."""

_OFFERS: Final[Mapping[str, str]] = {
    "toolsProvider": "no tools",
    "generator": "no generator",
    "promptPreprocessor": "no prompt preprocessor",
    "predictionLoopHandler": "no prediction loop handler",
}


@dataclass(frozen=True)
class Schematics:
    """The settings that a plugin has declared: by full key, the field as it was sent."""

    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, "Mapping[str, Any]"])

    def values(self, given: Mapping[str, Any], plugin: str) -> dict[str, Any]:
        """All settings: the defaults, with what was given over them.

        Raises:
            WireError: A key is none of the plugin's, or a value does not fit.
        """
        for key, value in given.items():
            if key not in self.fields:
                near = nearest(key, self.fields)
                raise WireError(
                    f'The plugin "{plugin}" has no setting "{key}".',
                    cause=f"Its settings: {', '.join(self.fields) or 'none'}.",
                    suggestion=f'Did you mean "{near}"?' if near else "Leave it out.",
                )
            declared = self.fields[key]
            problem = value_problem(declared["typeKey"], declared["typeParams"], value)
            if problem is not None:
                label = as_mapping(declared["typeParams"]).get("displayName") or key
                raise WireError(
                    f'The setting "{label}" ({key}) of the plugin "{plugin}" {problem}.',
                    suggestion="Give another value, or leave it out for the default.",
                )
        return {**{key: f["defaultValue"] for key, f in self.fields.items()}, **given}


@dataclass(eq=False)
class Plugin:
    """A registered plugin; its own process may be there or not."""

    identifier: str
    credentials: Credentials
    given_globally: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The settings for all chats that the server's configuration sets."""
    hooks: dict[HookName, Hook] = field(default_factory=dict["HookName", "Hook"])
    settings: Schematics = field(default_factory=Schematics)
    global_settings: Schematics = field(default_factory=Schematics)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    completed: bool = False
    """It has said that all its hooks are open."""
    ended: bool = False
    sockets: set[Callable[[], None]] = field(default_factory=set["Callable[[], None]"])
    """What ends each socket of its process."""
    had_process: bool = False

    @property
    def is_dead(self) -> bool:
        """Whether its process was there and is there no more."""
        return self.had_process and not self.sockets

    async def hook(self, name: HookName) -> Hook:
        """A hook of the plugin's; one that is starting is waited for.

        Raises:
            WireError: It has none of that name, or does not start.
        """

        def known() -> bool:
            return name in self.hooks or self.completed or self.ended or self.is_dead

        try:
            async with self.changed:
                await asyncio.wait_for(self.changed.wait_for(known), START_SECONDS)
        except asyncio.TimeoutError:
            pass
        found = self.hooks.get(name)
        if found is None:
            raise self._without(name)
        return found

    async def offers(self, name: HookName) -> bool:
        """Whether it has a hook; while it starts, that is waited for.

        Raises:
            WireError: It is not running.
        """
        try:
            await self.hook(name)
        except WireError:
            if self.completed and self.hooks:
                return False
            raise
        return True

    def global_values(self) -> dict[str, Any]:
        """Its settings for all chats.

        Raises:
            WireError: The server's configuration sets one that it does not have, or not so.
        """
        return self.global_settings.values(self.given_globally, self.identifier)

    def _without(self, name: HookName) -> WireError:
        if self.ended:
            return plugin_gone(self.identifier)
        if self.completed and self.hooks:
            return WireError(f'The plugin "{self.identifier}" has {_OFFERS[name]}.')
        return WireError(
            f'The plugin "{self.identifier}" is not running.',
            cause="Its process has gone." if self.is_dead else "Its process did not start yet.",
            suggestion="Start the plugin's process, or see what it says.",
        )

    async def notify(self) -> None:
        """Tell those who wait for a change."""
        async with self.changed:
            self.changed.notify_all()


class PluginHost:
    """Registers plugins and lets their processes in."""

    def __init__(
        self,
        authenticator: Authenticator,
        global_settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._plugins: dict[str, Plugin] = {}
        self._global_settings = global_settings or {}

    def register(self, identifier: str, *, trusted: bool) -> Plugin:
        """A new plugin, with credentials for its process.

        ``trusted`` is whether that process may do what its registrant may.

        Raises:
            WireError: There is one of that name.
        """
        if identifier in self._plugins:
            raise WireError(
                f'A plugin "{identifier}" is registered already.',
                suggestion="End the program that runs it, or choose another name.",
            )
        credentials = Credentials(
            f"plugin:{identifier}:{secrets.token_urlsafe(6)}"[-256:], secrets.token_urlsafe(24)
        )
        given = self._global_settings.get(identifier, {})
        plugin = self._plugins[identifier] = Plugin(identifier, credentials, given)
        self._authenticator.grant(credentials, trusted=trusted)
        return plugin

    async def unregister(self, plugin: Plugin) -> None:
        """Forget a plugin: its hooks close, and its process is let in no more."""
        self._plugins.pop(plugin.identifier, None)
        self._authenticator.revoke(plugin.credentials)
        plugin.ended = True
        # Its open sockets could go on to predict otherwise, with the rights of whoever registered it.
        for end in list(plugin.sockets):
            end()
        for hook in list(plugin.hooks.values()):
            hook.close()
        await plugin.notify()

    def entered(self, client: str, end: Callable[[], None]) -> None:
        """A socket of a client's opened; ``end`` closes it. Those of plugins are kept in mind."""
        plugin = self.with_credentials(client)
        if plugin is not None:
            plugin.sockets.add(end)
            plugin.had_process = True

    def left(self, client: str, end: Callable[[], None]) -> None:
        """That socket closed."""
        plugin = self.with_credentials(client)
        if plugin is None or end not in plugin.sockets:
            return
        plugin.sockets.discard(end)
        if not plugin.sockets:  # the process ended: another one may take its place
            plugin.completed = False
            self._told = asyncio.ensure_future(plugin.notify())

    def with_credentials(self, client: str) -> Plugin | None:
        """The plugin whose process a client is."""
        for plugin in self._plugins.values():
            if plugin.credentials.identifier == client:
                return plugin
        return None

    def find(self, identifier: str) -> Plugin:
        """The plugin of that name.

        Raises:
            WireError: There is none.
        """
        # The app calls plugins under development dev/owner/name.
        plugin = self._plugins.get(identifier.removeprefix("dev/"))
        if plugin is None:
            raise self._unknown(identifier, sorted(self._plugins))
        return plugin

    def of_client(self, client: str) -> Plugin:
        """The plugin whose process a client is.

        Raises:
            WireError: It is none.
        """
        plugin = self.with_credentials(client)
        if plugin is not None:
            return plugin
        raise WireError(
            "Only a plugin's own process can do this.",
            cause="This client's credentials are not those of a registered plugin.",
            suggestion="Register the plugin, and connect with the credentials that are returned.",
        )

    @staticmethod
    def _unknown(identifier: str, known: Sequence[str]) -> WireError:
        like = [name for name in known if identifier.rpartition("/")[2] in name]
        return WireError(
            f'There is no plugin "{identifier}".',
            cause=f"Plugins ({len(known)}): {', '.join(known[:10]) or 'none'}.",
            suggestion=close_matches_text(
                like, "lmstudio-server has the plugins that programs register with it."
            ),
        )
