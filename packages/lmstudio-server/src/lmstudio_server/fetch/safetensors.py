"""Reading a safetensors file from front to back, tensor by tensor."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from lmstudio_core.lenient import error_text

from .errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SafetensorsReader", "SourceTensor"]

_MAX_HEADER = 64 << 20
_WIDTHS = {"I64": 8, "F64": 8, "I32": 4, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class SourceTensor:
    """One tensor: its name, type, shape and place behind the header."""

    name: str
    type: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsReader:
    """The tensors of a stream in the order in which they lie there.

    A stream out of a zip archive can only be read forwards cheaply, and reading it so keeps no more
    than one block of the weights in memory.

    Raises:
        FetchError: The header is damaged.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        (length,) = struct.unpack("<Q", self._take(8))
        if length > _MAX_HEADER:
            raise FetchError(f"The weights are damaged: a header of {length:,} bytes.")
        try:
            header: dict[str, Any] = json.loads(self._take(length))
            listed = [_tensor(n, entry) for n, entry in header.items() if n != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchError(
                f"The weights are damaged: their header is wrong ({error_text(error)})."
            ) from error
        self.tensors: list[SourceTensor] = sorted(listed, key=lambda tensor: tensor.begin)
        self._position = 0

    def blocks(self, tensor: SourceTensor, size: int) -> Iterator[bytes]:
        """Yield the tensor's bytes in blocks of up to ``size``; tensors are taken in order."""
        if tensor.begin < self._position:
            raise FetchError(f"The weights are damaged: {tensor.name!r} overlaps another tensor.")
        self._take(tensor.begin - self._position)
        self._position = tensor.end
        for start in range(tensor.begin, tensor.end, size):
            yield self._take(min(size, tensor.end - start))

    def _take(self, length: int) -> bytes:
        data = self._stream.read(length)
        if len(data) != length:
            raise FetchError(f"The weights are cut off: {length - len(data):,} bytes are missing.")
        return data


def _tensor(name: str, entry: dict[str, Any]) -> SourceTensor:
    begin, end = entry["data_offsets"]
    shape = tuple(int(length) for length in entry["shape"])
    width = _WIDTHS[entry["dtype"]]
    if not 0 <= begin <= end or end - begin != math.prod(shape) * width:
        raise ValueError(f"{name!r} does not fill its place")
    return SourceTensor(name, entry["dtype"], shape, begin, end)
