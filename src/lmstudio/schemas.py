"""What structured output is described by, under the import path of the official SDK.

Written by ``scripts/facade.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._official import official_names

if TYPE_CHECKING:
    from lmstudio_core.data import AnyLMStudioStruct as AnyLMStudioStruct
    from lmstudio_core.data import BaseModel as BaseModel
    from lmstudio_core.errors import ValidationError as ValidationError
    from lmstudio_llm.schemas import DictObject as DictObject
    from lmstudio_llm.schemas import DictSchema as DictSchema
    from lmstudio_llm.schemas import ModelSchema as ModelSchema

_HOMES: Final = {
    "AnyLMStudioStruct": "lmstudio_core.data:AnyLMStudioStruct",
    "BaseModel": "lmstudio_core.data:BaseModel",
    "DictObject": "lmstudio_llm.schemas:DictObject",
    "DictSchema": "lmstudio_llm.schemas:DictSchema",
    "ModelSchema": "lmstudio_llm.schemas:ModelSchema",
    "ValidationError": "lmstudio_core.errors:ValidationError",
}

__all__ = [
    "AnyLMStudioStruct",
    "BaseModel",
    "DictObject",
    "DictSchema",
    "ModelSchema",
    "ValidationError",
]

if not TYPE_CHECKING:  # to checkers, a name that is not listed is a mistake
    __getattr__, __dir__ = official_names(__name__, _HOMES)
