"""How an embedding model is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from typing_extensions import Self, TypedDict

from lmstudio_core.config import KV, ConfigModel
from lmstudio_core.models.gpu import GpuSetting, GpuSettingDict, gpu_from_kv, gpu_to_kv

_RATIO_KEY: Final = "embedding.load.llama.acceleration.offloadRatio"
# Strict, so that ``True`` is an error and not a frequency of 1.0.
_Frequency = Annotated[float, Field(ge=0, strict=True)] | Literal[False]


class EmbeddingLoadModelConfig(ConfigModel):  # public
    """How to load an embedding model; ``None`` leaves a choice to the server.

    Attributes:
        gpu: Which GPUs to use, and for how much of the model.
        context_length: The longest text that can be embedded, in tokens.
        rope_frequency_base: The base frequency of rotary position embeddings in Hz; ``False`` for
            the model's own.
        rope_frequency_scale: The scale of the rotary position embeddings' frequency, a factor;
            ``False`` for the model's own.
        keep_model_in_memory: Keep the whole model in RAM, never swapped out.
        try_mmap: Map the model's file into memory instead of reading it.

    Raises:
        LMStudioValueError: From ``from_dict`` and wherever a config is taken as a dict: a key is
            unknown or a value is wrong.

    Example:
        >>> config = EmbeddingLoadModelConfig(context_length=512)
        >>> client.embedding.model("pocket-embedding", config=config).identifier
        'pocket-embedding'
    """

    gpu: GpuSetting | None = None
    context_length: Annotated[int | None, Field(ge=1), KV("embedding.load.contextLength")] = None
    rope_frequency_base: Annotated[
        _Frequency | None, KV("embedding.load.llama.ropeFrequencyBase", checkbox=0)
    ] = None
    rope_frequency_scale: Annotated[
        _Frequency | None, KV("embedding.load.llama.ropeFrequencyScale", checkbox=0)
    ] = None
    keep_model_in_memory: Annotated[bool | None, KV("embedding.load.llama.keepModelInMemory")] = (
        None
    )
    try_mmap: Annotated[bool | None, KV("embedding.load.llama.tryMmap")] = None

    def to_kv(self) -> dict[str, Any]:
        """Every set field as key and wire value."""
        return {**gpu_to_kv(self.gpu, ratio_key=_RATIO_KEY), **super().to_kv()}

    @classmethod
    def from_kv(cls, values: Mapping[str, Any]) -> Self:
        """The config that a server's values describe; unknown keys and values are skipped.

        Args:
            values: The server's keys and their values.

        Returns:
            The config.
        """
        config = super().from_kv(values)
        found = gpu_from_kv(values, ratio_key=_RATIO_KEY)
        return config if found is None else config.model_copy(update={"gpu": GpuSetting(**found)})


class EmbeddingLoadModelConfigDict(TypedDict, total=False):  # public
    """``EmbeddingLoadModelConfig`` as a dict, with keys in either spelling.

    Example:
        >>> config: EmbeddingLoadModelConfigDict = {"contextLength": 512}
        >>> EmbeddingLoadModelConfig.from_dict(config)
        EmbeddingLoadModelConfig(context_length=512)
    """

    gpu: GpuSetting | GpuSettingDict | None
    context_length: int | None
    contextLength: int | None
    rope_frequency_base: float | Literal[False] | None
    ropeFrequencyBase: float | Literal[False] | None
    rope_frequency_scale: float | Literal[False] | None
    ropeFrequencyScale: float | Literal[False] | None
    keep_model_in_memory: bool | None
    keepModelInMemory: bool | None
    try_mmap: bool | None
    tryMmap: bool | None


EmbeddingLoadConfigInput = EmbeddingLoadModelConfig | EmbeddingLoadModelConfigDict
"""Whatever says how an embedding model is loaded: an object, or a dict in either spelling."""
