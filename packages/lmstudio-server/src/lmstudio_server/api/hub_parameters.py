"""The parameters of the ``repository`` namespace."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from .parameters import Int, Key, Parameter, given

__all__ = [
    "ArtifactTarget",
    "CreateDownloadPlan",
    "DownloadModel",
    "LocalPath",
    "ModelDownloadOptions",
    "ModelTarget",
    "PlanOptions",
    "SearchModels",
    "SelectOption",
]

Format: TypeAlias = Literal[
    "gguf", "safetensors", "onnx", "ggml", "pte", "mlx_placeholder", "torch_safetensors", "yuzu"
]
Formats: TypeAlias = Annotated[list[Format] | None, BeforeValidator(given)]


class SearchOptions(Parameter):
    search_term: Annotated[str | None, BeforeValidator(given)] = None
    limit: Annotated[Int | None, Field(ge=1, le=25), BeforeValidator(given)] = None
    compatibility_types: Formats = None


class SearchModels(Parameter):
    opts: SearchOptions


class SearchIdentifier(Parameter):
    type: Literal["catalog", "hf"]
    identifier: str


class ModelDownloadOptions(Parameter):
    model_search_result_identifier: SearchIdentifier


class DownloadModel(Parameter):
    download_identifier: Key


class LocalPath(Parameter):
    path: Key


class HuggingFaceSource(Parameter):
    type: Literal["huggingface"]
    user: str
    repo: str


class ArtifactTarget(Parameter):
    type: Literal["artifact"]
    owner: str
    name: str


class ModelTarget(Parameter):
    type: Literal["model"]
    source: HuggingFaceSource


class PreferredFile(Parameter):
    type: Literal["fileName"]
    file_name: str


class PreferredQuantization(Parameter):
    type: Literal["quantName"]
    quant_name: str


class PlanOptions(Parameter):
    resolution_preference: Annotated[
        list[Annotated[PreferredFile | PreferredQuantization, Field(discriminator="type")]] | None,
        BeforeValidator(given),
    ] = None
    compatibility_types: Formats = None


class CreateDownloadPlan(Parameter):
    target: Annotated[ArtifactTarget | ModelTarget, Field(discriminator="type")]
    opts: Annotated[PlanOptions | None, BeforeValidator(given)] = None


class SelectOption(Parameter):
    """A message of the channel ``createDownloadPlan``."""

    type: Literal["setSelectedDownloadOptionIndex"]
    node_index: Int
    selected_download_option_index: Int | None
    requested_plan_version: Int
