"""How a program says which loaded model it means, for calls that take more than an identifier."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from ..data import InputStruct
from .infos import ModelQuery

__all__ = [
    "AnyModelSpecifier",
    "ModelDomain",
    "ModelInstanceSpecifier",
    "ModelInstanceSpecifierDict",
    "ModelQueryDict",
    "ModelQuerySpecifier",
    "ModelQuerySpecifierDict",
    "ModelSpecifier",
    "ModelSpecifierDict",
]


class ModelQueryDict(TypedDict, total=False):  # public
    """``ModelQuery`` as a dict, with keys in either spelling.

    Example:
        >>> query: ModelQueryDict = {"domain": "llm", "vision": True}
        >>> ModelQuery.from_dict(query).vision
        True
    """

    domain: str | None
    identifier: str | None
    path: str | None
    vision: bool | None
    device_identifier: str | None
    deviceIdentifier: str | None


class ModelQuerySpecifier(InputStruct):
    """Any loaded model that the query fits."""

    type: Literal["query"] = "query"
    query: ModelQuery


class ModelInstanceSpecifier(InputStruct):
    """One loaded instance, by the reference in its info; it never means another one."""

    type: Literal["instanceReference"] = "instanceReference"
    instance_reference: str


class ModelQuerySpecifierDict(TypedDict):
    """``ModelQuerySpecifier`` as a dict."""

    type: Literal["query"]
    query: ModelQueryDict


class ModelInstanceSpecifierDict(TypedDict):
    """``ModelInstanceSpecifier`` as a dict."""

    type: Literal["instanceReference"]
    instanceReference: str


ModelSpecifier = ModelQuerySpecifier | ModelInstanceSpecifier  # public
ModelSpecifierDict = ModelQuerySpecifierDict | ModelInstanceSpecifierDict  # public

ModelDomain = Literal["llm", "embedding"]
"""The kinds of models that servers have, by the names of their namespaces."""

AnyModelSpecifier = (
    str | ModelSpecifier | ModelQuery | ModelSpecifierDict | ModelQueryDict
)  # public
"""Whatever names a loaded model: its identifier, a query, or a specifier, as object or dict."""
