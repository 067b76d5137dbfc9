"""Completion of model names in a shell: quick, silent, and of a server that runs already."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from lmstudio_core.program.progress import size_text

from .common import new_client, starting_none

if TYPE_CHECKING:
    from lmstudio_core.client import Client
    from lmstudio_core.models.specifiers import ModelDomain

__all__ = ["LoadedModel", "ModelKey", "completing", "give_types"]

_SECONDS: Final = 2.0
"""Nobody waits longer for a list that is only a help."""

_KINDS: Final[dict[str, ModelDomain]] = {
    "agent": "llm",
    "chat": "llm",
    "complete": "llm",
    "embed": "embedding",
    "similar": "embedding",
}
"""The commands that take models of one kind alone."""


class ModelKey(StringParamType):
    """The key of a downloaded model.

    Args:
        kind: ``"llm"`` or ``"embedding"`` to offer only those.
    """

    def __init__(self, kind: ModelDomain | None = None) -> None:
        self._kind: ModelDomain | None = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The keys that begin so, or whose last part does."""
        del param

        def ask(client: Client) -> list[tuple[str, Any]]:
            found = client.models.list_downloaded(self._kind, timeout=_SECONDS)
            return [(entry.model_key, entry.info) for entry in found]

        return _items(_asked(ctx, ask), incomplete)


class LoadedModel(StringParamType):
    """The identifier of a loaded model."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The identifiers that begin so and are not there yet."""
        given: Any = ctx.params.get(param.name or "") or ()

        def ask(client: Client) -> list[tuple[str, Any]]:
            handles = client.models.list_loaded(timeout=_SECONDS)
            wanted = [one for one in handles if one.identifier not in given]
            return [(one.identifier, one.get_info(timeout=_SECONDS)) for one in wanted]

        return _items(_asked(ctx, ask), incomplete)


def _items(infos: list[tuple[str, Any]], incomplete: str) -> list[CompletionItem]:
    def fits(name: str) -> bool:
        return name.startswith(incomplete) or name.rpartition("/")[2].startswith(incomplete)

    return [
        CompletionItem(name, help=f"{info.type}, {size_text(info.size_bytes)}")
        for name, info in infos
        if fits(name)
    ]


def _asked(
    ctx: click.Context, ask: Callable[[Client], list[tuple[str, Any]]]
) -> list[tuple[str, Any]]:
    """What a server that runs says; nothing, whatever goes wrong."""
    host, api_token = ctx.params.get("host"), ctx.params.get("api_token")
    try:
        with starting_none(), new_client(host, api_token) as client:
            return ask(client)
    except Exception:  # noqa: BLE001 - a shell that completes is no place for errors
        return []


def completing() -> bool:
    """Whether this process was started by a shell that wants something completed."""
    return "_LMSTUDIO_COMPLETE" in os.environ


def give_types(command: click.Command) -> click.Command:
    """Let the parameters of a plugin's command that name a model complete it."""
    for param in command.params:
        if param.name in ("model", "model_key") and param.type is click.STRING:
            param.type = ModelKey(_KINDS.get(command.name or ""))
    return command
