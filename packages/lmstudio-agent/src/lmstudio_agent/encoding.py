"""What tools return, as the model gets it: JSON text, and images beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_core import to_jsonable_python

from lmstudio_core.files import FileHandle, LocalFileInput
from lmstudio_core.halves import json_text

__all__ = ["ImageInput", "ToolImage", "encoded", "without_images"]


@dataclass(frozen=True)
class ToolImage:
    """An image that a tool returns, alone or in a list; models with vision get to see it.

    Attributes:
        source: A path, the image's bytes, or a binary file object: JPEG, PNG or WebP.
        name: What to call it.

    Example:
        >>> def plot(formula: str) -> ToolImage:
        ...     '''Draw a formula's graph.'''
        ...     return ToolImage(draw_png(formula), "graph.png")
    """

    source: LocalFileInput = field(repr=False)
    name: str | None = None


ImageInput = ToolImage | FileHandle
"""What a tool may return for an image: one still to be sent, or the handle of one that was."""


def encoded(value: Any) -> str:
    """The JSON text in which the model gets ``value``; pydantic models, dates and the like too.

    Halves of surrogate pairs, which names of files may hold, stay escaped: UTF-8 has none.
    """
    return json_text(to_jsonable_python(value))


def without_images(value: Any) -> tuple[Any, list[ImageInput]]:
    """What a tool returned with a word in the place of each image, and the images.

    They are looked for in the value itself and in a list or tuple of values.
    """
    if _is_image(value):
        return "[image]", [value]
    if not isinstance(value, (list, tuple)):
        return value, []
    items = cast("Sequence[Any]", value)
    images = [item for item in items if _is_image(item)]
    shown = ["[image]" if _is_image(item) else item for item in items]
    return (shown if images else cast("Any", value)), images


def _is_image(value: Any) -> bool:
    return isinstance(value, ToolImage) or (
        isinstance(value, FileHandle) and value.file_type == "image"
    )
