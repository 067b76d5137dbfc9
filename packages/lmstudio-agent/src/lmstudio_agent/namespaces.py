"""``client.agent``: models that work with tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from lmstudio_core.errors import LMStudioPredictionError
from lmstudio_core.models.handles import AsyncModelHandle, SyncModelHandle
from lmstudio_core.namespaces.base import AsyncNamespace, SyncNamespace
from lmstudio_llm.chat import ChatInput
from lmstudio_llm.config import LlmPredictionConfig
from lmstudio_llm.fragments import LlmPredictionFragment
from lmstudio_llm.messages import AssistantResponse, ToolCallRequest, ToolResultMessage
from lmstudio_llm.results import PredictionRoundResult
from lmstudio_llm.tools import ToolDefinition

from .operations import act_op
from .options import ActOptions
from .results import ActResult

__all__ = ["AgentNamespace", "AsyncAgentNamespace"]


class AgentNamespace(SyncNamespace):
    """Agents of a ``Client``; ``LLM.act`` leads here.

    Example:
        ``client.agent.act(model, "What is 6 times 7?", [multiply])``
    """

    server_namespace: ClassVar[str] = "llm"

    def act(
        self,
        model: SyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: LlmPredictionConfig | Mapping[str, Any] | None = None,
        preset: str | None = None,
        on_message: Callable[[AssistantResponse | ToolResultMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: (
            Callable[[LMStudioPredictionError, ToolCallRequest | None], Any] | None
        ) = None,
    ) -> ActResult:
        """Let a model work with tools, round by round, until it answers without calling one.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed. ``on_message=chat.append`` keeps it
                current.
            tools: Functions with type hints and a docstring (``async`` ones too), tool
                definitions, or definitions as dicts. Arguments are coerced to the hints. A tool in
                the server's form has no implementation: its call ends the run and is handed back
                as ``pending``.
            max_prediction_rounds: How many predictions to make at most, from 1. In the last one
                the model gets no tools, so that it has to answer.
            max_parallel_tool_calls: How many tools to run at the same time; ``None`` for a number
                that fits this machine's processors.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            on_message: Called with every message that the run adds: the assistant's responses and
                the results of tools.
            on_first_token: Called with the round when its first fragment arrives.
            on_prediction_fragment: Called with every fragment and its round.
            on_round_start: Called with the round before its prediction.
            on_round_end: Called with the round after its tools have run.
            on_prediction_completed: Called with every prediction's result (``round_index`` in it).
            on_prompt_processing_progress: Called with the progress (0.0 to 1.0) and the round. This
                and the two callbacks for tokens are called while the answer is being read, and
                have to be plain functions; all others may be ``async``.
            handle_invalid_tool_request: Called with the error and the request when a tool is not
                known, its arguments do not fit, or it raised (``error.__cause__`` is what). Return
                ``None`` to let the model get the error's text, or another text for it; raise to
                end the run. Called with ``None`` as the request when a tool call could not be read
                at all; that error is raised after it.

        Returns:
            The number of rounds and the duration in seconds; the final text, the transcript, every
            tool call and the token usage besides. Rounds are counted from 0 everywhere.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
            LMStudioPredictionError: The model wrote a tool call that cannot be read.
            Exception: Whatever ``handle_invalid_tool_request`` raises. Exceptions of other
                callbacks are logged, those of tools are reported to the model.

        Example:
            >>> def multiply(a: float, b: float) -> float:
            ...     '''Multiply two numbers.'''
            ...     return a * b
            >>> model.act("What is 6 times 7?", [multiply], on_message=print)
        """
        options = ActOptions(
            max_prediction_rounds=max_prediction_rounds,
            max_parallel_tool_calls=max_parallel_tool_calls,
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_round_start=on_round_start,
            on_round_end=on_round_end,
            on_prediction_completed=on_prediction_completed,
            on_prompt_processing_progress=on_prompt_processing_progress,
            handle_invalid_tool_request=handle_invalid_tool_request,
        )
        return self._client.run(
            act_op(model.identifier, chat, tools, options, config=config, preset=preset)
        )


class AsyncAgentNamespace(AsyncNamespace):
    """Agents of an ``AsyncClient``; ``AsyncLLM.act`` leads here.

    Example:
        ``await client.agent.act(model, "What is 6 times 7?", [multiply])``
    """

    server_namespace: ClassVar[str] = "llm"

    async def act(
        self,
        model: AsyncModelHandle,
        chat: ChatInput,
        tools: Iterable[ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: LlmPredictionConfig | Mapping[str, Any] | None = None,
        preset: str | None = None,
        on_message: Callable[[AssistantResponse | ToolResultMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: (
            Callable[[LMStudioPredictionError, ToolCallRequest | None], Any] | None
        ) = None,
    ) -> ActResult:
        """Let a model work with tools, round by round, until it answers without calling one.

        Args:
            model: The model's handle.
            chat: The conversation so far; it is not changed. ``on_message=chat.append`` keeps it
                current.
            tools: Functions with type hints and a docstring (``async`` ones too), tool
                definitions, or definitions as dicts. Functions that are not ``async`` run in
                threads. Arguments are coerced to the hints. A tool in the server's form has no
                implementation: its call ends the run and is handed back as ``pending``.
            max_prediction_rounds: How many predictions to make at most, from 1. In the last one
                the model gets no tools, so that it has to answer.
            max_parallel_tool_calls: How many tools to run at the same time; ``None`` for a number
                that fits this machine's processors.
            config: How to predict: a config object or a dict.
            preset: The name of a preset of the server.
            on_message: Called with every message that the run adds: the assistant's responses and
                the results of tools.
            on_first_token: Called with the round when its first fragment arrives.
            on_prediction_fragment: Called with every fragment and its round.
            on_round_start: Called with the round before its prediction.
            on_round_end: Called with the round after its tools have run.
            on_prediction_completed: Called with every prediction's result (``round_index`` in it).
            on_prompt_processing_progress: Called with the progress (0.0 to 1.0) and the round. This
                and the two callbacks for tokens are called while the answer is being read, and
                have to be plain functions; all others may be ``async``.
            handle_invalid_tool_request: Called with the error and the request when a tool is not
                known, its arguments do not fit, or it raised (``error.__cause__`` is what). Return
                ``None`` to let the model get the error's text, or another text for it; raise to
                end the run. Called with ``None`` as the request when a tool call could not be read
                at all; that error is raised after it.

        Returns:
            The number of rounds and the duration in seconds; the final text, the transcript, every
            tool call and the token usage besides. Rounds are counted from 0 everywhere.

        Raises:
            LMStudioValueError: A limit, the chat or a tool cannot be right; nothing was sent.
            LMStudioPredictionError: The model wrote a tool call that cannot be read.
            Exception: Whatever ``handle_invalid_tool_request`` raises. Exceptions of other
                callbacks are logged, those of tools are reported to the model.

        Example:
            >>> def multiply(a: float, b: float) -> float:
            ...     '''Multiply two numbers.'''
            ...     return a * b
            >>> await model.act("What is 6 times 7?", [multiply], on_message=print)
        """
        options = ActOptions(
            max_prediction_rounds=max_prediction_rounds,
            max_parallel_tool_calls=max_parallel_tool_calls,
            on_message=on_message,
            on_first_token=on_first_token,
            on_prediction_fragment=on_prediction_fragment,
            on_round_start=on_round_start,
            on_round_end=on_round_end,
            on_prediction_completed=on_prediction_completed,
            on_prompt_processing_progress=on_prompt_processing_progress,
            handle_invalid_tool_request=handle_invalid_tool_request,
        )
        return await self._client.run(
            act_op(model.identifier, chat, tools, options, config=config, preset=preset)
        )
