"""What tools return, as the model gets it: JSON text, and images beside it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    ValuesView,
)
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Final, TypeGuard, cast

from pydantic_core import to_jsonable_python

from lmstudio_core.files.handles import FileHandle, LocalFileInput
from lmstudio_core.lenient import error_text, is_interrupt, json_text

__all__ = [
    "ImageInput",
    "ToolImage",
    "drained",
    "drained_async",
    "encoded",
    "is_stream",
    "without_images",
]

_MAX_ITEMS: Final = 10_000
_MAX_TEXT: Final = 1_000_000
_MAX_DEPTH: Final = 60
_CUT_OFF: Final = "Cut off after {} values; the tool had more."


@dataclass(frozen=True)
class ToolImage:  # public
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
    """The JSON text in which the model gets ``value``: its own form as data, else its ``str()``.

    It never fails: what a tool did is done, and the model has to be told. Halves of surrogate
    pairs, which names of files may hold, stay escaped: UTF-8 has none.
    """
    return json_text(_plain(value, 0))


def _plain(value: Any, depth: int) -> Any:
    """``value`` as JSON can hold it."""
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)  # JSON has no NaN
    if depth > _MAX_DEPTH:  # something that holds itself, perhaps
        return _text(value)
    try:
        return _of_container(value, depth)
    except BaseException as error:  # code of the user's: properties, iterators, serializers
        if is_interrupt(error):
            raise
        return _text(value)


def _of_container(value: Any, depth: int) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(cast("Any", value)))
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {_key(key): _plain(item, depth + 1) for key, item in pairs}
    if (held := _fields(value)) is not None:
        return {name: _plain(item, depth + 1) for name, item in held.items()}
    if isinstance(value, (Sequence, AbstractSet, ValuesView)):
        return [_plain(item, depth + 1) for item in cast("Iterable[Any]", value)]
    if is_stream(value):  # inside of what the tool returned
        return _plain(drained(value, lambda: False), depth + 1)
    if isinstance(value, BaseException):
        return error_text(value, named=True)
    if callable(listed := getattr(value, "tolist", None)) and not isinstance(value, type):
        return _plain(listed(), depth + 1)  # numpy's scalars and arrays, tensors
    try:
        plain = to_jsonable_python(value, fallback=_text)
    except Exception:
        if not callable(dump := getattr(value, "model_dump", None)):
            raise
        plain = dump()  # a pydantic model that holds bytes, for one
    return _plain(plain, depth + 1)


def _key(key: Any) -> str:
    plain = _plain(key, _MAX_DEPTH)
    return plain if isinstance(plain, str) else json_text(plain)


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of dataclasses, attrs' and msgspec's objects, and rows of a database."""
    kind = cast("Any", type(value))
    if hasattr(kind, "__pydantic_serializer__"):
        return None  # its own form may be another
    if is_dataclass(kind):
        return {f.name: getattr(value, f.name) for f in fields(kind)}
    if (declared := getattr(kind, "__attrs_attrs__", None)) is not None:
        return {f.name: getattr(value, f.name) for f in declared}
    if (names := getattr(kind, "__struct_fields__", None)) is not None:
        return {name: getattr(value, name) for name in names}
    if kind.__name__ in ("Row", "Record") and callable(getattr(value, "keys", None)):
        return {str(name): value[name] for name in value.keys()}  # noqa: SIM118 - no mapping
    return None


def _of_bytes(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _text(value: Any) -> str:
    try:
        return str(value)
    except BaseException as error:  # a broken __str__ of the user's
        if is_interrupt(error):
            raise
        return f"<{type(value).__name__}>"


# --- what comes one by one ---------------------------------------------------------------------


def is_stream(value: Any) -> TypeGuard[Iterator[Any]]:
    """Whether a tool returned something that has to be iterated over to be had."""
    return isinstance(value, Iterator) and not isinstance(value, io.IOBase)


def drained(values: Iterator[Any], late: Callable[[], bool]) -> Any:
    """What an iterator gives, up to a number and an amount; what it raises is raised.

    ``late`` tells whether nobody waits any more.
    """
    taken, size = list[Any](), 0
    try:
        for value in values:
            if late() or len(taken) >= _MAX_ITEMS or size > _MAX_TEXT:
                return _cut(taken)
            taken.append(value)
            size += _size(value)
    finally:
        if callable(close := getattr(values, "close", None)):
            close()  # a generator's own clean-up belongs to the tool
    return taken


async def drained_async(values: AsyncIterable[Any], late: Callable[[], bool]) -> Any:
    """The same of an asynchronous iterator."""
    taken, size = list[Any](), 0
    iterator: AsyncIterator[Any] = aiter(values)
    try:
        async for value in iterator:
            if late() or len(taken) >= _MAX_ITEMS or size > _MAX_TEXT:
                return _cut(taken)
            taken.append(value)
            size += _size(value)
    finally:
        if callable(close := getattr(iterator, "aclose", None)):
            await cast("Any", close)()
    return taken


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, bytearray)) else 1


def _cut(taken: list[Any]) -> dict[str, Any]:
    return {"result": taken, "note": _CUT_OFF.format(len(taken))}


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
