"""``act``: the one method of a model that another package carries out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from lmstudio_core.models.handles import AsyncDraftingHandle, DraftingHandle

from ..chat import ChatInput
from ..tools import ToolDefinition

if TYPE_CHECKING:
    from lmstudio_agent import ActResult

    from ..fragments import LlmPredictionFragment
    from ..messages import AssistantResponse, ToolResultMessage
    from ..options import InvalidToolRequestHandler, PredictionConfigInput
    from ..results import PredictionRoundResult

__all__ = ["ActingHandle", "AsyncActingHandle"]


class ActingHandle(DraftingHandle):
    """A loaded model that can work with tools."""

    def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: Callable[[AssistantResponse | ToolResultMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: InvalidToolRequestHandler | None = None,
    ) -> ActResult:
        """Let the model work with tools, round by round, until it answers without calling one.

        Needs the package ``lmstudio-agent``, which runs it; see ``client.agent.act``.

        Args:
            chat: The conversation so far; it is not changed.
            tools: Functions with type hints and docstrings, ``ToolFunctionDef`` or dicts.
            max_prediction_rounds: The most rounds; in the last one the model gets no tools.
            max_parallel_tool_calls: How many tools run at once; ``None`` goes by the CPUs.
            config: Settings of each prediction.
            preset: The name of one of the server's presets.
            on_message: Called with each of the model's responses and with the tools' results.
            on_first_token: Called with the round's number when its first fragment comes.
            on_prediction_fragment: Called with each fragment and the round's number.
            on_round_start: Called with the round's number, counting from 0.
            on_round_end: The same, at its end.
            on_prediction_completed: Called with the result of each round's prediction.
            on_prompt_processing_progress: Called with a ratio and the round's number.
            handle_invalid_tool_request: Called with the error and the request (``None`` if it
                could not be read); what it returns is told to the model instead of the error.

        Returns:
            How many rounds it took, and how long.

        Raises:
            CapabilityNotInstalledError: ``lmstudio-agent`` is not installed.
            LMStudioValueError: An argument cannot be right; nothing was sent.
            LMStudioPredictionError: A prediction could not be finished.

        Example:
            >>> def multiply(a: int, b: int) -> int:
            ...     'Multiply two whole numbers.'
            ...     return a * b
            >>> model.act("What is 6 times 7?", [multiply], on_message=print)
        """
        agent = self._client.capability("agent")
        return cast(
            "ActResult",
            agent.act(
                self,
                chat,
                tools,
                max_prediction_rounds=max_prediction_rounds,
                max_parallel_tool_calls=max_parallel_tool_calls,
                config=config,
                preset=preset,
                on_message=on_message,
                on_first_token=on_first_token,
                on_prediction_fragment=on_prediction_fragment,
                on_round_start=on_round_start,
                on_round_end=on_round_end,
                on_prediction_completed=on_prediction_completed,
                on_prompt_processing_progress=on_prompt_processing_progress,
                handle_invalid_tool_request=handle_invalid_tool_request,
            ),
        )


class AsyncActingHandle(AsyncDraftingHandle):
    """A loaded model that can work with tools, for asyncio."""

    async def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolDefinition],
        *,
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: Callable[[AssistantResponse | ToolResultMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: InvalidToolRequestHandler | None = None,
    ) -> ActResult:
        """Let the model work with tools, round by round, until it answers without calling one.

        Needs the package ``lmstudio-agent``, which runs it; see ``client.agent.act``.

        Args:
            chat: The conversation so far; it is not changed.
            tools: Functions with type hints and docstrings, ``ToolFunctionDef`` or dicts.
            max_prediction_rounds: The most rounds; in the last one the model gets no tools.
            max_parallel_tool_calls: How many tools run at once; ``None`` goes by the CPUs.
            config: Settings of each prediction.
            preset: The name of one of the server's presets.
            on_message: Called with each of the model's responses and with the tools' results.
            on_first_token: Called with the round's number when its first fragment comes.
            on_prediction_fragment: Called with each fragment and the round's number.
            on_round_start: Called with the round's number, counting from 0.
            on_round_end: The same, at its end.
            on_prediction_completed: Called with the result of each round's prediction.
            on_prompt_processing_progress: Called with a ratio and the round's number.
            handle_invalid_tool_request: Called with the error and the request (``None`` if it
                could not be read); what it returns is told to the model instead of the error.

        Returns:
            How many rounds it took, and how long.

        Raises:
            CapabilityNotInstalledError: ``lmstudio-agent`` is not installed.
            LMStudioValueError: An argument cannot be right; nothing was sent.
            LMStudioPredictionError: A prediction could not be finished.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     def multiply(a: int, b: int) -> int:
            ...         'Multiply two whole numbers.'
            ...         return a * b
            ...     await model.act("What is 6 times 7?", [multiply], on_message=print)
        """
        agent = self._client.capability("agent")
        return cast(
            "ActResult",
            await agent.act(
                self,
                chat,
                tools,
                max_prediction_rounds=max_prediction_rounds,
                max_parallel_tool_calls=max_parallel_tool_calls,
                config=config,
                preset=preset,
                on_message=on_message,
                on_first_token=on_first_token,
                on_prediction_fragment=on_prediction_fragment,
                on_round_start=on_round_start,
                on_round_end=on_round_end,
                on_prediction_completed=on_prediction_completed,
                on_prompt_processing_progress=on_prompt_processing_progress,
                handle_invalid_tool_request=handle_invalid_tool_request,
            ),
        )
