"""``client.agent``: models that work with tools."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar, overload

from typing_extensions import Unpack

from lmstudio_core.models.handles import AsyncModelHandle, SyncModelHandle
from lmstudio_core.namespaces.base import AsyncNamespace, SyncNamespace
from lmstudio_llm.chat import ChatInput
from lmstudio_llm.config_dicts import PredictionConfigInput
from lmstudio_llm.schemas import DataFormat, GbnfGrammar, ResponseSchema, TypedFormat

from .operations import start
from .options import ActKeywords
from .results import ActResult
from .streams import ActStream
from .streams_aio import AsyncActStream
from .toolsets import ToolInput, Toolset

__all__ = ["AgentNamespace", "AsyncAgentNamespace"]

T = TypeVar("T")
Config = PredictionConfigInput | None
Toolsets = Iterable[Toolset | str]


class AgentNamespace(SyncNamespace):
    """Agents of a ``Client``; ``LLM.act`` and ``LLM.act_stream`` lead here.

    Example:
        >>> client.agent.act(model, "What is 6 times 7?", [multiply]).rounds
        2
    """

    server_namespace: ClassVar[str] = "llm"

    @overload
    def act(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[T]: ...
    @overload
    def act(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[dict[str, Any]]: ...
    @overload
    def act(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[str]: ...
    def act(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[Any]:
        """Let a model work with tools, round by round, until it answers without calling one.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed.
            tools: Functions, tool definitions, toolsets; see ``LLM.act``.
            response_format: What the final answer has to be; see ``LLM.act``.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            **options: Limits and callbacks; see ``LLM.act``.

        Returns:
            The final text or value, the transcript, every call, the rounds and their tokens.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
            LMStudioPredictionError: The model wrote a tool call that cannot be read.
            Exception: Whatever ``handle_invalid_tool_request`` or ``guard_tool_call`` raises.
                Exceptions of other callbacks are logged, those of tools reported to the model.
        """
        stream = self.act_stream(
            model,
            chat,
            tools,
            response_format=response_format,
            toolsets=toolsets,
            config=config,
            preset=preset,
            **options,
        )
        return stream.wait_for_result()

    @overload
    def act_stream(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActStream[T]: ...
    @overload
    def act_stream(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActStream[dict[str, Any]]: ...
    @overload
    def act_stream(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActStream[str]: ...
    def act_stream(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActStream[Any]:
        """The same as ``act``, as a stream of everything that happens.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed.
            tools: Functions, tool definitions, toolsets; see ``LLM.act``.
            response_format: What the final answer has to be; see ``LLM.act``.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            **options: Limits and callbacks; see ``LLM.act``.

        Returns:
            A stream of events; after its end it has the result that ``act`` gives.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
        """
        run, op = start(
            model.identifier,
            chat,
            tools,
            options,
            toolsets=toolsets,
            response_format=response_format,
            config=config,
            preset=preset,
            client=self._client,
        )
        return ActStream(self._client, run, op)


class AsyncAgentNamespace(AsyncNamespace):
    """Agents of an ``AsyncClient``; ``AsyncLLM.act`` and ``AsyncLLM.act_stream`` lead here.

    Example:
        >>> async def main() -> None:
        ...     result = await client.agent.act(model, "What is 6 times 7?", [multiply])
        ...     print(result.rounds)
    """

    server_namespace: ClassVar[str] = "llm"

    @overload
    async def act(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[T]: ...
    @overload
    async def act(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[dict[str, Any]]: ...
    @overload
    async def act(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[str]: ...
    async def act(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[Any]:
        """Let a model work with tools, round by round, until it answers without calling one.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed.
            tools: Functions, tool definitions, toolsets; see ``LLM.act``.
            response_format: What the final answer has to be; see ``LLM.act``.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            **options: Limits and callbacks; see ``LLM.act``.

        Returns:
            The final text or value, the transcript, every call, the rounds and their tokens.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
            LMStudioPredictionError: The model wrote a tool call that cannot be read.
            Exception: Whatever ``handle_invalid_tool_request`` or ``guard_tool_call`` raises.
                Exceptions of other callbacks are logged, those of tools reported to the model.
        """
        stream = self.act_stream(
            model,
            chat,
            tools,
            response_format=response_format,
            toolsets=toolsets,
            config=config,
            preset=preset,
            **options,
        )
        return await stream.wait_for_result()

    @overload
    def act_stream(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[T]: ...
    @overload
    def act_stream(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[dict[str, Any]]: ...
    @overload
    def act_stream(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[str]: ...
    def act_stream(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Toolsets = (),
        config: Config = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[Any]:
        """The same as ``act``, as a stream of everything that happens.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed.
            tools: Functions, tool definitions, toolsets; see ``LLM.act``.
            response_format: What the final answer has to be; see ``LLM.act``.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            **options: Limits and callbacks; see ``LLM.act``.

        Returns:
            A stream of events; after its end it has the result that ``act`` gives.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
        """
        run, op = start(
            model.identifier,
            chat,
            tools,
            options,
            toolsets=toolsets,
            response_format=response_format,
            config=config,
            preset=preset,
            client=self._client,
        )
        return AsyncActStream(self._client, run, op)
