"""Descriptions of models: the info objects of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmstudio_server.library import ModelFile
    from lmstudio_server.registry import Instance

__all__ = ["instance_info", "model_info"]


def model_info(file: ModelFile) -> dict[str, Any]:
    """A model on disk (``llmInfo`` or ``embeddingModelInfo``)."""
    info: dict[str, Any] = {
        "type": file.kind,
        "modelKey": file.key,
        "format": file.format,
        "displayName": file.display_name,
        "publisher": file.publisher,
        "path": file.path,
        "sizeBytes": file.size_bytes,
        "indexedModelIdentifier": file.path,
        "deviceIdentifier": None,
    }
    if file.params_string:
        info["paramsString"] = file.params_string
    if file.architecture:
        info["architecture"] = file.architecture
    if file.quantization_name:
        info["quantization"] = {
            "name": file.quantization_name,
            "bits": int(file.quantization_bits or 0),
        }
    if file.variants:
        info["variants"] = list(file.variants)
        info["selectedVariant"] = file.selected_variant
    if file.kind == "llm":
        info["vision"] = file.vision
        info["trainedForToolUse"] = file.trained_for_tool_use
    info["maxContextLength"] = file.max_context_length
    return info


def instance_info(instance: Instance) -> dict[str, Any]:
    """A model in memory (``llmInstanceInfo`` or ``embeddingModelInstanceInfo``)."""
    return {
        **model_info(instance.file),
        "identifier": instance.identifier,
        "instanceReference": instance.reference,
        "ttlMs": instance.ttl_ms,
        "lastUsedTime": instance.last_used_ms,
        "contextLength": instance.model.context_length,
    }
