"""The dict forms of configs: what type checkers hold dicts in programs against.

Each key may be spelled as Python or as the server spells it, in one dict even, so each class has
both. Other mappings, and keys that only another version knows, are taken at run time all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import GetPydanticSchema
from pydantic_core import CoreSchema, core_schema
from typing_extensions import Required, TypedDict

from lmstudio_core.models.gpu import GpuSetting, GpuSettingDict

from .config import LlmLoadModelConfig, LlmPredictionConfig
from .config_types import (
    LlmContextOverflowPolicy,
    LlmJinjaPromptTemplate,
    LlmLlamaCacheQuantizationType,
    LlmLlamaCppArgument,
    LlmLlamaCppArgumentsOverride,
    LlmLoadPromptTemplate,
    LlmManualPromptTemplate,
    LlmMlxKvCacheQuantization,
    LlmPromptTemplate,
    LlmReasoningParsing,
    LlmToolChoice,
    LlmToolNaming,
    LlmToolUseSetting,
)
from .schemas import ResponseSchema
from .tools import ToolDefinition

__all__ = [
    "LlmLoadConfigInput",
    "LlmLoadModelConfigDict",
    "LlmPredictionConfigDict",
    "PredictionConfigInput",
    "PromptTemplateOptions",
]


def _as_it_is(_source: Any, _handler: Any) -> CoreSchema:
    return core_schema.any_schema()


_UNCHECKED: Final = GetPydanticSchema(_as_it_is)
"""pydantic has no schema for its own ``TypeAdapter``: ``resolve_format`` checks formats."""


class LlmToolUseSettingDict(TypedDict, total=False):
    """``LlmToolUseSetting`` as a dict."""

    type: Required[Literal["none", "toolArray"]]
    tools: Sequence[Mapping[str, Any]] | None
    force: bool | None


class LlmToolChoiceDict(TypedDict, total=False):
    """``LlmToolChoice`` as a dict."""

    type: Literal["generic"]
    mode: Required[Literal["none", "auto", "required"]]


class LlmReasoningParsingDict(TypedDict, total=False):
    """``LlmReasoningParsing`` as a dict."""

    enabled: Required[bool]
    start_string: str
    startString: str
    end_string: str
    endString: str


class LlmJinjaPromptTemplateDict(TypedDict):
    """``LlmJinjaPromptTemplate`` as a dict."""

    template: str


class LlmManualPromptTemplateDict(TypedDict, total=False):
    """``LlmManualPromptTemplate`` as a dict."""

    before_system: str
    beforeSystem: str
    after_system: str
    afterSystem: str
    before_user: str
    beforeUser: str
    after_user: str
    afterUser: str
    before_assistant: str
    beforeAssistant: str
    after_assistant: str
    afterAssistant: str


class LlmPromptTemplateDict(TypedDict, total=False):
    """``LlmPromptTemplate`` as a dict."""

    type: Required[Literal["manual", "jinja"]]
    manual_prompt_template: LlmManualPromptTemplate | LlmManualPromptTemplateDict | None
    manualPromptTemplate: LlmManualPromptTemplate | LlmManualPromptTemplateDict | None
    jinja_prompt_template: LlmJinjaPromptTemplate | LlmJinjaPromptTemplateDict | None
    jinjaPromptTemplate: LlmJinjaPromptTemplate | LlmJinjaPromptTemplateDict | None
    stop_strings: Sequence[str]
    stopStrings: Sequence[str]


class LlmLoadPromptTemplateDict(TypedDict, total=False):
    """``LlmLoadPromptTemplate`` as a dict."""

    type: Literal["jinja"]
    jinja_prompt_template: LlmJinjaPromptTemplate | LlmJinjaPromptTemplateDict
    jinjaPromptTemplate: LlmJinjaPromptTemplate | LlmJinjaPromptTemplateDict


class LlmLlamaCppArgumentDict(TypedDict):
    """``LlmLlamaCppArgument`` as a dict."""

    key: str
    value: str


class LlmLlamaCppArgumentsOverrideDict(TypedDict, total=False):
    """``LlmLlamaCppArgumentsOverride`` as a dict."""

    enabled: bool
    disabled_parameters: Sequence[str]
    disabledParameters: Sequence[str]
    override_parameters: Sequence[LlmLlamaCppArgument | LlmLlamaCppArgumentDict]
    overrideParameters: Sequence[LlmLlamaCppArgument | LlmLlamaCppArgumentDict]
    exclude_all_config: bool
    excludeAllConfig: bool


class LlmMlxKvCacheQuantizationDict(TypedDict, total=False):
    """``LlmMlxKvCacheQuantization`` as a dict."""

    enabled: bool
    bits: Literal[8, 6, 4, 3, 2]
    group_size: Literal[32, 64, 128]
    groupSize: Literal[32, 64, 128]
    quantized_start: int
    quantizedStart: int


class _PredictionKeys(TypedDict, total=False):
    """The keys as Python spells them."""

    max_tokens: int | Literal[False] | None
    temperature: float | None
    stop_strings: Sequence[str] | None
    tool_call_stop_strings: Sequence[str] | None
    context_overflow_policy: LlmContextOverflowPolicy | None
    structured: Annotated[ResponseSchema | None, _UNCHECKED]
    raw_tools: LlmToolUseSetting | LlmToolUseSettingDict | None
    tool_choice: LlmToolChoice | LlmToolChoiceDict | Literal["none", "auto", "required"] | None
    tool_naming: LlmToolNaming | None
    top_k_sampling: int | None
    repeat_penalty: float | Literal[False] | None
    presence_penalty: float | Literal[False] | None
    frequency_penalty: float | Literal[False] | None
    min_p_sampling: float | Literal[False] | None
    top_p_sampling: float | Literal[False] | None
    xtc_probability: float | Literal[False] | None
    xtc_threshold: float | Literal[False] | None
    log_probs: int | Literal[False] | None
    seed: int | Literal[False] | None
    cpu_threads: int | None
    prompt_template: LlmPromptTemplate | LlmPromptTemplateDict | None
    draft_model: str | None
    speculative_decoding_num_draft_tokens_exact: int | None
    speculative_decoding_min_draft_length_to_consider: int | None
    speculative_decoding_min_continue_drafting_probability: float | None
    enable_thinking: bool | None
    reasoning_budget: int | Literal[False] | None
    reasoning_parsing: LlmReasoningParsing | LlmReasoningParsingDict | None
    user_max_image_dimension_pixels: int | Literal[False] | None
    ignore_model_preferred_max_image_dimension: bool | None
    raw: Mapping[str, Any] | None


class LlmPredictionConfigDict(_PredictionKeys, total=False):  # public
    """``LlmPredictionConfig`` as a dict, with keys in either spelling.

    Example:
        >>> config: LlmPredictionConfigDict = {"maxTokens": 50, "temperature": 0.2}
        >>> LlmPredictionConfig.from_dict(config)
        LlmPredictionConfig(max_tokens=50, temperature=0.2)
    """

    maxTokens: int | Literal[False] | None
    stopStrings: Sequence[str] | None
    toolCallStopStrings: Sequence[str] | None
    contextOverflowPolicy: LlmContextOverflowPolicy | None
    rawTools: LlmToolUseSetting | LlmToolUseSettingDict | None
    toolChoice: LlmToolChoice | LlmToolChoiceDict | Literal["none", "auto", "required"] | None
    toolNaming: LlmToolNaming | None
    topKSampling: int | None
    repeatPenalty: float | Literal[False] | None
    presencePenalty: float | Literal[False] | None
    frequencyPenalty: float | Literal[False] | None
    minPSampling: float | Literal[False] | None
    topPSampling: float | Literal[False] | None
    xtcProbability: float | Literal[False] | None
    xtcThreshold: float | Literal[False] | None
    logProbs: int | Literal[False] | None
    cpuThreads: int | None
    promptTemplate: LlmPromptTemplate | LlmPromptTemplateDict | None
    draftModel: str | None
    speculativeDecodingNumDraftTokensExact: int | None
    speculativeDecodingMinDraftLengthToConsider: int | None
    speculativeDecodingMinContinueDraftingProbability: float | None
    enableThinking: bool | None
    reasoningBudget: int | Literal[False] | None
    reasoningParsing: LlmReasoningParsing | LlmReasoningParsingDict | None
    userMaxImageDimensionPixels: int | Literal[False] | None
    ignoreModelPreferredMaxImageDimension: bool | None


class _LoadKeys(TypedDict, total=False):
    """The keys as Python spells them."""

    auto_fit: bool | None
    gpu: GpuSetting | GpuSettingDict | None
    gpu_strict_vram_cap: bool | None
    offload_kv_cache_to_gpu: bool | None
    context_length: int | None
    max_parallel_predictions: int | None
    use_unified_kv_cache: bool | None
    prompt_template: LlmLoadPromptTemplate | LlmLoadPromptTemplateDict | None
    rope_frequency_base: float | Literal[False] | None
    rope_frequency_scale: float | Literal[False] | None
    eval_batch_size: int | None
    physical_batch_size: int | None
    flash_attention: bool | None
    context_checkpoints: int | None
    reasoning_budget_message: str | None
    speculative_draft_mtp: bool | None
    speculative_draft_simple: bool | None
    speculative_draft_model: str | None
    speculative_draft_max_tokens: int | None
    speculative_draft_min_tokens: int | None
    speculative_draft_min_continue_probability: float | None
    keep_model_in_memory: bool | None
    seed: int | Literal[False] | None
    use_fp16_for_kv_cache: bool | None
    try_mmap: bool | None
    try_direct_io: bool | None
    llama_cpp_arguments_override: (
        LlmLlamaCppArgumentsOverride | LlmLlamaCppArgumentsOverrideDict | None
    )
    num_experts: int | None
    llama_k_cache_quantization_type: LlmLlamaCacheQuantizationType | Literal[False] | None
    llama_v_cache_quantization_type: LlmLlamaCacheQuantizationType | Literal[False] | None
    mlx_disk_cache: bool | None
    mlx_kv_cache_quantization: (
        LlmMlxKvCacheQuantization | LlmMlxKvCacheQuantizationDict | Literal[False] | None
    )


class LlmLoadModelConfigDict(_LoadKeys, total=False):  # public
    """``LlmLoadModelConfig`` as a dict, with keys in either spelling.

    Example:
        >>> config: LlmLoadModelConfigDict = {"contextLength": 8192, "gpu": {"ratio": 0.5}}
        >>> LlmLoadModelConfig.from_dict(config)
        LlmLoadModelConfig(gpu=GpuSetting(ratio=0.5), context_length=8192)
    """

    autoFit: bool | None
    gpuStrictVramCap: bool | None
    offloadKVCacheToGpu: bool | None
    contextLength: int | None
    maxParallelPredictions: int | None
    useUnifiedKvCache: bool | None
    promptTemplate: LlmLoadPromptTemplate | LlmLoadPromptTemplateDict | None
    ropeFrequencyBase: float | Literal[False] | None
    ropeFrequencyScale: float | Literal[False] | None
    evalBatchSize: int | None
    physicalBatchSize: int | None
    flashAttention: bool | None
    contextCheckpoints: int | None
    reasoningBudgetMessage: str | None
    speculativeDraftMtp: bool | None
    speculativeDraftSimple: bool | None
    speculativeDraftModel: str | None
    speculativeDraftMaxTokens: int | None
    speculativeDraftMinTokens: int | None
    speculativeDraftMinContinueProbability: float | None
    keepModelInMemory: bool | None
    useFp16ForKVCache: bool | None
    tryMmap: bool | None
    tryDirectIO: bool | None
    llamaCppArgumentsOverride: (
        LlmLlamaCppArgumentsOverride | LlmLlamaCppArgumentsOverrideDict | None
    )
    numExperts: int | None
    llamaKCacheQuantizationType: LlmLlamaCacheQuantizationType | Literal[False] | None
    llamaVCacheQuantizationType: LlmLlamaCacheQuantizationType | Literal[False] | None
    mlxDiskCache: bool | None
    mlxKvCacheQuantization: (
        LlmMlxKvCacheQuantization | LlmMlxKvCacheQuantizationDict | Literal[False] | None
    )


class PromptTemplateOptions(TypedDict, total=False):
    """What ``apply_prompt_template`` can be told, with keys in either spelling.

    Example:
        >>> options: PromptTemplateOptions = {"omitBosToken": True}
    """

    omit_bos_token: bool
    omitBosToken: bool
    omit_eos_token: bool
    omitEosToken: bool
    tool_definitions: Iterable[ToolDefinition] | None
    toolDefinitions: Iterable[ToolDefinition] | None


PredictionConfigInput = LlmPredictionConfig | LlmPredictionConfigDict
"""Whatever stands for a prediction config: an object, or a dict in either spelling."""

LlmLoadConfigInput = LlmLoadModelConfig | LlmLoadModelConfigDict
"""Whatever says how a language model is loaded: an object, or a dict in either spelling."""
