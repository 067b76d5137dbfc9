"""The results of predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

from typing_extensions import Self

from lmstudio_core.data import ServerStruct, field_schema
from lmstudio_core.errors import LMStudioPredictionError
from lmstudio_core.lenient import readable
from lmstudio_core.models.infos import LlmInstanceInfo

from .config import LlmLoadModelConfig, LlmPredictionConfig
from .fragments import ToolCallGenerationFailed
from .messages import ToolCallRequest
from .schemas import NoValue

__all__ = [
    "AnyPrediction",
    "ContextUsage",
    "LlmPredictionStats",
    "PredictionResult",
    "PredictionRoundResult",
    "StructuredOutputError",
    "Unread",
]

T = TypeVar("T")
S = TypeVar("S")

AnyPrediction = dict[str, Any] | str
"""What ``parsed`` is for most formats: data, or text."""

_SAME: Final[Any] = object()


class LlmPredictionStats(ServerStruct):  # public
    """Numbers of a prediction.

    Attributes:
        stop_reason: Why it ended: ``eosFound``, ``stopStringFound``, ``toolCalls``,
            ``maxPredictedTokensReached``, ``contextLengthReached``, ``userStopped``,
            ``modelUnloaded`` or ``failed``.
        stop_string: The stop string that was found.
        tokens_per_second: The speed of generation.
        num_gpu_layers: How many of the model's layers are on a GPU.
        time_to_first_token_sec, total_time_sec: In seconds.
        prompt_tokens_count, predicted_tokens_count, total_tokens_count: In tokens.
        used_draft_model_key: The draft model of speculative decoding, and after it how many tokens
            it proposed and what became of them.

    Example:
        >>> stats = model.respond("What is the capital of France?").stats
        >>> stats.stop_reason, stats.predicted_tokens_count
        ('eosFound', 14)
    """

    stop_reason: str = ""
    stop_string: str | None = None
    tokens_per_second: float | None = None
    num_gpu_layers: float | None = None
    time_to_first_token_sec: float | None = None
    total_time_sec: float | None = None
    prompt_tokens_count: int | None = None
    predicted_tokens_count: int | None = None
    total_tokens_count: int | None = None
    used_draft_model_key: str | None = None
    total_draft_tokens_count: int | None = None
    accepted_draft_tokens_count: int | None = None
    rejected_draft_tokens_count: int | None = None
    ignored_draft_tokens_count: int | None = None


@dataclass(frozen=True)
class ContextUsage:  # public
    """How much of a model's context a chat takes, in tokens.

    Attributes:
        tokens: What the chat takes, with all that the model's template adds.
        context_length: What the model was loaded with.

    Example:
        >>> model.get_context_usage("Hello")
        ContextUsage(tokens=11, context_length=2048)
    """

    tokens: int
    context_length: int

    @property
    def remaining(self) -> int:
        """What is left for the answer; 0 if the chat is too long already."""
        return max(0, self.context_length - self.tokens)

    @property
    def fits(self) -> bool:
        """Whether there is room for the chat and at least one token more."""
        return self.tokens < self.context_length


class StructuredOutputError(LMStudioPredictionError):  # public
    """The output does not satisfy the format that was asked for.

    Attributes:
        text: The output as it came.
        stop_reason: Why the prediction ended; most often it was cut off.
        problems: What is wrong, one line each.

    Example:
        >>> class Book(BaseModel):
        ...     title: str
        >>> model.respond("Name a book.", response_format=Book, strict=True, config={"maxTokens": 1})
        Traceback (most recent call last):
        StructuredOutputError: ...
    """

    def __init__(self, text: str, stop_reason: str, problems: Sequence[str]) -> None:
        self.text = text
        self.stop_reason = stop_reason
        self.problems: tuple[str, ...] = tuple(problems)
        super().__init__(
            f"The output is not in the format asked for: {'; '.join(self.problems)}. The "
            f"prediction ended with {stop_reason or 'no stop reason'!r}{_advice(stop_reason)}. "
            f"Output: {text[:500]!r}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.text, self.stop_reason, self.problems)


def _advice(stop_reason: str) -> str:
    if stop_reason in ("maxPredictedTokensReached", "contextLengthReached"):
        return ": it was cut off, so raise max_tokens or the context length"
    if stop_reason == "toolCalls":
        return ": it asks for tools first, see tool_calls"
    return ": it was stopped early" if stop_reason == "userStopped" else ""


@dataclass(frozen=True)
class Unread(Generic[S]):
    """What the server sent, and how to read it: few results are asked for all that they hold."""

    read: Callable[[Any], S]
    sent: Any


def _read(value: S | Unread[S]) -> S:
    if isinstance(value, Unread):
        unread = cast("Unread[S]", value)
        return unread.read(unread.sent)
    return value


class PredictionResult(Generic[T]):  # public
    """What a prediction gave. ``T`` is the type of ``value``.

    Attributes:
        content: The answer as text, without the model's reasoning.
        reasoning: The model's thoughts, if it is one that thinks aloud; else empty.
        raw_content: All text as generated, with reasoning and the tags around it.
        stats: Why it stopped, how many tokens, how fast.
        structured: Whether ``parsed`` is data.
        tool_calls: The tools that the model asked for.
        failed_tool_calls: What it wrote instead of a tool call, with the server's error.

    Example:
        >>> result = model.respond("What is the capital of France?")
        >>> result.content, result.stats.stop_reason
        ('The capital of France is Paris.', 'eosFound')
    """

    __slots__ = (
        "_load_config",
        "_model_info",
        "_parsed",
        "_prediction_config",
        "_problems",
        "_value",
        "content",
        "failed_tool_calls",
        "raw_content",
        "reasoning",
        "stats",
        "structured",
        "tool_calls",
    )

    def __init__(
        self,
        *,
        content: str,
        parsed: Any,
        stats: LlmPredictionStats,
        model_info: LlmInstanceInfo | Unread[LlmInstanceInfo],
        load_config: LlmLoadModelConfig | Unread[LlmLoadModelConfig],
        prediction_config: LlmPredictionConfig | Unread[LlmPredictionConfig],
        structured: bool | None = None,
        value: Any = _SAME,
        problems: Sequence[str] = (),
        reasoning: str = "",
        raw_content: str | None = None,
        tool_calls: Sequence[ToolCallRequest] = (),
        failed_tool_calls: Sequence[ToolCallGenerationFailed] = (),
    ) -> None:
        self.content: str = content
        self._parsed = parsed
        self._value = parsed if value is _SAME else value
        self._problems = tuple(problems)
        self.stats: LlmPredictionStats = stats
        self._model_info = model_info
        self._load_config = load_config
        self._prediction_config = prediction_config
        self.structured: bool = not isinstance(parsed, str) if structured is None else structured
        self.reasoning: str = reasoning
        self.raw_content: str = content if raw_content is None else raw_content
        self.tool_calls: list[ToolCallRequest] = list(tool_calls)
        self.failed_tool_calls: list[ToolCallGenerationFailed] = list(failed_tool_calls)

    @property
    def model_info(self) -> LlmInstanceInfo:
        """The model that answered."""
        self._model_info = info = _read(self._model_info)
        return info

    @property
    def load_config(self) -> LlmLoadModelConfig:
        """How that model was loaded."""
        self._load_config = config = _read(self._load_config)
        return config

    @property
    def prediction_config(self) -> LlmPredictionConfig:
        """The config that the server used, its own settings included."""
        self._prediction_config = config = _read(self._prediction_config)
        return config

    @property
    def parsed(self) -> Any:
        """The output as plain data if it is structured, else ``content``.

        Raises:
            StructuredOutputError: The output does not satisfy the format that was asked for.
        """
        self.check()
        return self._parsed

    @property
    def value(self) -> T:
        """The output as an instance of the class given as ``response_format``.

        Without a class it is the same as ``parsed``.

        Raises:
            StructuredOutputError: The output does not satisfy the format that was asked for, or
                the class tells a schema and cannot be made of such data; ``parsed`` has it then.
        """
        self.check()
        if isinstance(self._value, NoValue):
            raise StructuredOutputError(
                self.content, self.stats.stop_reason, [self._value.reason, "'parsed' has the data"]
            )
        return cast("T", self._value)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the output, if it does not satisfy its format; else empty."""
        return self._problems

    @property
    def may_be_retried(self) -> bool:
        """Whether the output is not in its format, and neither stopped nor a call of tools."""
        stopped = ("userStopped", "modelUnloaded", "failed")
        answered = not self.tool_calls and self.stats.stop_reason not in stopped
        return bool(self._problems) and answered

    def check(self) -> None:
        """Raise ``StructuredOutputError`` if the output does not satisfy its format."""
        if self._problems:
            raise StructuredOutputError(self.content, self.stats.stop_reason, self._problems)

    def to_dict(self) -> dict[str, Any]:
        """The result as plain data with camelCase keys, to be kept or sent on.

        ``parsed`` is ``None`` if the output does not satisfy its format; ``problems`` then says why.
        """
        return {
            "content": self.content,
            "parsed": None if self._problems else self._parsed,
            "structured": self.structured,
            "problems": list(self._problems),
            "reasoning": self.reasoning,
            "toolCalls": [call.to_dict() for call in self.tool_calls],
            "stats": self.stats.to_dict(),
            "modelInfo": self.model_info.to_dict(),
            "loadConfig": self.load_config.to_dict(),
            "predictionConfig": self.prediction_config.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The result that ``to_dict`` gave: ``parsed`` and ``value`` are plain data.

        Args:
            data: What ``to_dict`` gave, as it is or read from JSON.

        Returns:
            The result, with its statistics and configs as objects again.
        """
        text: str = data["content"]
        parsed = data.get("parsed")
        more = {} if "roundIndex" not in data else {"round_index": data["roundIndex"]}
        return cls(
            content=text,
            parsed=text if parsed is None and not data.get("structured") else parsed,
            stats=LlmPredictionStats.from_dict(data.get("stats", {})),
            model_info=Unread(LlmInstanceInfo.from_dict, data.get("modelInfo", {})),
            load_config=Unread(LlmLoadModelConfig.from_dict, data.get("loadConfig", {})),
            prediction_config=Unread(
                LlmPredictionConfig.from_dict, data.get("predictionConfig", {})
            ),
            structured=data.get("structured"),
            problems=data.get("problems", ()),
            reasoning=data.get("reasoning", ""),
            tool_calls=[ToolCallRequest.from_dict(call) for call in data.get("toolCalls", ())],
            **more,
        )

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return field_schema(cls, cls.from_dict)

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def _fields(self) -> dict[str, Any]:
        """The arguments that make an equal result; what is unread stays so."""
        names = ("content", "stats", "structured", "reasoning", "raw_content")
        fields = {name: getattr(self, name) for name in names}
        return {
            **fields,
            "model_info": self._model_info,
            "load_config": self._load_config,
            "prediction_config": self._prediction_config,
            "tool_calls": self.tool_calls,
            "failed_tool_calls": self.failed_tool_calls,
            "parsed": self._parsed,
            "value": self._value,
            "problems": self._problems,
        }

    def _all_read(self) -> dict[str, Any]:
        """The same with all of it read, to compare."""
        read = ("model_info", "load_config", "prediction_config")
        return {**self._fields(), **{name: getattr(self, name) for name in read}}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._all_read() == cast("PredictionResult[Any]", other)._all_read()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it holds lists

    def __str__(self) -> str:
        """The content; structured output as indented JSON."""
        if not self.structured or self._problems:
            return self.content
        return readable(json.dumps(self._parsed, indent=2, ensure_ascii=False))

    def _repr_markdown_(self) -> str:
        """What notebooks show: the answer as Markdown; structured output as a block of JSON."""
        from .notebook import fenced, safe_markdown

        structured = self.structured and not self._problems
        return fenced(str(self), "json") if structured else safe_markdown(self.content)

    def __repr__(self) -> str:
        shown = [f"content={self.content!r}"]
        shown += [f"reasoning={self.reasoning!r}"] if self.reasoning else []
        shown += [f"tool_calls={self.tool_calls!r}"] if self.tool_calls else []
        shown += [f"structured={self.structured}", f"stop_reason={self.stats.stop_reason!r}"]
        return f"{type(self).__name__}({', '.join(shown)})"


class PredictionRoundResult(PredictionResult[T]):  # public
    """The result of one round of ``act()``; ``round_index`` counts from 0.

    Example:
        >>> result = model.act("What is 6 times 7?", [multiply])
        >>> [prediction.round_index for prediction in result.predictions]
        [0, 1]
    """

    __slots__ = ("round_index",)

    def __init__(
        self,
        *,
        content: str,
        parsed: Any,
        stats: LlmPredictionStats,
        model_info: LlmInstanceInfo | Unread[LlmInstanceInfo],
        load_config: LlmLoadModelConfig | Unread[LlmLoadModelConfig],
        prediction_config: LlmPredictionConfig | Unread[LlmPredictionConfig],
        round_index: int,
        **more: Any,
    ) -> None:
        super().__init__(
            content=content,
            parsed=parsed,
            stats=stats,
            model_info=model_info,
            load_config=load_config,
            prediction_config=prediction_config,
            **more,
        )
        self.round_index: int = round_index

    @classmethod
    def from_result(cls, result: PredictionResult[T], round_index: int) -> Self:
        """The same result, with the number of its round.

        Args:
            result: The result of the round's prediction.
            round_index: The number of the round, counted from 0.

        Returns:
            The result with its number.
        """
        fields: dict[str, Any] = {**result._fields(), "round_index": round_index}
        return cls(**fields)

    def _fields(self) -> dict[str, Any]:
        return {**super()._fields(), "round_index": self.round_index}

    def to_dict(self) -> dict[str, Any]:
        """The same as of any result, and ``roundIndex``."""
        return {**super().to_dict(), "roundIndex": self.round_index}
