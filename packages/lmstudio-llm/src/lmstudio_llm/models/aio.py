"""``AsyncLLM``: a loaded language model, for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from typing_extensions import Unpack

from lmstudio_core.models.kind import ModelKind
from lmstudio_core.timeouts import CallLimits

from .. import operations as ops
from ..chat import ChatInput
from ..kind import LLM_KIND
from ..options import (
    CompleteOptions,
    CompleteStreamOptions,
    PredictionConfigInput,
    RespondOptions,
    RespondStreamOptions,
)
from ..prediction import (
    PredictionCallbacks,
    PredictionFirstTokenCallback,
    PredictionFragmentCallback,
    PredictionMessageCallback,
    PromptProcessingCallback,
)
from ..schemas import DataFormat, GbnfGrammar, ResponseSchema, TypedFormat
from ..streams import AsyncPredictionStream
from ..tools import ToolDefinition
from .contexts import AsyncContextHandle

if TYPE_CHECKING:
    from lmstudio_core.models.infos import LlmInstanceInfo

    from ..config import LlmLoadModelConfig, LlmPredictionConfig
    from ..results import PredictionResult


T = TypeVar("T")


class AsyncLLM(AsyncContextHandle):  # public
    """A loaded language model, for asyncio.

    Made by ``await client.llm.model(...)``.

    Args:
        model_identifier: The identifier of the loaded instance.
        client: The client that it is reached through.

    Example:
        >>> async def main() -> None:
        ...     model = await client.llm.model("pocket")
        ...     print(await model.respond("What is the capital of France?"))
    """

    _kind: ClassVar[ModelKind] = LLM_KIND

    if TYPE_CHECKING:

        async def get_info(self, **limits: Unpack[CallLimits]) -> LlmInstanceInfo: ...  # noqa: D102
        async def get_load_config(self, **limits: Unpack[CallLimits]) -> LlmLoadModelConfig: ...  # noqa: D102
        async def base_prediction_config(  # noqa: D102
            self, *, ignore_server_session_config: bool = False, **limits: Unpack[CallLimits]
        ) -> LlmPredictionConfig: ...

    @overload
    async def respond(
        self,
        history: ChatInput,
        *,
        response_format: TypedFormat[T],
        **options: Unpack[RespondOptions],
    ) -> PredictionResult[T]: ...
    @overload
    async def respond(
        self,
        history: ChatInput,
        *,
        response_format: DataFormat,
        **options: Unpack[RespondOptions],
    ) -> PredictionResult[dict[str, Any]]: ...
    @overload
    async def respond(
        self,
        history: ChatInput,
        *,
        response_format: GbnfGrammar | None = ...,
        **options: Unpack[RespondOptions],
    ) -> PredictionResult[str]: ...
    async def respond(
        self,
        history: ChatInput,
        *,
        response_format: ResponseSchema | None = None,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        tools: Iterable[ToolDefinition] | None = None,
        tool_choice: ops.ToolChoice | None = None,
        retries: int = 0,
        strict: bool = False,
        **limits: Unpack[CallLimits],
    ) -> PredictionResult[Any]:
        """Let the model answer.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            response_format: What the output has to be: a pydantic model or another class with
                ``model_json_schema``, a dataclass, a TypedDict, a JSON schema as a dict, or a
                ``GbnfGrammar``. ``result.value`` is then an instance of the class.
            config: Settings: an ``LlmPredictionConfig``, or a dict in either spelling.
            preset: The name of one of the server's presets.
            on_message: Called with the whole response at the end; ``chat.append`` fits.
            on_first_token: Called when the first fragment comes.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with how much of the prompt is read, 0.0 to 1.0.
            tools: What the model may call: functions, ``ToolFunctionDef`` or dicts. They are not
                run: ``result.tool_calls`` holds the calls. ``act()`` runs tools.
            tool_choice: ``"auto"``, ``"required"`` or ``"none"``.
            retries: How often to ask again if the output does not satisfy ``response_format``; the
                model is shown what is wrong. The callbacks hear of every attempt, ``on_message``
                of the last one alone.
            strict: Whether output that does not satisfy ``response_format``, because it was cut
                off say, is an error at once. Else the result has the text, and ``result.parsed``
                raises that error.
            **limits: ``timeout`` for the whole call and ``idle_timeout`` for silence, in seconds.

        Returns:
            The text, the numbers, and what was used to make it.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioPredictionError: The server could not finish the prediction, or (if ``strict``)
                the output is not in its format.
            LMStudioTimeoutError: It took longer than the limits allow; the server was told to stop.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     result = await model.respond("What is the capital of France?")
            ...     print(result.content, result.stats.stop_reason)
        """
        prediction = ops.respond(
            self,
            history,
            response_format=response_format,
            config=config,
            preset=preset,
            tools=tools,
            tool_choice=tool_choice,
            retries=retries,
            strict=strict,
            callbacks=PredictionCallbacks(
                on_message, on_first_token, on_prediction_fragment, on_prompt_processing_progress
            ),
        )
        return await self._client.run(prediction.op(), **limits)

    @overload
    def respond_stream(
        self,
        history: ChatInput,
        *,
        response_format: TypedFormat[T],
        **options: Unpack[RespondStreamOptions],
    ) -> AsyncPredictionStream[T]: ...
    @overload
    def respond_stream(
        self,
        history: ChatInput,
        *,
        response_format: DataFormat,
        **options: Unpack[RespondStreamOptions],
    ) -> AsyncPredictionStream[dict[str, Any]]: ...
    @overload
    def respond_stream(
        self,
        history: ChatInput,
        *,
        response_format: GbnfGrammar | None = ...,
        **options: Unpack[RespondStreamOptions],
    ) -> AsyncPredictionStream[str]: ...
    def respond_stream(
        self,
        history: ChatInput,
        *,
        response_format: ResponseSchema | None = None,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        tools: Iterable[ToolDefinition] | None = None,
        tool_choice: ops.ToolChoice | None = None,
        strict: bool = False,
        **limits: Unpack[CallLimits],
    ) -> AsyncPredictionStream[Any]:
        """Let the model answer, piece by piece.

        Args:
            history: A ``Chat``, a string (one user message), or a dict with ``messages``.
            response_format: What the output has to be; see ``respond``.
            config: Settings: an ``LlmPredictionConfig``, or a dict in either spelling.
            preset: The name of one of the server's presets.
            on_message: Called with the whole output at the end, as a message.
            on_first_token: Called when the first fragment comes.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with how much of the prompt is read, 0.0 to 1.0.
            tools: What the model may call; see ``respond``.
            tool_choice: ``"auto"``, ``"required"`` or ``"none"``.
            strict: Whether output that does not satisfy ``response_format`` is an error at once.
            **limits: ``timeout`` for the whole call and ``idle_timeout`` for silence, in seconds.

        Returns:
            A stream: iterate over it for the fragments (``stream.events()`` gives tool calls in
            the making and the prompt's progress as well), then call ``stream.result()``. The
            request is sent when it is first used.
            It can be awaited, too, and be iterated over directly.

        Raises:
            LMStudioValueError: An argument cannot be right. What the server has to say against it
                is raised by the stream.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     async for fragment in model.respond_stream("Name a colour."):
            ...         print(fragment.content, end="")
        """
        prediction = ops.respond(
            self,
            history,
            response_format=response_format,
            config=config,
            preset=preset,
            tools=tools,
            tool_choice=tool_choice,
            strict=strict,
            callbacks=PredictionCallbacks(
                on_message, on_first_token, on_prediction_fragment, on_prompt_processing_progress
            ),
        )
        return AsyncPredictionStream(self._client, prediction, limits)

    @overload
    async def complete(
        self, prompt: str, *, response_format: TypedFormat[T], **options: Unpack[CompleteOptions]
    ) -> PredictionResult[T]: ...
    @overload
    async def complete(
        self, prompt: str, *, response_format: DataFormat, **options: Unpack[CompleteOptions]
    ) -> PredictionResult[dict[str, Any]]: ...
    @overload
    async def complete(
        self,
        prompt: str,
        *,
        response_format: GbnfGrammar | None = ...,
        **options: Unpack[CompleteOptions],
    ) -> PredictionResult[str]: ...
    async def complete(
        self,
        prompt: str,
        *,
        response_format: ResponseSchema | None = None,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        retries: int = 0,
        strict: bool = False,
        **limits: Unpack[CallLimits],
    ) -> PredictionResult[Any]:
        """Let the model continue a text, without any chat template.

        Args:
            prompt: The text.
            response_format: What the continuation has to be; see ``respond``.
            config: Settings; those about tools and reasoning have no meaning here.
            preset: The name of one of the server's presets; its stop strings do not apply.
            on_message: Called with the continuation at the end, as a message.
            on_first_token: Called when the first fragment comes.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with how much of the prompt is read, 0.0 to 1.0.
            retries: How often to try again if the output does not satisfy ``response_format``.
            strict: See ``respond``.
            **limits: ``timeout`` for the whole call and ``idle_timeout`` for silence, in seconds.

        Returns:
            The continuation (without the prompt), the numbers, and what was used to make it.

        Raises:
            LMStudioValueError: An argument cannot be right; nothing was sent.
            LMStudioModelNotFoundError: The model is no longer loaded.
            LMStudioPredictionError: The server could not finish the prediction, or (if ``strict``)
                the output is not in its format.
            LMStudioTimeoutError: It took longer than the limits allow; the server was told to stop.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     print(await model.complete("Once upon a time", config={"maxTokens": 20}))
        """
        prediction = ops.complete(
            self,
            prompt,
            response_format=response_format,
            config=config,
            preset=preset,
            support=ops.support_of(self._client),
            retries=retries,
            strict=strict,
            callbacks=PredictionCallbacks(
                on_message, on_first_token, on_prediction_fragment, on_prompt_processing_progress
            ),
        )
        return await self._client.run(prediction.op(), **limits)

    @overload
    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: TypedFormat[T],
        **options: Unpack[CompleteStreamOptions],
    ) -> AsyncPredictionStream[T]: ...
    @overload
    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: DataFormat,
        **options: Unpack[CompleteStreamOptions],
    ) -> AsyncPredictionStream[dict[str, Any]]: ...
    @overload
    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: GbnfGrammar | None = ...,
        **options: Unpack[CompleteStreamOptions],
    ) -> AsyncPredictionStream[str]: ...
    def complete_stream(
        self,
        prompt: str,
        *,
        response_format: ResponseSchema | None = None,
        config: PredictionConfigInput | None = None,
        preset: str | None = None,
        on_message: PredictionMessageCallback | None = None,
        on_first_token: PredictionFirstTokenCallback | None = None,
        on_prediction_fragment: PredictionFragmentCallback | None = None,
        on_prompt_processing_progress: PromptProcessingCallback | None = None,
        strict: bool = False,
        **limits: Unpack[CallLimits],
    ) -> AsyncPredictionStream[Any]:
        """Let the model continue a text, piece by piece; see ``complete`` and ``respond_stream``.

        Args:
            prompt: The text.
            response_format: What the output has to be; see ``respond``.
            config: Settings: an ``LlmPredictionConfig``, or a dict in either spelling.
            preset: The name of one of the server's presets.
            on_message: Called with the whole output at the end, as a message.
            on_first_token: Called when the first fragment comes.
            on_prediction_fragment: Called with each fragment.
            on_prompt_processing_progress: Called with how much of the prompt is read, 0.0 to 1.0.
            strict: Whether output that does not satisfy ``response_format`` is an error at once.
            **limits: ``timeout`` for the whole call and ``idle_timeout`` for silence, in seconds.

        Returns:
            A stream of the fragments; its ``result()`` is what ``complete`` gives.

        Example:
            >>> async def main() -> None:
            ...     model = await client.llm.model("pocket")
            ...     async for fragment in model.complete_stream("Once upon a time"):
            ...         print(fragment.content, end="")
        """
        prediction = ops.complete(
            self,
            prompt,
            response_format=response_format,
            config=config,
            preset=preset,
            support=ops.support_of(self._client),
            strict=strict,
            callbacks=PredictionCallbacks(
                on_message, on_first_token, on_prediction_fragment, on_prompt_processing_progress
            ),
        )
        return AsyncPredictionStream(self._client, prediction, limits)
