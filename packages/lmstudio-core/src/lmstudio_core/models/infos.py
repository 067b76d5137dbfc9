"""What the server tells of models, downloaded and loaded.

Older servers leave out some of these fields; they have defaults, so that parsing never fails.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from ..data import InputStruct, Number, ServerStruct
from ..lenient import as_mapping, readable

__all__ = [
    "EmbeddingModelInfo",
    "EmbeddingModelInstanceInfo",
    "EstimatedMemory",
    "EstimatedResources",
    "LlmInfo",
    "LlmInstanceInfo",
    "ModelInfo",
    "ModelInfoBase",
    "ModelInstanceInfo",
    "ModelLoadResult",
    "ModelProcessingState",
    "ModelQuery",
    "Quantization",
    "parse_model_info",
]


class Quantization(ServerStruct):
    """How a model's weights are stored: ``name`` such as ``"Q4_K_M"``, ``bits`` per weight."""

    name: str = ""
    bits: int | None = None


class ModelInfoBase(ServerStruct):
    """What every downloaded model has; sizes in bytes.

    ``device_identifier`` names the LM Link device that it is on; ``None`` is the server itself.
    """

    type: str = ""
    model_key: str = ""
    format: str = ""
    display_name: Annotated[str, AfterValidator(readable)] = ""
    publisher: str | None = None
    path: str = ""
    size_bytes: int = 0
    indexed_model_identifier: str | None = None
    device_identifier: str | None = None
    params_string: str | None = None
    architecture: str | None = None
    quantization: Quantization | None = None
    variants: tuple[str, ...] | None = None
    selected_variant: str | None = None
    max_context_length: int = 0


class LlmInfo(ModelInfoBase):  # public, api
    """A downloaded language model. ``max_context_length`` is in tokens.

    Example:
        >>> info = client.llm.list_downloaded()[0].info
        >>> info.model_key, info.vision
        ('pocket', False)
    """

    type: str = "llm"
    vision: bool = False
    trained_for_tool_use: bool = False


class EmbeddingModelInfo(ModelInfoBase):  # public, api
    """A downloaded embedding model. ``max_context_length`` is in tokens.

    Example:
        >>> client.embedding.list_downloaded()[0].info.max_context_length
        2048
    """

    type: str = "embedding"


class _InstanceFields(ServerStruct):
    identifier: str = ""
    instance_reference: str = ""
    ttl_ms: int | None = None
    last_used_time: Number | None = None
    context_length: int = 0


class LlmInstanceInfo(_InstanceFields, LlmInfo):  # public, api
    """A loaded language model. ``context_length`` is in tokens, ``ttl_ms`` in milliseconds.

    Example:
        >>> model.get_info().context_length
        2048
    """


class EmbeddingModelInstanceInfo(_InstanceFields, EmbeddingModelInfo):  # public, api
    """A loaded embedding model. ``context_length`` is in tokens, ``ttl_ms`` in milliseconds.

    Example:
        >>> embedder.get_info().context_length
        2048
    """


ModelInfo = LlmInfo | EmbeddingModelInfo  # public, api
ModelInstanceInfo = LlmInstanceInfo | EmbeddingModelInstanceInfo  # public, api

_INFO: dict[str, type[ModelInfoBase]] = {"llm": LlmInfo, "embedding": EmbeddingModelInfo}


def parse_model_info(raw: object) -> ModelInfoBase:
    """The info of a downloaded model; a domain that this version does not know is kept as base."""
    data = as_mapping(raw)
    return _INFO.get(str(data.get("type")), ModelInfoBase).from_dict(data)


class ModelQuery(InputStruct):  # public
    """Which loaded model is meant; every field that is set has to match.

    Example:
        >>> client.llm.get_model_info(ModelQuery(domain="llm", vision=False)).identifier
        'pocket'
    """

    domain: str | None = None
    identifier: str | None = None
    path: str | None = None
    vision: bool | None = None
    device_identifier: str | None = None


class ModelLoadResult(ServerStruct):  # public
    """What a load gave: the instance's identifier and reference, and the model's path.

    Example:
        >>> ModelLoadResult(identifier="pocket").identifier
        'pocket'
    """

    identifier: str
    instance_reference: str = ""
    path: str = ""


class ModelProcessingState(ServerStruct):  # public
    """What a loaded model is doing, and how many requests wait for it.

    ``status`` is ``"idle"``, ``"processingPrompt"``, ``"generating"`` or ``"computingEmbedding"``.

    Example:
        >>> state = model.processing_state()
        >>> state.status, state.queued
        ('idle', 0)
    """

    status: str = "idle"
    queued: int = 0


class EstimatedMemory(ServerStruct):  # public
    """The memory that a model would take, in bytes; ``confidence`` is ``"high"`` or ``"low"``.

    ``total_bytes`` is all of it, ``total_vram_bytes`` what of that is on graphics cards.

    Example:
        >>> memory = client.llm.estimate_resources("pocket").memory
        >>> memory.total_bytes >= memory.model_bytes > 0
        True
    """

    confidence: str = "low"
    model_bytes: Number = 0
    context_bytes: Number = 0
    total_bytes: Number = 0
    model_vram_bytes: Number = 0
    context_vram_bytes: Number = 0
    total_vram_bytes: Number = 0


class EstimatedResources(ServerStruct):  # public
    """What a model would take, and whether the server's guardrails would let it load.

    Example:
        >>> client.llm.estimate_resources("pocket").passes_guardrails
        True
    """

    memory: EstimatedMemory = EstimatedMemory()
    passes_guardrails: bool = True
