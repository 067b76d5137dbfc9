"""``act``: what another package carries out for a model; for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from typing_extensions import Unpack

from lmstudio_core.models.handles import AsyncDraftingHandle

from ..chat import ChatInput
from ..options import InvalidToolRequestHandler, PredictionConfigInput
from ..schemas import DataFormat, GbnfGrammar, ResponseSchema, TypedFormat

if TYPE_CHECKING:
    from lmstudio_agent import ActResult, AsyncActStream, Toolset
    from lmstudio_agent.options import ActKeywords
    from lmstudio_agent.toolsets import ToolInput

    from ..fragments import LlmPredictionFragment
    from ..messages import AnyChatMessage, ToolCallRequest
    from ..results import PredictionRoundResult

__all__ = ["AsyncActingHandle"]

_HINTS: Final = {
    "ActKeywords": "lmstudio_agent.options:ActKeywords",
    "ToolInput": "lmstudio_agent.toolsets:ToolInput",
}

T = TypeVar("T")


class AsyncActingHandle(AsyncDraftingHandle):
    """A loaded model that can work with tools, for asyncio."""

    @overload
    async def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[T]: ...
    @overload
    async def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[dict[str, Any]]: ...
    @overload
    async def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> ActResult[str]: ...
    async def act(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Iterable[Toolset | str] = (),
        max_prediction_rounds: int | None = None,
        max_parallel_tool_calls: int | None = 1,
        max_tool_calls: int | None = None,
        max_calls_per_tool: int | Mapping[str, int] | None = None,
        tool_timeout: float | Mapping[str, float] | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = None,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: Callable[[AnyChatMessage], Any] | None = None,
        on_first_token: Callable[[int], Any] | None = None,
        on_prediction_fragment: Callable[[LlmPredictionFragment, int], Any] | None = None,
        on_round_start: Callable[[int], Any] | None = None,
        on_round_end: Callable[[int], Any] | None = None,
        on_prediction_completed: Callable[[PredictionRoundResult[Any]], Any] | None = None,
        on_prompt_processing_progress: Callable[[float, int], Any] | None = None,
        handle_invalid_tool_request: InvalidToolRequestHandler | None = None,
        guard_tool_call: Callable[[ToolCallRequest], Any] | None = None,
    ) -> ActResult[Any]:
        """Let the model work with tools, round by round, until it answers without calling one.

        Needs the package ``lmstudio-agent``, which runs it. Rounds are counted from 0.

        Args:
            chat: The conversation so far; it is not changed. ``on_message=chat.append`` keeps it
                current.
            tools: Functions with type hints and docstrings (``async`` ones too), ``ToolFunctionDef``
                or dicts, toolsets. A tool in the server's form has no implementation: its call
                ends the run and is handed back as ``pending``.
            response_format: What the final answer has to be, as for ``respond``: a last round
                without tools gives it, and the result has it as ``value``.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            max_prediction_rounds: The most rounds; in the last one the model gets no tools.
            max_parallel_tool_calls: How many tools run at once; ``None`` goes by the CPUs.
            max_tool_calls: How many calls at most in the run, denied ones included (not those whose
                arguments do not fit); after them the model gets no tools, so that it has to answer.
            max_calls_per_tool: How many calls of each tool, or a dict with the limits of some.
            tool_timeout: How many seconds a call may take, or a dict with the limits of some
                tools. ``async`` tools are cancelled then; others are left behind in their thread.
            timeout: How many seconds the whole run may take; a tool that runs then is treated as
                by ``tool_timeout``.
            idle_timeout: How many seconds the server may be silent in a prediction.
            config: Settings of each prediction.
            preset: The name of one of the server's presets.
            on_message: Called with each of the model's responses and with the tools' results.
            on_first_token: Called with the round's number when its first fragment comes.
            on_prediction_fragment: Called with each fragment and the round's number.
            on_round_start: Called with the round's number.
            on_round_end: The same, at its end.
            on_prediction_completed: Called with the result of each round's prediction.
            on_prompt_processing_progress: Called with a ratio and the round's number. This and
                the two callbacks for tokens have to be plain functions; others may be ``async``.
            handle_invalid_tool_request: Called with the error and the request when a tool is not
                known, its arguments do not fit, or it raised. What it returns is told to the
                model instead of the error; it may raise to end the run. Called with ``None`` as
                the request if a call could not be read at all; that error is raised after it.
            guard_tool_call: Called with each request before its tool runs. It returns ``None`` to
                allow the call, text (the reason) to deny it, or a dict of arguments to be used
                instead; it may raise to end the run.

        Returns:
            The final text or value, the transcript, every call, the rounds and their tokens.

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
            "ActResult[Any]",
            await agent.act(
                self,
                chat,
                tools,
                response_format=response_format,
                toolsets=toolsets,
                max_prediction_rounds=max_prediction_rounds,
                max_parallel_tool_calls=max_parallel_tool_calls,
                max_tool_calls=max_tool_calls,
                max_calls_per_tool=max_calls_per_tool,
                tool_timeout=tool_timeout,
                timeout=timeout,
                idle_timeout=idle_timeout,
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
                guard_tool_call=guard_tool_call,
            ),
        )

    @overload
    def act_stream(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: TypedFormat[T],
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[T]: ...
    @overload
    def act_stream(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: DataFormat,
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[dict[str, Any]]: ...
    @overload
    def act_stream(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: GbnfGrammar | None = None,
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[str]: ...
    def act_stream(
        self,
        chat: ChatInput,
        tools: Iterable[ToolInput] = (),
        *,
        response_format: ResponseSchema | None = None,
        toolsets: Iterable[Toolset | str] = (),
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        **options: Unpack[ActKeywords],
    ) -> AsyncActStream[Any]:
        """``act`` as a stream of everything that happens: fragments, tool calls, results, rounds.

        Args:
            chat: The conversation so far; it is not changed.
            tools: Functions, tool definitions, toolsets.
            response_format: What the final answer has to be.
            toolsets: Toolsets, or the names of toolsets that plugins offer.
            config: Settings of each prediction.
            preset: The name of one of the server's presets.
            **options: The limits and callbacks of ``act``.

        Returns:
            The stream. It has the result that ``act`` gives once it has ended; leaving it early
            ends the run.

        Raises:
            CapabilityNotInstalledError: ``lmstudio-agent`` is not installed.
            LMStudioValueError: An argument cannot be right; nothing was sent.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     def multiply(a: int, b: int) -> int:
            ...         'Multiply two whole numbers.'
            ...         return a * b
            ...     async for event in model.act_stream("What is 6 times 7?", [multiply]):
            ...         print(event)
        """
        agent = self._client.capability("agent")
        stream = agent.act_stream(
            self,
            chat,
            tools,
            response_format=response_format,
            toolsets=toolsets,
            config=config,
            preset=preset,
            **options,
        )
        return cast("AsyncActStream[Any]", stream)
