"""What can be set for a prediction and for the loading of a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel
from typing_extensions import Self

from lmstudio_core.config import KV, ConfigModel, kv_values
from lmstudio_core.errors import LMStudioValueError
from lmstudio_core.lenient import is_mapping
from lmstudio_core.models.gpu import GPU_SPLIT_KEY, GpuSetting, gpu_from_kv, gpu_to_kv

from .config_types import (
    Count,
    CountFromZero,
    LlmContextOverflowPolicy,
    LlmLlamaCacheQuantizationType,
    LlmLlamaCppArgumentsOverride,
    LlmLoadPromptTemplate,
    LlmMlxKvCacheQuantization,
    LlmPromptTemplate,
    LlmReasoningParsing,
    LlmStructuredPredictionSetting,
    LlmToolChoice,
    LlmToolNaming,
    LlmToolUseSetting,
    NoSwitch,
    NumberFromZero,
    OrOff,
    Share,
    Text,
)

__all__ = ["GpuSetting", "LlmLoadModelConfig", "LlmPredictionConfig"]

_P: Final = "llm.prediction."
_L: Final = "llm.load."


class LlmPredictionConfig(ConfigModel):  # public
    """How a prediction is made. ``None`` leaves a setting to the server, ``False`` turns it off.

    Attributes:
        max_tokens: The most tokens to generate; ``False`` (or -1) for no limit.
        temperature: Randomness; 0 is the most likely token each time.
        stop_strings: Texts at which generation stops.
        tool_call_stop_strings: The same, ending in a stop for tool calls.
        context_overflow_policy: What happens when the context is full.
        structured: A format for the output, as ``response_format`` takes it.
        raw_tools: Tools in the server's form; ``respond(tools=…)`` makes it.
        tool_choice: ``"auto"``, ``"required"`` or ``"none"``.
        tool_naming: How tool names are made to fit the model.
        top_k_sampling: How many of the most likely tokens are considered.
        repeat_penalty, presence_penalty, frequency_penalty: Against repetition.
        min_p_sampling, top_p_sampling: Tokens less likely than these are left out, 0.0 to 1.0.
        xtc_probability, xtc_threshold: Exclude-top-choices sampling, 0.0 to 1.0.
        log_probs: How many candidates per token to report; 0 for the chosen one alone.
        seed: Makes sampling repeatable; -1 for a random one.
        cpu_threads: How many threads work.
        prompt_template: A chat template in place of the model's.
        draft_model: The model key for speculative decoding; ``""`` turns it off. The
            ``speculative_decoding_*`` settings tune it.
        enable_thinking: Whether a model that can think before it answers does.
        reasoning_budget: The most tokens to think with.
        reasoning_parsing: How reasoning is told apart from the answer.
        user_max_image_dimension_pixels: Images are scaled down to this.
        ignore_model_preferred_max_image_dimension: Take that limit, not the model's.
        raw: Any other keys of the server's: key → value, or ``{"fields": [...]}``. The settings
            above win over it.

    Example:
        >>> LlmPredictionConfig(max_tokens=50, temperature=0.2).max_tokens
        50
    """

    max_tokens: Annotated[
        OrOff[Annotated[int, Field(ge=1)]] | None, KV(_P + "maxPredictedTokens", checkbox=1)
    ] = None
    temperature: Annotated[NumberFromZero | None, KV(_P + "temperature")] = None
    stop_strings: Annotated[Sequence[Text] | None, KV(_P + "stopStrings")] = None
    tool_call_stop_strings: Annotated[Sequence[Text] | None, KV(_P + "toolCallStopStrings")] = None
    context_overflow_policy: Annotated[
        LlmContextOverflowPolicy | None, KV(_P + "contextOverflowPolicy")
    ] = None
    structured: Annotated[LlmStructuredPredictionSetting | None, KV(_P + "structured")] = None
    raw_tools: Annotated[LlmToolUseSetting | None, KV(_P + "tools")] = None
    tool_choice: Annotated[LlmToolChoice | None, KV(_P + "toolChoice")] = None
    tool_naming: Annotated[LlmToolNaming | None, KV(_P + "toolNaming")] = None
    top_k_sampling: Annotated[
        Annotated[int, NoSwitch, Field(ge=-1)] | None, KV(_P + "topKSampling")
    ] = None
    repeat_penalty: Annotated[OrOff[float] | None, KV(_P + "repeatPenalty", checkbox=1.1)] = None
    presence_penalty: Annotated[
        OrOff[float] | None, KV(_P + "llama.presencePenalty", checkbox=0)
    ] = None
    frequency_penalty: Annotated[
        OrOff[float] | None, KV(_P + "llama.frequencyPenalty", checkbox=0)
    ] = None
    min_p_sampling: Annotated[OrOff[Share] | None, KV(_P + "minPSampling", checkbox=0.05)] = None
    top_p_sampling: Annotated[OrOff[Share] | None, KV(_P + "topPSampling", checkbox=0.95)] = None
    xtc_probability: Annotated[OrOff[Share] | None, KV(_P + "llama.xtcProbability", checkbox=0)] = (
        None
    )
    xtc_threshold: Annotated[OrOff[Share] | None, KV(_P + "llama.xtcThreshold", checkbox=0)] = None
    log_probs: Annotated[
        OrOff[Annotated[int, Field(ge=0, le=100)]] | None, KV(_P + "logProbs", checkbox=0)
    ] = None
    seed: Annotated[OrOff[Annotated[int, Field(ge=-1)]] | None, KV(_P + "seed", checkbox=-1)] = None
    cpu_threads: Annotated[Count | None, KV(_P + "llama.cpuThreads")] = None
    prompt_template: Annotated[LlmPromptTemplate | None, KV(_P + "promptTemplate")] = None
    draft_model: Annotated[str | None, KV(_P + "speculativeDecoding.draftModel")] = None
    speculative_decoding_num_draft_tokens_exact: Annotated[
        Count | None, KV(_P + "speculativeDecoding.numDraftTokensExact")
    ] = None
    speculative_decoding_min_draft_length_to_consider: Annotated[
        CountFromZero | None, KV(_P + "speculativeDecoding.minDraftLengthToConsider")
    ] = None
    speculative_decoding_min_continue_drafting_probability: Annotated[
        Share | None, KV(_P + "speculativeDecoding.minContinueDraftingProbability")
    ] = None
    enable_thinking: Annotated[bool | None, KV(_P + "reasoning.enableThinking")] = None
    reasoning_budget: Annotated[
        OrOff[CountFromZero] | None, KV(_P + "reasoning.budgetTokens", checkbox=1024)
    ] = None
    reasoning_parsing: Annotated[LlmReasoningParsing | None, KV(_P + "reasoning.parsing")] = None
    user_max_image_dimension_pixels: Annotated[
        OrOff[Count] | None, KV(_P + "vision.userMaxImageDimensionPixels", checkbox=1024)
    ] = None
    ignore_model_preferred_max_image_dimension: Annotated[
        bool | None, KV(_P + "vision.ignoreModelPreferredMaxImageDimension")
    ] = None
    raw: Mapping[str, Any] | None = None

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _unlimited(cls, value: Any) -> Any:
        return False if value == -1 else value

    @field_validator("structured", mode="before")
    @classmethod
    def _any_format(cls, value: Any) -> Any:
        if value is None or isinstance(value, LlmStructuredPredictionSetting):
            return value
        if is_mapping(value) and value.get("type") in ("none", "json", "gbnf"):
            return value
        from .schemas import resolve_format

        return resolve_format(value).setting

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _choice_by_word(cls, value: Any) -> Any:
        return {"mode": value} if isinstance(value, str) else value

    @field_validator("raw", mode="before")
    @classmethod
    def _raw_by_key(cls, value: Any) -> Any:
        return kv_values(value) if is_mapping(value) and "fields" in value else value

    def to_kv(self) -> dict[str, Any]:
        """Every set field as key and wire value, over what ``raw`` says."""
        return {**(self.raw or {}), **super().to_kv()}


_UPPERCASE: Final = {
    "offload_kv_cache_to_gpu": "offloadKVCacheToGpu",
    "use_fp16_for_kv_cache": "useFp16ForKVCache",
    "try_direct_io": "tryDirectIO",
}


def _wire_name(name: str) -> str:
    return _UPPERCASE.get(name) or to_camel(name)


class LlmLoadModelConfig(ConfigModel):  # public
    """How a model is loaded. ``None`` leaves a setting to the server, ``False`` turns it off.

    Attributes:
        auto_fit: Let the server choose context length and placement by what memory allows. Setting
            one of these yourself turns it off.
        gpu: How the model is spread over the GPUs.
        gpu_strict_vram_cap: Never use more than the dedicated memory of the GPUs.
        offload_kv_cache_to_gpu: Keep the KV cache on the GPU.
        context_length: In tokens.
        max_parallel_predictions: How many predictions may run at once.
        use_unified_kv_cache: Whether these share one KV cache.
        prompt_template: A chat template in place of the model's.
        rope_frequency_base, rope_frequency_scale: For contexts longer than trained.
        eval_batch_size, physical_batch_size: In tokens.
        flash_attention: Use flash attention.
        context_checkpoints: How many checkpoints of the context are kept.
        reasoning_budget_message: What is put in when the reasoning budget is used up.
        speculative_draft_mtp, speculative_draft_simple, speculative_draft_model: Draft with the
            model's own heads, or with a second model, and which. The other
            ``speculative_draft_*`` settings tune it.
        keep_model_in_memory: Keep it out of the swap.
        seed: For sampling; -1 for a random one.
        use_fp16_for_kv_cache: Store the KV cache in 16 bits.
        try_mmap, try_direct_io: How the file is read.
        llama_cpp_arguments_override: Arguments for llama.cpp as they are.
        num_experts: How many experts are active (mixture-of-experts models).
        llama_k_cache_quantization_type, llama_v_cache_quantization_type: How llama.cpp stores keys
            and values.
        mlx_disk_cache, mlx_kv_cache_quantization: The same matters for MLX.

    Example:
        >>> LlmLoadModelConfig(context_length=8192, gpu=GpuSetting(ratio=0.5))
        LlmLoadModelConfig(gpu=GpuSetting(ratio=0.5), context_length=8192)
    """

    # Not ``Field(alias=…)``: type checkers would then want the alias as the keyword.
    model_config: ClassVar[ConfigDict] = ConfigDict(alias_generator=_wire_name)

    _ratio_keys: ClassVar[Mapping[str, str]] = {
        "ratio_key": _L + "llama.acceleration.offloadRatio",
        "expert_ratio_key": _L + "numCpuExpertLayersRatio",
    }

    auto_fit: bool | None = None
    gpu: GpuSetting | None = None
    gpu_strict_vram_cap: Annotated[bool | None, KV("load.gpuStrictVramCap")] = None
    offload_kv_cache_to_gpu: Annotated[bool | None, KV(_L + "offloadKVCacheToGpu")] = None
    context_length: Annotated[Count | None, KV(_L + "contextLength")] = None
    max_parallel_predictions: Annotated[Count | None, KV(_L + "numParallelSessions")] = None
    use_unified_kv_cache: Annotated[bool | None, KV(_L + "useUnifiedKvCache")] = None
    prompt_template: Annotated[LlmLoadPromptTemplate | None, KV(_L + "promptTemplate")] = None
    rope_frequency_base: Annotated[
        OrOff[Annotated[float, Field(ge=0)]] | None, KV(_L + "llama.ropeFrequencyBase", checkbox=0)
    ] = None
    rope_frequency_scale: Annotated[
        OrOff[Annotated[float, Field(ge=0)]] | None, KV(_L + "llama.ropeFrequencyScale", checkbox=0)
    ] = None
    eval_batch_size: Annotated[Count | None, KV(_L + "llama.evalBatchSize")] = None
    physical_batch_size: Annotated[Count | None, KV(_L + "llama.physicalBatchSize")] = None
    flash_attention: Annotated[bool | None, KV(_L + "llama.flashAttention")] = None
    context_checkpoints: Annotated[CountFromZero | None, KV(_L + "llama.contextCheckpoints")] = None
    reasoning_budget_message: Annotated[str | None, KV(_L + "llama.reasoningBudgetMessage")] = None
    speculative_draft_mtp: Annotated[bool | None, KV(_L + "llama.speculativeDecoding.draftMtp")] = (
        None
    )
    speculative_draft_simple: Annotated[
        bool | None, KV(_L + "llama.speculativeDecoding.draftSimple")
    ] = None
    speculative_draft_model: Annotated[
        str | None, KV(_L + "llama.speculativeDecoding.draftModel")
    ] = None
    speculative_draft_max_tokens: Annotated[
        CountFromZero | None, KV(_L + "llama.speculativeDecoding.draftMaxTokens")
    ] = None
    speculative_draft_min_tokens: Annotated[
        CountFromZero | None, KV(_L + "llama.speculativeDecoding.draftMinTokens")
    ] = None
    speculative_draft_min_continue_probability: Annotated[
        Share | None, KV(_L + "llama.speculativeDecoding.draftMinContinueProbability")
    ] = None
    keep_model_in_memory: Annotated[bool | None, KV(_L + "llama.keepModelInMemory")] = None
    seed: Annotated[OrOff[Annotated[int, Field(ge=-1)]] | None, KV(_L + "seed", checkbox=0)] = None
    use_fp16_for_kv_cache: Annotated[bool | None, KV(_L + "llama.useFp16ForKVCache")] = None
    try_mmap: Annotated[bool | None, KV(_L + "llama.tryMmap")] = None
    try_direct_io: Annotated[bool | None, KV(_L + "llama.tryDirectIO")] = None
    llama_cpp_arguments_override: Annotated[
        LlmLlamaCppArgumentsOverride | None, KV(_L + "llama.argumentsOverride")
    ] = None
    num_experts: Annotated[CountFromZero | None, KV(_L + "numExperts")] = None
    llama_k_cache_quantization_type: Annotated[
        OrOff[LlmLlamaCacheQuantizationType] | None,
        KV(_L + "llama.kCacheQuantizationType", checkbox="f16"),
    ] = None
    llama_v_cache_quantization_type: Annotated[
        OrOff[LlmLlamaCacheQuantizationType] | None,
        KV(_L + "llama.vCacheQuantizationType", checkbox="f16"),
    ] = None
    mlx_disk_cache: Annotated[bool | None, KV(_L + "mlx.diskCache")] = None
    mlx_kv_cache_quantization: Annotated[
        LlmMlxKvCacheQuantization | Literal[False] | None, KV(_L + "mlx.kvCacheQuantization")
    ] = None

    def to_kv(self) -> dict[str, Any]:
        """Every set field as key and wire value.

        Raises:
            LMStudioValueError: Two settings exclude each other.
        """
        self.check()
        return self._values()

    def check(self) -> None:
        """Raise ``LMStudioValueError`` if two settings exclude each other."""
        placed = self._placed()
        if self.auto_fit and placed:
            raise LMStudioValueError(
                f"auto_fit=True lets the server choose; it cannot go with {', '.join(placed)}. "
                "Leave one of them out."
            )
        if self.speculative_draft_mtp and self.speculative_draft_simple:
            raise LMStudioValueError(
                "speculative_draft_mtp and speculative_draft_simple exclude each other."
            )
        if bool(self.speculative_draft_simple) != bool(self.speculative_draft_model):
            raise LMStudioValueError(
                "speculative_draft_simple=True and speculative_draft_model='…' go together."
            )
        low, high = self.speculative_draft_min_tokens, self.speculative_draft_max_tokens
        if low is not None and high is not None and low > high:
            raise LMStudioValueError(
                f"speculative_draft_min_tokens ({low}) is more than "
                f"speculative_draft_max_tokens ({high})."
            )

    def _placed(self) -> list[str]:
        """The settings that decide what auto-fit would."""
        gpu = self.gpu or GpuSetting()
        chosen = {
            "context_length": self.context_length,
            "gpu.ratio": gpu.ratio,
            "gpu.num_cpu_expert_layers_ratio": gpu.num_cpu_expert_layers_ratio,
            "gpu.main_gpu": gpu.main_gpu,
            "gpu.split_strategy": gpu.split_strategy,
            "gpu_strict_vram_cap": self.gpu_strict_vram_cap,
        }
        return [name for name, value in chosen.items() if value is not None]

    def _values(self) -> dict[str, Any]:
        values = {**super().to_kv(), **gpu_to_kv(self.gpu, **self._ratio_keys)}
        auto_fit = False if self.auto_fit is None and self._placed() else self.auto_fit
        if auto_fit is not None:
            values.update(dict.fromkeys(_AUTO_FIT_KEYS, auto_fit))
        drafts = (
            self.speculative_draft_mtp,
            self.speculative_draft_simple,
            self.speculative_draft_model,
        )
        if any(draft is not None for draft in drafts):
            values.update(dict.fromkeys(_SIDECAR_KEYS, False))
        if self.mlx_kv_cache_quantization is False:
            off = LlmMlxKvCacheQuantization(enabled=False)
            values[_L + "mlx.kvCacheQuantization"] = off.to_dict()
        return values

    @classmethod
    def from_kv(cls, values: Mapping[str, Any]) -> Self:
        """The config that a server's values describe; unknown keys and values are skipped.

        Where the server fitted the model itself, the placement it was given is meaningless and
        left out.

        Args:
            values: The server's keys and their values.

        Returns:
            The config.
        """
        found = dict(values)
        fitted = [found[key] for key in _AUTO_FIT_KEYS if key in found]
        if any(value is True for value in fitted):
            for key in (*cls._ratio_keys.values(), *_PLACEMENT_KEYS):
                found.pop(key, None)
        fields = cls._decoded(found)
        if fitted:
            fields["auto_fit"] = any(value is True for value in fitted)
        fields["gpu"] = gpu_from_kv(found, **cls._ratio_keys)
        return cls.lenient(fields)


_AUTO_FIT_KEYS: Final = (_L + "llama.autoFit", _L + "mlx.autoFit", _L + "yuzu.autoFit")
_PLACEMENT_KEYS: Final = (_L + "contextLength", GPU_SPLIT_KEY, "load.gpuStrictVramCap")
_SIDECAR_KEYS: Final = tuple(
    f"{_L}llama.speculativeDecoding.{name}"
    for name in ("draftDflashSidecar", "draftDsparkSidecar", "draftMtpSidecar")
)
