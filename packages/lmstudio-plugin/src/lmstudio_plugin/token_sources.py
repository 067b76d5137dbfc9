"""Generators as handles that predict, and whatever a chat's user chose to predict with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmstudio_core.errors import LMStudioServerError
from lmstudio_core.program.tracebacks import Short
from lmstudio_core.protocol.runner import AsyncRunner, SyncRunner
from lmstudio_llm.models.aio import AsyncLLM
from lmstudio_llm.models.sync import LLM
from lmstudio_llm.sources import BaseSettings, PluginGenerator, give_source

from .data import PredictionProcess, TokenSource
from .operations import config_specifier, plugin_text

__all__ = ["AsyncGenerator", "Generator", "generator_source", "token_source_handle"]


def generator_source(
    plugin_identifier: str,
    config: Mapping[str, Any] | None,
    working_directory: str | None,
    process: PredictionProcess | None,
) -> PluginGenerator:
    """How a plugin's generator is asked.

    Raises:
        LMStudioValueError: The name is none, or both a process and a config are given.
    """
    specifier = config_specifier(config, working_directory, process)
    return PluginGenerator(plugin_text("plugin_identifier", plugin_identifier), specifier)


class Generator(Short):  # public
    """A generator of an LM Studio plugin, in the place of a model.

    ``respond``, ``respond_stream``, ``act`` and ``act_stream`` take what a model's take; of settings,
    a generator gets the tools alone.

    Example:
        >>> client.plugins.generator("owner/name").respond("Hello!")  # doctest: +SKIP
    """

    def __init__(self, source: PluginGenerator, client: SyncRunner) -> None:
        self.plugin_identifier: str = source.plugin_identifier
        self._model = LLM(source.plugin_identifier, client)
        give_source(self._model, source)

    def __repr__(self) -> str:
        return f"<Generator {self.plugin_identifier}>"

    def respond(self, history: Any, **options: Any) -> Any:
        """Answer a chat; see ``LLM.respond``."""
        return self._model.respond(history, **options)

    def respond_stream(self, history: Any, **options: Any) -> Any:
        """Answer a chat, piece by piece; see ``LLM.respond_stream``."""
        return self._model.respond_stream(history, **options)

    def act(self, chat: Any, tools: Any = (), **options: Any) -> Any:
        """Work with tools until it answers; see ``LLM.act``."""
        return self._model.act(chat, tools, **options)

    def act_stream(self, chat: Any, tools: Any = (), **options: Any) -> Any:
        """The same as a stream of all that happens; see ``LLM.act_stream``."""
        return self._model.act_stream(chat, tools, **options)


class AsyncGenerator(Short):  # public
    """A generator of an LM Studio plugin, in the place of a model, for asyncio.

    ``respond``, ``respond_stream``, ``act`` and ``act_stream`` take what a model's take; of settings,
    a generator gets the tools alone.

    Example:
        >>> await client.plugins.generator("owner/name").respond("Hello!")  # doctest: +SKIP
    """

    def __init__(self, source: PluginGenerator, client: AsyncRunner) -> None:
        self.plugin_identifier: str = source.plugin_identifier
        self._model = AsyncLLM(source.plugin_identifier, client)
        give_source(self._model, source)

    def __repr__(self) -> str:
        return f"<AsyncGenerator {self.plugin_identifier}>"

    async def respond(self, history: Any, **options: Any) -> Any:
        """Answer a chat; see ``LLM.respond``."""
        return await self._model.respond(history, **options)

    def respond_stream(self, history: Any, **options: Any) -> Any:
        """Answer a chat, piece by piece; see ``LLM.respond_stream``."""
        return self._model.respond_stream(history, **options)

    async def act(self, chat: Any, tools: Any = (), **options: Any) -> Any:
        """Work with tools until it answers; see ``LLM.act``."""
        return await self._model.act(chat, tools, **options)

    def act_stream(self, chat: Any, tools: Any = (), **options: Any) -> Any:
        """The same as a stream of all that happens; see ``LLM.act_stream``."""
        return self._model.act_stream(chat, tools, **options)


async def token_source_handle(
    client: AsyncRunner,
    source: TokenSource,
    values: Mapping[str, Any],
    process: PredictionProcess,
) -> Any:
    """A handle for what a chat predicts with; a model has the chat's settings below the caller's.

    Raises:
        LMStudioServerError: The server named neither a model nor a generator.
    """
    if source.type == "generator" and source.plugin_identifier:
        found = generator_source(source.plugin_identifier, None, None, process)
        return AsyncGenerator(found, client)
    if source.type == "model" and source.identifier:
        model = await client.capability("llm").model(source.identifier)
        give_source(model, BaseSettings(values))
        return model
    raise LMStudioServerError(
        f"The server named nothing to predict with: {source.type or 'no type'!r}.",
        endpoint="plugins.processingGetOrLoadTokenSource",
    )
