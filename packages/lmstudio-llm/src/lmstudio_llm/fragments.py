"""What arrives while a model generates: fragments of text, tool calls in the making, progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import Self

from lmstudio_core.data import ServerStruct, field_schema
from lmstudio_core.protocol.server_errors import SerializedLMSExtendedError

from .messages import ToolCallRequest

__all__ = [
    "LlmPredictionFragment",
    "PredictionEvent",
    "PromptProcessingDetails",
    "PromptProcessingProgress",
    "ToolCallArgumentsFragment",
    "ToolCallGenerationEnd",
    "ToolCallGenerationFailed",
    "ToolCallGenerationStart",
    "ToolCallNameReceived",
    "fragment_from_wire",
]


_WIRE: Final = (
    # Attribute, key on the wire; in the order of the slots.
    ("content", "content"),
    ("tokens_count", "tokensCount"),
    ("contains_drafted", "containsDrafted"),
    ("reasoning_type", "reasoningType"),
    ("is_structural", "isStructural"),
    ("tokens", "tokens"),
)


class LlmPredictionFragment:  # public
    """A piece of the model's output, mostly one token.

    Not a pydantic model: one is made for every frame of every stream, and this costs a tenth.

    Attributes:
        content: The text.
        tokens_count: How many tokens it stands for.
        contains_drafted: Whether a draft model proposed some of them.
        reasoning_type: ``"none"`` for the answer, ``"reasoning"`` for the model's thoughts,
            ``"reasoningStartTag"`` and ``"reasoningEndTag"`` for what encloses these.
        is_structural: Whether it is a marker of the model's own format, and no text to show.
        tokens: Per token ``{"text", "id", "logProb", "candidates"}``, if ``log_probs`` was set.

    Example:
        >>> for fragment in model.respond_stream("What is the capital of France?"):
        ...     print(fragment.content, end="")
        The capital of France is Paris.
    """

    __slots__ = (
        "contains_drafted",
        "content",
        "is_structural",
        "reasoning_type",
        "tokens",
        "tokens_count",
    )

    def __init__(
        self,
        content: str,
        tokens_count: int = 1,
        contains_drafted: bool = False,
        reasoning_type: str = "none",
        is_structural: bool = False,
        tokens: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.content: str = content
        self.tokens_count: int = tokens_count
        self.contains_drafted: bool = contains_drafted
        self.reasoning_type: str = reasoning_type
        self.is_structural: bool = is_structural
        self.tokens: Sequence[Mapping[str, Any]] | None = tokens

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make one from a dict with camelCase or snake_case keys; what is missing gets a default.

        Args:
            data: The keys and values; it is not changed.

        Returns:
            The fragment.
        """
        found: dict[str, Any] = {name: data.get(key, data.get(name)) for name, key in _WIRE}
        given = {name: value for name, value in found.items() if value is not None}
        given.setdefault("content", "")
        return cls(**given)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return field_schema(cls, cls.from_dict)

    def to_dict(self) -> dict[str, Any]:
        """The dict with camelCase keys."""
        pairs = ((key, getattr(self, name)) for name, key in _WIRE)
        return {key: value for key, value in pairs if value is not None}

    def retyped(self, reasoning_type: str) -> LlmPredictionFragment:
        """The same fragment with another ``reasoning_type``.

        Args:
            reasoning_type: Such as ``"none"`` or ``"reasoning"``.

        Returns:
            A new fragment.
        """
        return LlmPredictionFragment(
            self.content,
            self.tokens_count,
            self.contains_drafted,
            reasoning_type,
            self.is_structural,
            self.tokens,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LlmPredictionFragment):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name, _ in _WIRE)

    def __hash__(self) -> int:
        return hash((self.content, self.tokens_count, self.reasoning_type))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name, _ in _WIRE[:4])
        return f"{type(self).__name__}({shown})"

    def __str__(self) -> str:
        return self.content


def fragment_from_wire(raw: Mapping[str, Any]) -> LlmPredictionFragment:
    """The fragment of a packet: the short way for what all servers send, else the lenient one."""
    try:
        return LlmPredictionFragment(
            raw["content"],
            raw["tokensCount"],
            raw["containsDrafted"],
            raw["reasoningType"],
            raw.get("isStructural", False),
            raw.get("tokens"),
        )
    except KeyError:
        return LlmPredictionFragment.from_dict(raw)


class PromptProcessingDetails(ServerStruct):  # public
    """How far the prompt is read, in tokens.

    Example:
        >>> PromptProcessingDetails(processed_prompt_token_count=5, total_prompt_token_count=20).to_dict()
        {'cachedTokenCount': 0, 'totalPromptTokenCount': 20, 'processedPromptTokenCount': 5, 'unprocessedPromptTokenCount': 0}
    """

    cached_token_count: int = 0
    total_prompt_token_count: int = 0
    processed_prompt_token_count: int = 0
    unprocessed_prompt_token_count: int = 0


@dataclass(frozen=True)
class PromptProcessingProgress:  # public
    """The prompt is being read: ``progress`` from 0.0 to 1.0; newer servers tell ``details``.

    Example:
        >>> for event in model.respond_stream("Hello").events():
        ...     if isinstance(event, PromptProcessingProgress) and event.progress == 1:
        ...         print("read")
        read
    """

    progress: float
    details: PromptProcessingDetails | None = None


@dataclass(frozen=True)
class ToolCallGenerationStart:  # public
    """The model begins to write a tool call.

    Example:
        >>> for event in model.respond_stream("What is 6 times 7?", tools=[multiply]).events():
        ...     if isinstance(event, ToolCallGenerationStart):
        ...         print("a call begins")
        a call begins
    """

    tool_call_id: str | None = None


@dataclass(frozen=True)
class ToolCallNameReceived:  # public
    """The name of the tool is known; not every server tells.

    Example:
        >>> for event in model.respond_stream("What is 6 times 7?", tools=[multiply]).events():
        ...     if isinstance(event, ToolCallNameReceived):
        ...         print(event.name)
        multiply
    """

    name: str


@dataclass(frozen=True)
class ToolCallArgumentsFragment:  # public
    """A piece of the call's arguments as the model writes them; not necessarily JSON.

    Example:
        >>> stream = model.respond_stream("What is 6 times 7?", tools=[multiply])
        >>> "".join(e.content for e in stream.events() if isinstance(e, ToolCallArgumentsFragment))
        '{"a": 6, "b": 7}'
    """

    content: str


@dataclass(frozen=True)
class ToolCallGenerationEnd:  # public
    """The tool call is complete; ``raw_content`` is the model's own text for it, if told.

    Example:
        >>> for event in model.respond_stream("What is 6 times 7?", tools=[multiply]).events():
        ...     if isinstance(event, ToolCallGenerationEnd):
        ...         print(event.request.name, event.request.arguments)
        multiply {'a': 6, 'b': 7}
    """

    request: ToolCallRequest
    raw_content: str | None = None


@dataclass(frozen=True)
class ToolCallGenerationFailed:  # public
    """The model wrote something that is no tool call.

    Example:
        >>> for event in model.respond_stream("What is 6 times 7?", tools=[multiply]).events():
        ...     if isinstance(event, ToolCallGenerationFailed):
        ...         print(event.error.title)
    """

    error: SerializedLMSExtendedError
    raw_content: str | None = None


PredictionEvent = (
    LlmPredictionFragment
    | PromptProcessingProgress
    | ToolCallGenerationStart
    | ToolCallNameReceived
    | ToolCallArgumentsFragment
    | ToolCallGenerationEnd
    | ToolCallGenerationFailed
)  # public
"""Everything that ``stream.events()`` yields."""
