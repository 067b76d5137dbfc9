"""The contract between the server's API and an engine.

The API layer knows these types only; an engine knows nothing of LM Studio's wire protocol. All
token counts are in tokens, all times in seconds, all progress values in 0.0 to 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from lmstudio_core.lenient import as_mapping, as_words

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from pathlib import Path

    from lmstudio_server.library import ModelFile

StopReason = Literal["eos", "stop_string", "length", "context", "tool_calls"]
ContextOverflow = Literal["stop", "keep_start", "roll"]
"""What happens when a generation fills the context: it ends, or older tokens make room, either
those after the first half or the oldest of all."""


class EngineError(Exception):
    """An engine could not do what was asked.

    ``title`` says what happened, ``cause`` the engine's own words, ``suggestion`` what to do next.
    """

    def __init__(
        self, title: str, *, cause: str | None = None, suggestion: str | None = None
    ) -> None:
        cause = as_words(cause)
        super().__init__(title if cause is None else f"{title}: {cause}")
        self.title = title
        self.cause = cause
        self.suggestion = suggestion


class EngineCrashedError(EngineError):
    """The engine's process ended while it was needed."""


class ContextOverflowError(EngineError):
    """The prompt does not fit the context. ``prompt_tokens`` and ``context_length`` say by how much."""

    def __init__(self, prompt_tokens: int, context_length: int) -> None:
        super().__init__(
            f"The prompt has {prompt_tokens} tokens and the model's context holds {context_length}.",
            suggestion="Shorten the conversation or load the model with a larger contextLength.",
        )
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class ContextSharedError(EngineError):
    """Several generations together filled the context that they share."""

    def __init__(self, context_length: int) -> None:
        super().__init__(
            f"The predictions running at once need more than the {context_length} tokens they share.",
            suggestion=(
                "Run fewer at once, or load the model with a larger contextLength or with "
                "useUnifiedKvCache off, which gives each a context of its own."
            ),
        )


@dataclass(frozen=True)
class Draft:
    """A small model that proposes tokens, which the large one checks several at a time."""

    path: Path
    name: str = ""
    """What users call it by."""
    max_tokens: int = 3
    """How many tokens it proposes at most."""
    min_tokens: int = 0
    """Proposals shorter than this are dropped."""
    min_probability: float = 0.0
    """It goes on proposing while it is at least this sure."""


@dataclass(frozen=True)
class LoadRequest:
    """What to load and how."""

    path: Path
    """The file; without meaning for an engine whose models are no files."""
    kind: Literal["llm", "embedding"] = "llm"
    context_length: int = 2048
    parallel: int = 4
    batch_size: int = 256
    threads: int | None = None
    """``None``: as many as the machine has physical cores to spare."""
    use_mmap: bool = True
    flash_attention: bool = False
    gpu_layers: int | None = None
    """``None``: the engine's own choice; 0: none; -1: all."""
    gpu_ratio: float | None = None
    """The share of the model's layers to offload, where ``gpu_layers`` does not say."""
    seed: int | None = None
    rope_frequency_base: float | None = None
    rope_frequency_scale: float | None = None
    mmproj: Path | None = None
    engine: str | None = None
    """The engine's name; ``None``: whichever loads files of this format."""
    format: str = "gguf"
    model: str | None = None
    """The engine's own name for a model that is no file."""
    physical_batch_size: int = 512
    unified_cache: bool = True
    """One context of ``context_length`` for all; otherwise each of ``parallel`` has its own."""
    keep_in_memory: bool = False
    """Ask the system not to page the weights out."""
    direct_io: bool = False
    cache_type_k: str = "f16"
    cache_type_v: str = "f16"
    offload_cache: bool = True
    cpu_expert_ratio: float = 0.0
    """The share of the layers whose experts stay on the CPU."""
    context_checkpoints: int | None = None
    reasoning_budget_message: str = ""
    """What is written for the model where a reasoning budget ends its thinking."""
    draft: Draft | None = None
    """Proposes tokens for every generation that names no draft of its own."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. ``None`` leaves a value to the engine's default."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    log_probs: int | None = None
    """How many candidates to report per token; ``None``: report no probabilities."""
    json_schema: Mapping[str, Any] | None = None
    grammar: str | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    typical_p: float | None = None
    mirostat: int | None = None
    """The version: 0 is off."""
    mirostat_learning_rate: float | None = None
    mirostat_entropy: float | None = None
    logit_bias: Sequence[tuple[int, float]] = ()
    """Token ids and what to add to their logits; minus infinity bans a token."""
    overflow: ContextOverflow = "stop"


@dataclass(frozen=True)
class ChatRequest:
    """A conversation in OpenAI's message form (what chat templates take), and how to continue it."""

    messages: Sequence[Mapping[str, Any]]
    sampling: Sampling = field(default_factory=Sampling)
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Literal["none", "auto", "required"] = "auto"
    parallel_tool_calls: bool = True
    """Whether one answer may call several times."""
    enable_thinking: bool | None = None
    chat_template: str | None = None
    """A Jinja template that replaces the model's own for this request."""
    reasoning_budget: int | None = None
    """How many tokens the model may think; ``None``: as many as it likes."""
    draft: Draft | None = None
    """Proposes tokens for this generation."""


@dataclass(frozen=True)
class CompletionRequest:
    """A raw prompt, continued as it stands."""

    prompt: str
    sampling: Sampling = field(default_factory=Sampling)
    draft: Draft | None = None


@dataclass(frozen=True)
class TokenCandidate:
    """A token that might have come, with the natural logarithm of its probability."""

    text: str
    id: int
    log_prob: float


