"""The models on disk: finding them, naming them, describing them. Nothing here loads a model."""

from __future__ import annotations

from lmstudio_core.program.places import lmstudio_home

from .folders import default_folders, hub_folder, own_folder
from .gguf import GgufError, GgufHeader, read_header
from .library import Library
from .model_file import ModelFile

__all__ = [
    "GgufError",
    "GgufHeader",
    "Library",
    "ModelFile",
    "default_folders",
    "hub_folder",
    "lmstudio_home",
    "own_folder",
    "read_header",
]