@dataclass(frozen=True)
class Token:
    """A token that came; with its logarithm and candidates where they were asked for."""

    text: str
    id: int
    log_prob: float | None = None
    candidates: Sequence[TokenCandidate] = ()


@dataclass(frozen=True)
class PromptProgress:
    """How far the prompt is read, in tokens; ``cached`` of them were known from before."""

    total: int
    processed: int
    cached: int


@dataclass(frozen=True)
class Text:
    """Generated text. ``structural``: markup that belongs to neither answer nor reasoning (tags)."""

    content: str
    tokens_count: int = 1
    reasoning: Literal["none", "reasoning", "reasoningStartTag", "reasoningEndTag"] = "none"
    structural: bool = False
    tokens: Sequence[Token] = ()
    drafted: bool = False
    """Whether a draft model proposed some of its tokens."""


@dataclass(frozen=True)
class ToolCallStart:
    """A tool call begins."""

    id: str


@dataclass(frozen=True)
class ToolCallName:
    """The name of the tool is known."""

    name: str


@dataclass(frozen=True)
class ToolCallArguments:
    """A piece of the arguments as the model writes them."""

    content: str
    predicted_tokens: int = 0
    """How many tokens the answer has so far, all in all; 0: not known."""


@dataclass(frozen=True)
class ToolCallEnd:
    """A tool call is complete; ``raw`` is the model's own text for it."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    raw: str | None = None


@dataclass(frozen=True)
class ToolCallFailed:
    """What the model wrote is no tool call; ``message`` says why."""

    message: str
    raw: str | None = None


@dataclass(frozen=True)
class DraftUse:
    """What came of a draft model's proposals, in tokens."""

    name: str
    proposed: int
    accepted: int


@dataclass(frozen=True)
class Finished:
    """The last event of every generation that was not cancelled."""

    stop_reason: StopReason
    stop_string: str | None = None
    prompt_tokens: int = 0
    predicted_tokens: int = 0
    time_to_first_token: float | None = None
    total_time: float | None = None
    draft: DraftUse | None = None
    generation_time: float | None = None
    """From the first token to the last, by the engine's own clock."""


EngineEvent = (
    PromptProgress
    | Text
    | ToolCallStart
    | ToolCallName
    | ToolCallArguments
    | ToolCallEnd
    | ToolCallFailed
    | Finished
)


class Embedding(list[float]):
    """The vector of a text. ``tokens`` says how many tokens the text had, if the engine knows."""

    tokens: int | None = None

    @classmethod
    def of_answer(cls, answer: Any) -> Embedding:
        """The vector in an answer of the form that OpenAI's API has.

        Raises:
            LookupError, TypeError, ValueError: There is none.
        """
        found = cls(float(value) for value in answer["data"][0]["embedding"])
        tokens = as_mapping(answer.get("usage")).get("prompt_tokens")
        if type(tokens) is int and tokens > 0:
            found.tokens = tokens
        return found


class LoadedModel(Protocol):
    """A model in memory, ready to be asked.

    Closing the generator of ``chat`` or ``complete`` cancels the generation in the engine.
    """

    @property
    def context_length(self) -> int:
        """The tokens that prompt and answer may have together."""
        ...

    @property
    def pid(self) -> int | None:
        """The engine's process on this machine; ``None`` if it has none."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Answer a chat, event by event; the last one is ``Finished``."""
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent, None]:
        """Continue a text, event by event; the last one is ``Finished``."""
        ...

    async def apply_template(self, request: ChatRequest) -> str:
        """The prompt that the chat template makes of a chat."""
        ...

    async def tokenize(self, text: str) -> list[int]:
        """The ids of a text's tokens."""
        ...

    async def embed(self, text: str) -> list[float]:
        """The vector of a text, best as an ``Embedding``: else its tokens are counted by another call."""
        ...

    async def unload(self) -> None:
        """End the engine's process and wait until its memory is free. Safe to call twice."""

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Call ``callback`` with the reason if the process ends without ``unload``."""


@runtime_checkable
class DraftingModel(Protocol):
    """A loaded model that can generate with the help of a draft model."""

    async def preload_draft(self, draft: Draft) -> None:
        """Make ready what generations with ``draft`` need. Raises ``EngineError`` if they cannot be."""
        ...


@runtime_checkable
class FramingModel(Protocol):
    """A loaded model that knows its tokens for the start and the end of a text."""

    async def framed(self, prompt: str, *, start: bool, end: bool) -> str:
        """Return ``prompt`` as the model is given it; without such tokens where ``start`` or ``end`` is not.

        Args:
            prompt: The text.
            start: Whether the tokens for the start of a text are wanted.
            end: The same for the end.
        """
        ...


class Engine(Protocol):
    """Loads models: files of some formats, or models it knows by names of its own.

    Packages offer engines in the entry-point group ``lmstudio.engines``: the entry's object is called
    without arguments and returns one (see ``engines.installed``).
    """

    @property
    def name(self) -> str:
        """The engine's name, by which it is chosen."""
        ...

    @property
    def version(self) -> str:
        """Its version, as it is shown."""
        ...

    @property
    def formats(self) -> frozenset[str]:
        """The formats of the files it loads, as in ``ModelFile.format``: ``"gguf"`` and the like."""
        ...

    def offered(self) -> Sequence[ModelFile]:
        """Models that are no files here, with ``engine`` and ``model`` set.

        Called in a thread, for every listing: it may take a second, and does not raise.
        """
        ...

    async def load(self, request: LoadRequest, on_progress: Callable[[float], None]) -> LoadedModel:
        """Load a model; cancelling the awaiting task ends what was begun.

        Raises ``EngineError`` with the engine's own words when the model cannot be loaded.
        """
        ...
